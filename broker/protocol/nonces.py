"""RFC 9449 sections 8 and 9: nonces for proofs, derived from place and time, so that nobody has to remember them."""

import base64
import hmac

WINDOW = 120.0
"""Seconds in which one nonce is handed out; it is taken until the next window has ended."""
# One window more either way: processes whose clocks differ by less than a window take each other's nonces.
_WINDOWS = (0, -1, 1)


class Nonces:
    """`key` is shared by all processes that stand behind one place (a door, a resource), and for nothing else."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, place: str, now: float) -> str:
        """The nonce to demand here and now (epoch seconds)."""
        return self._at(place, int(now // WINDOW))

    def ends(self, nonce: str, place: str, now: float) -> float | None:
        """Until when this nonce is taken here; None when it is not, or not any more."""
        for step in _WINDOWS:
            window = int(now // WINDOW) + step
            if hmac.compare_digest(nonce.encode("utf-8", "surrogatepass"), self._at(place, window).encode()):
                return (window + 2) * WINDOW
        return None

    def _at(self, place: str, window: int) -> str:
        digest = hmac.digest(self._key, f"{place}\0{window}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:24]).decode("ascii")
