"""Chance, drawn here and nowhere else: 256-bit secrets, and ids that sort by time."""

import secrets
import threading
from typing import Protocol

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Entropy(Protocol):
    def secret(self, prefix: str = "") -> str:
        """A URL-safe secret of 256 random bits behind a fixed prefix that secret scanners can find."""
        ...

    def identifier(self, prefix: str, now: float) -> str:
        """A unique id, `prefix_` and 26 characters: 48 bits of milliseconds, then 80 random bits."""
        ...


class SystemEntropy:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = (0, 0)

    def secret(self, prefix: str = "") -> str:
        return prefix + secrets.token_urlsafe(32)

    def identifier(self, prefix: str, now: float) -> str:
        number = (int(now * 1000) << 80) | self._chance(int(now * 1000))
        digits = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
        return f"{prefix}_{''.join(digits)}"

    def _chance(self, millisecond: int) -> int:
        """80 bits that grow within a millisecond, so that ids sort in the order they were made."""
        with self._lock:
            last_millisecond, last = self._last
            if millisecond == last_millisecond:
                chance = (last + 1 + secrets.randbits(40)) % (1 << 80)
            else:
                chance = secrets.randbits(79)
            self._last = (millisecond, chance)
            return chance
