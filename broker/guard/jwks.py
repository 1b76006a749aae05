"""RFC 7517 section 5 and RFC 9111 section 4: the keys of an issuer, fetched, kept, and asked for again."""

import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from broker.guard.clock import Clock
from broker.guard.fetch import Answer, RequestFailed
from broker.protocol.jws import VerificationKey, keys_from_jwks

Keys = Mapping[str, VerificationKey]
Fetch = Callable[[str], Answer]
Background = Callable[[Callable[[], None]], object]

STALE_SECONDS = 3600.0
_KEPT_SECONDS = (60.0, 3600.0)
_USUAL_SECONDS = 300.0
_RETRY_SECONDS = 1.0
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=([0-9]{1,9})(?:$|[\s,])", re.IGNORECASE)


class KeysUnavailable(Exception):
    """The issuer's keys cannot be had now; says nothing about the token."""


class JwksSource(Protocol):
    """Where a verifier finds keys by `kid`."""

    def keys(self, issuer: str) -> Keys: ...


@runtime_checkable
class Refetching(Protocol):
    """A source that can look again when a `kid` is not known, and says whether it must look at all."""

    def refetched(self, issuer: str) -> Keys: ...

    def at_hand(self, issuer: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Held:
    keys: Keys = field(default_factory=dict)
    fresh_until: float = -math.inf
    stale_until: float = -math.inf


@dataclass(slots=True)
class _Issuer:
    """`lock` makes concurrent callers wait for one fetch; `held` is replaced whole: reading needs no lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    held: _Held = field(default_factory=_Held)
    attempted: float = -math.inf
    forced: float = -math.inf
    behind: threading.Lock = field(default_factory=threading.Lock)


def _thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="jwks", daemon=True).start()


class RemoteJwks:
    """Keys at `issuer/jwks`.

    Fresh for the answer's max-age (60 to 3600 s); for an hour more they are served while one background fetch
    replaces them; an error never clears them. An unknown `kid` costs at most one fetch per interval.
    """

    def __init__(
        self, fetch: Fetch, clock: Clock, min_refetch_interval: float = 30.0, background: Background = _thread
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._interval = min_refetch_interval
        self._background = background
        self._issuers: dict[str, _Issuer] = {}

    def keys(self, issuer: str) -> Keys:
        """The keys to verify with; KeysUnavailable when there never were any, or only ones too old."""
        state = self._issuers.get(issuer) or self._issuers.setdefault(issuer, _Issuer())
        held, now = state.held, self._clock()
        if now < held.fresh_until:
            return held.keys
        if now < held.stale_until:
            self._refresh_behind(issuer, state, now)
            return held.keys
        with state.lock:
            now = self._clock()
            if now < state.held.stale_until:  # another caller has fetched them meanwhile
                return state.held.keys
            if now < state.attempted + _RETRY_SECONDS or not self._refresh(issuer, state):
                raise KeysUnavailable(issuer)
            return state.held.keys

    def at_hand(self, issuer: str) -> bool:
        """Whether `keys` answers without waiting for a fetch."""
        state = self._issuers.get(issuer)
        return state is not None and self._clock() < state.held.stale_until

    def refetched(self, issuer: str) -> Keys:
        """The keys after at most one fetch per interval, which concurrent callers share."""
        state = self._issuers.get(issuer) or self._issuers.setdefault(issuer, _Issuer())
        with state.lock:
            if self._clock() >= state.forced + self._interval:
                state.forced = self._clock()
                self._refresh(issuer, state)
            return state.held.keys

    def _refresh_behind(self, issuer: str, state: _Issuer, now: float) -> None:
        if now < state.attempted + self._interval or not state.behind.acquire(blocking=False):
            return

        def work() -> None:
            try:
                with state.lock:
                    self._refresh(issuer, state)
            finally:
                state.behind.release()

        self._background(work)

    def _refresh(self, issuer: str, state: _Issuer) -> bool:
        """Replace what is held by what the issuer says now; on any failure keep it. Needs `state.lock`."""
        try:
            answer = self._fetch(f"{issuer}/jwks")
            keys = keys_from_jwks(json.loads(answer.body.decode("utf-8"))) if answer.status == 200 else {}
        except (RequestFailed, ValueError, RecursionError):
            keys = {}
        now = state.attempted = self._clock()  # after the fetch: who waited for a failure does not repeat it
        if keys:
            fresh_until = now + _lifetime(answer)
            state.held = _Held(keys, fresh_until, fresh_until + STALE_SECONDS)
        return bool(keys)


def _lifetime(answer: Answer) -> float:
    found = _MAX_AGE.search(answer.headers.get("cache-control", ""))
    least, most = _KEPT_SECONDS
    return min(max(float(found[1]), least), most) if found else _USUAL_SECONDS
