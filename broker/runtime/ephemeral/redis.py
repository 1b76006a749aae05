"""Counters that all processes share, in Redis 6.2 or later; while it is lost, each process counts for itself."""

import hmac
import math
import threading
from collections.abc import Callable
from typing import TypeVar

from redis import BlockingConnectionPool
from redis import Redis as Client
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import InvalidResponse, RedisError
from redis.retry import Retry

from broker.runtime.ephemeral.memory import Memory
from broker.runtime.ephemeral.model import SKEW, Hits, Window, running

T = TypeVar("T")
REST_SECONDS = 1.0
TIMEOUT_SECONDS = 0.2
_CONNECTIONS = 64
# Each answer begins with the key that it is of: what a proxy or a connection mixed up is no answer.
# The rule of `model.running`, on the server. `%.17g` keeps every bit of a time; Redis forgets the key by its own clock.
_HIT = """
local now, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HGET', KEYS[1], 'ends')
local ends = kept and tonumber(kept)
if ends and now < ends and ends <= now + window + tonumber(ARGV[4]) then
  return {KEYS[1], kept, redis.call('HINCRBY', KEYS[1], 'count', 1)}
end
kept = string.format('%.17g', now + window)
redis.call('HSET', KEYS[1], 'ends', kept, 'count', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {KEYS[1], kept, 1}
"""
_SEEN = """
local kept = redis.call('HMGET', KEYS[1], 'ends', 'count')
return {KEYS[1], kept[1], kept[2]}
"""
_FORGIVE = """
local count = tonumber(redis.call('HGET', KEYS[1], 'count') or 0)
if count > 0 then count = redis.call('HINCRBY', KEYS[1], 'count', -1) end
return {KEYS[1], '0', count}
"""


class Redis:
    """The shared store. A caller's key never leaves the process: its HMAC-SHA-256 under `secret` does.

    After a failure Redis is left alone for `REST_SECONDS` of the callers' clock, then one caller tries it while
    the others still count in this process. A verb waits for a few times `timeout` at most and never raises.

    This process counts its own hits always. Where Redis knows of fewer than these it has forgotten some, because it
    was emptied or was full and evicted the key, and the count of this process holds.
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
        self._hit, self._seen, self._forgive = map(client.register_script, (_HIT, _SEEN, _FORGIVE))
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

    def _told(self, script: Script, name: str, *given: str | int) -> Window | None:
        """What Redis keeps of this key, or None; RedisError if it says nothing of it, or something of another."""
        try:
            of, ends, count = script(keys=[name], args=given)
            if of == name.encode():
                return None if ends is None else Window(float(ends), int(count))
        except (TypeError, ValueError):
            pass
        raise InvalidResponse("The answer is for another key.")

    def _name(self, bucket: str, key: str) -> str:
        """The bucket can be read, so that an operator sees which limit grows; whom it counts cannot."""
        digest = hmac.digest(self._secret, key.encode("utf-8", "surrogatepass"), "sha256")
        return f"{self._prefix}{bucket}:{digest.hex()}"

    def _ask(self, now: float, work: Callable[[], T]) -> T | None:
        """What Redis answered; None while it is left alone or if it failed."""
        with self._lock:
            if self._failed_at is not None:
                if self._failed_at <= now < self._failed_at + REST_SECONDS:
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
