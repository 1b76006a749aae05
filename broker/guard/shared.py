"""Proofs that several replicas of one server take: what one took, another refuses (RFC 9449 section 11.1)."""

import hashlib
import math
from typing import Protocol

from broker.guard.possession import TooManyProofs

_LATE = 60
"""Seconds that a proof is remembered beyond its end, for replicas whose clocks differ."""


class Store(Protocol):
    """What is asked of the client of a shared store: `redis.Redis` has it, with a timeout and without retries."""

    def set(self, name: str, value: str, *, nx: bool, ex: int) -> object:
        """Keep `value` for `ex` seconds unless `name` is taken: then nothing, and None or False."""
        ...


class Shared:
    """The `Replays` of several processes. `prefix` keeps servers apart that use one store.

    A store that fails lets no proof through: TooManyProofs, which says to come again.
    """

    def __init__(self, store: Store, prefix: str = "mcp-guard:") -> None:
        self._store, self._prefix = store, prefix

    def use(self, holder: str, jti: str, until: float, now: float) -> bool:
        digest = hashlib.sha256(f"{holder}\0{jti}".encode("utf-8", "surrogatepass")).hexdigest()
        seconds = max(1, math.ceil(until - now)) + _LATE
        try:
            return bool(self._store.set(self._prefix + digest, "1", nx=True, ex=seconds))
        except Exception as error:  # whatever the client raises, the proof is not known to be new
            raise TooManyProofs from error
