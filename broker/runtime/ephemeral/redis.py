"""Counters, rates and places of all processes, in Redis 6.2 or later; while it is lost, each counts for itself."""

import hmac
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis import BlockingConnectionPool
from redis import Redis as Client
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import InvalidResponse, RedisError
from redis.retry import Retry

from broker.runtime.ephemeral import scripts
from broker.runtime.ephemeral.memory import Memory
from broker.runtime.ephemeral.model import SKEW, Bucket, Denied, Hits, Window, running

T = TypeVar("T")
REST_SECONDS = 1.0
TIMEOUT_SECONDS = 0.2
_CONNECTIONS = 64


class Redis:
    """The shared store. A caller's key never leaves the process: its HMAC-SHA-256 under `secret` does.

    After a failure Redis is left alone for `REST_SECONDS` of the callers' clock, then one caller tries it while
    the others still count in this process. A verb waits for a few times `timeout` at most and never raises.

    This process counts its own hits always. Where Redis knows of fewer than these it has forgotten some, because it
    was emptied or was full and evicted the key, and the count of this process holds. What this process took and holds
    is likewise known here, and refused here first.
    """

    def __init__(
        self, url: str, secret: bytes, prefix: str = "broker:", timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """ValueError if `url` is not an address of Redis. Nothing is connected yet."""
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )
        client = Client(connection_pool=self._pool)
        self._hit, self._seen, self._forgive, self._take, self._give_back, self._lease, self._release = map(
            client.register_script, scripts.ALL
        )
        self._secret, self._prefix = secret, prefix
        self._local = Memory()
        self._lock = threading.Lock()
        self._now = 0.0
        self._failed_at: float | None = None
        self._failures = 0

    @property
    def failures(self) -> int:
        return self._failures

    def hit(self, bucket: str, key: str, window: float, now: float) -> Hits:
        self._now = now
        # Asked before Redis is, so that Redis was told of each of these.
        known = self._local.seen(bucket, key, window, now)
        told = self._ask(now, lambda: self._count(self._name(bucket, key), window, now))
        here = self._local.hit(bucket, key, window, now)
        return here if told is None or told.count <= known.count else told.hits(now)

    def seen(self, bucket: str, key: str, window: float, now: float) -> Hits:
        self._now = now
        known = self._local.seen(bucket, key, window, now)
        told = self._ask(now, lambda: running(self._told(self._seen, self._name(bucket, key)), window, now))
        return known if told is None or told.count < known.count else told.hits(now)

    def forgive(self, bucket: str, key: str) -> None:
        self._local.forgive(bucket, key)  # first, so that this process never knows of more than Redis does
        self._ask(self._now, lambda: self._told(self._forgive, self._name(bucket, key)))

    def take(self, buckets: Sequence[Bucket], now: float) -> Denied | None:
        self._now = now
        here = self._local.take(buckets, now)
        if here is not None:
            return here
        told = self._ask(now, lambda: self._taken(buckets, now))
        if told is None or told[0] == 0:
            return None
        self._local.give_back(buckets)
        return Denied(buckets[told[0] - 1], told[1])

    def give_back(self, buckets: Sequence[Bucket]) -> None:
        self._local.give_back(buckets)
        names = [self._name(bucket.bucket, bucket.key) for bucket in buckets]
        amounts = [repr(float(bucket.amount)) for bucket in buckets]
        self._ask(self._now, lambda: self._answer(self._give_back, names, amounts))

    def lease(self, bucket: str, key: str, holder: str, most: int, seconds: float, now: float) -> bool:
        self._now = now
        if not self._local.lease(bucket, key, holder, most, seconds, now):
            return False
        told = self._ask(now, lambda: self._leased(self._name(bucket, key), holder, most, seconds, now))
        if told is not False:
            return True
        self._local.release(bucket, key, holder)
        return False

    def release(self, bucket: str, key: str, holder: str) -> None:
        self._local.release(bucket, key, holder)
        self._ask(self._now, lambda: self._answer(self._release, [self._name(bucket, key)], [holder]))

    def sweep(self, now: float) -> None:
        """Redis forgets by itself; here, what this process counted."""
        self._local.sweep(now)

    def healthy(self) -> bool:
        """Whether Redis counts now: asked with the statement that limits use, at a key of its own."""
        return self._try(self._now, lambda: self._count(f"{self._prefix}health", 1.0, 0.0)) is not None

    def close(self) -> None:
        self._pool.disconnect()

    def _count(self, name: str, window: float, now: float) -> Window | None:
        # More than the window, so that a clock a little slower than the server's loses nothing.
        lifetime = math.ceil((window + SKEW) * 1000)
        return self._told(self._hit, name, repr(float(now)), repr(float(window)), lifetime, repr(SKEW))

    def _taken(self, buckets: Sequence[Bucket], now: float) -> tuple[int, float]:
        """Which of them is used up, from 1 on, and for how many seconds; 0 when none is."""
        names, given = [self._name(bucket.bucket, bucket.key) for bucket in buckets], [repr(float(now))]
        for bucket in buckets:
            given += [repr(float(value)) for value in (bucket.amount, bucket.depth, bucket.tolerance, SKEW)]
        try:
            which, wait = self._answer(self._take, names, given)
            return int(which), float(wait)
        except (TypeError, ValueError):
            raise InvalidResponse("The answer is none.") from None

    def _leased(self, name: str, holder: str, most: int, seconds: float, now: float) -> bool:
        lifetime = math.ceil((seconds + SKEW) * 1000)
        given = (repr(float(now)), repr(float(now + seconds)), most, holder, lifetime)
        answer = self._answer(self._lease, [name], given)
        if answer not in ([0], [1]):
            raise InvalidResponse("The answer is none.")
        return answer == [1]

    def _told(self, script: Script, name: str, *given: str | int) -> Window | None:
        """What Redis keeps of this key, or None; RedisError if it says nothing of it, or something of another."""
        try:
            ends, count = self._answer(script, [name], given)
            return None if ends is None else Window(float(ends), int(count))
        except (TypeError, ValueError):
            raise InvalidResponse("The answer is none.") from None

    def _answer(self, script: Script, names: Sequence[str], given: Sequence[str | int]) -> list[Any]:
        """What it says after the keys that it is of; RedisError if those are others, or it says nothing of any."""
        answer = script(keys=names, args=given)
        if isinstance(answer, list) and answer and answer[0] == " ".join(names).encode():
            return answer[1:]
        raise InvalidResponse("The answer is for another key.")

    def _name(self, bucket: str, key: str) -> str:
        """The bucket can be read, so that an operator sees which limit grows; whom it counts cannot."""
        digest = hmac.digest(self._secret, key.encode("utf-8", "surrogatepass"), "sha256")
        return f"{self._prefix}{bucket}:{digest.hex()}"

    def _ask(self, now: float, work: Callable[[], T]) -> T | None:
        """What Redis answered; None while it is left alone or if it failed."""
        with self._lock:
            if self._failed_at is not None:
                # A request may have read its time a little before another one failed.
                if self._failed_at - SKEW <= now < self._failed_at + REST_SECONDS:
                    return None
                self._failed_at = now  # this caller tries; the others wait for what becomes of it
        return self._try(now, work)

    def _try(self, now: float, work: Callable[[], T]) -> T | None:
        try:
            answer = work()
        except RedisError:  # lost, slow, loading, read-only, full or forbidden: counting goes on here
            with self._lock:
                self._failures += 1
                self._failed_at = now
            return None
        if self._failed_at is not None:
            with self._lock:
                self._failed_at = None
        return answer
