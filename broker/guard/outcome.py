"""What became of a permitted call, told to the broker afterwards: in the background, again while it does not listen."""

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice

_log = logging.getLogger(__name__)
_MOST, _BATCH = 10_000, 100
_SOON_SECONDS = 0.2
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0)
"""Seconds before each further attempt; after the last of them a report is given up."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is told to the door `issuer`, at `path` under it."""

    issuer: str
    path: str
    members: Mapping[str, object] = field(repr=False)


Post = Callable[[str, str, list[Mapping[str, object]]], bool]
"""Tells a door, at this path, of a batch: whether it has them, or never will. May raise nothing."""


class Reporter:
    """Tells in order, in a thread of its own; at most 10,000 wait, more are given up, with a warning."""

    def __init__(self, post: Post, soon: float = _SOON_SECONDS) -> None:
        self._post, self._soon = post, soon
        self._waiting: deque[Report] = deque()
        self._lock, self._wake, self._sending = threading.Lock(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    def tell(self, report: Report) -> None:
        with self._lock:
            if len(self._waiting) >= _MOST:
                _log.warning("A report of a call is given up: too many wait.")
                return
            self._waiting.append(report)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="guard-reports", daemon=True)
                self._thread.start()
                atexit.register(self.flush)
        self._wake.set()

    def flush(self) -> bool:
        """Tell of everything that waits, once; whether nothing is left."""
        with self._sending:
            while batch := self._next():
                if not self._post(batch[0].issuer, batch[0].path, [report.members for report in batch]):
                    return False
                self._done(len(batch))
        return True

    def _next(self) -> list[Report]:
        """The first reports that go to one address together."""
        with self._lock:
            first = list(islice(self._waiting, _BATCH))
        where = (first[0].issuer, first[0].path) if first else None
        together = next((at for at, one in enumerate(first) if (one.issuer, one.path) != where), len(first))
        return first[:together]

    def _done(self, count: int) -> None:
        with self._lock:
            for _ in range(min(count, len(self._waiting))):
                self._waiting.popleft()

    def _work(self) -> None:
        attempt = 0
        pause = threading.Event()  # never set: what waits on it waits its seconds
        while True:
            self._wake.wait()
            self._wake.clear()
            pause.wait(self._soon)
            while not self.flush():
                if attempt == len(_PAUSES):
                    _log.warning(
                        "Reports of %d calls are given up: the broker does not take them.", len(self._next())
                    )
                    self._done(len(self._next()))
                    attempt = 0
                else:
                    pause.wait(_PAUSES[attempt])
                    attempt += 1
            attempt = 0
