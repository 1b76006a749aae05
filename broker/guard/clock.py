"""Epoch seconds, and what is used once: the only reader of time and chance in this room."""

import secrets
import time
from collections.abc import Callable

Clock = Callable[[], float]


def system() -> float:
    """Seconds since the epoch."""
    return time.time()


def unique() -> str:
    """A text that nobody had before."""
    return secrets.token_urlsafe(16)
