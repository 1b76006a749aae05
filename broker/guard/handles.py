"""MCP security best practices (state handle hijacking): what a server hands out is of use to whom it was handed."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from broker.guard.verifier import VerifiedToken

Kept = TypeVar("Kept")
_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose it is. A token of another client of the same user is somebody else's."""

    issuer: str
    tenant: str
    subject: str
    client_id: str

    @classmethod
    def of(cls, token: VerifiedToken) -> "Holder":
        return cls(token.issuer, token.tenant, token.subject, token.client_id)


class Handles(Generic[Kept]):
    """Session and task ids by holder, with what is kept beside them; at most `most`, a tenth of them of one holder.

    What is not known here was handed to nobody: the server of this process answered no such request.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most, self._most_of_one = most, max(1, most // 10)
        self._held: OrderedDict[str, tuple[Holder, Kept]] = OrderedDict()
        self._of: dict[Holder, OrderedDict[str, None]] = {}
        self._lock = threading.Lock()

    def bind(self, handle: str, holder: Holder, kept: Kept) -> bool:
        """False when it is somebody else's already."""
        with self._lock:
            found = self._held.get(handle)
            if found is not None and found[0] != holder:
                return False
            self._drop(handle)
            mine = self._of.setdefault(holder, OrderedDict())
            if len(mine) >= self._most_of_one:
                self._drop(next(iter(mine)))
            elif len(self._held) >= self._most:
                self._drop(next(iter(self._held)))
            self._held[handle] = (holder, kept)
            self._of.setdefault(holder, OrderedDict())[handle] = None
            return True

    def of(self, handle: str, holder: Holder) -> Kept | None:
        """What is kept beside a handle of this holder; None for any other handle."""
        with self._lock:
            found = self._held.get(handle)
            return found[1] if found is not None and found[0] == holder else None

    def holds(self, handle: str, holder: Holder) -> bool:
        return (found := self._held.get(handle)) is not None and found[0] == holder

    def _drop(self, handle: str) -> None:
        found = self._held.pop(handle, None)
        if found is not None:
            mine = self._of[found[0]]
            del mine[handle]
            if not mine:
                del self._of[found[0]]
