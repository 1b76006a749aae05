"""MCP transports, JSON-RPC 2.0 section 4: a session, and which of its requests wait for their answers."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection

from broker.guard.denied import Client

Free = Callable[[], None]
_MOST_WAITING, _LONGEST_ID, _MOST_PLACES = 1024, 256, 20_000


def key_of(identifier: object) -> str:
    """An id as servers tell answers apart by it: 1, 1.0 and "1" are one."""
    if isinstance(identifier, bool) or (isinstance(identifier, float) and identifier.is_integer()):
        return str(int(identifier))
    return str(identifier)


class Session:
    """`client` is what the client of the session can do. An id that waits is taken until its answer was told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._waiting: dict[str, Free | None] = {}
        self._lock = threading.Lock()

    def take(self, keys: Collection[str]) -> bool:
        """Whether all of them were free, and none is too long."""
        with self._lock:
            if any(key in self._waiting or len(key) > _LONGEST_ID for key in keys):
                return False
            self._waiting.update(dict.fromkeys(keys))
            return True

    def lend(self, key: str, free: Free) -> None:
        """With an id that waits goes a place that is freed by its answer."""
        with self._lock:
            self._waiting[key] = free

    def answered(self, key: str) -> bool:
        """Whether it waited."""
        with self._lock:
            waited = key in self._waiting
            free = self._waiting.pop(key, None)
        if free is not None:
            free()
        return waited

    @property
    def full(self) -> bool:
        """Too many of its answers never came: nothing can be told apart in it any more."""
        return len(self._waiting) >= _MOST_WAITING


class Places:
    """Places of calls that go on without their clients, each until it is answered, at most until its time is over."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[float, Free]] = OrderedDict()
        self._next, self._lock = 0, threading.Lock()

    def keep(self, free: Free, until: float) -> None:
        """`until` in epoch seconds. `free` may be called by others before, and is called once more then."""
        with self._lock:
            self._next += 1
            self._kept[self._next] = (until, free)
            first = self._kept.popitem(last=False) if len(self._kept) > _MOST_PLACES else None
        if first is not None:
            first[1][1]()

    def sweep(self, now: float) -> None:
        """Free those whose time is over."""
        with self._lock:
            over = [number for number, (until, _) in self._kept.items() if until <= now]
            frees = [self._kept.pop(number)[1] for number in over]
        for free in frees:
            free()


def once(free: Free) -> Free:
    """As `free`, and nothing from the second time on."""
    left, lock = [free], threading.Lock()

    def freed() -> None:
        with lock:
            found = left.pop() if left else None
        if found is not None:
            found()

    return freed
