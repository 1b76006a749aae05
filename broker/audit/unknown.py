"""Law 7: what a stranger says may be a secret in the wrong place, and what is recorded stays."""

import hashlib
import re

_ORIGIN = re.compile(
    r"https?://(?:[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+|localhost|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?=[/?#]|$)"
)
_DIGITS = 12


def unknown(said: str) -> str:
    """How the evidence names a text that nothing here knows: by a hash, an address by its origin too."""
    hashed = "sha256:" + hashlib.sha256(said.encode()).hexdigest()[:_DIGITS]
    origin = _ORIGIN.match(said)
    return f"{origin[0]} {hashed}" if origin else hashed
