"""What became of a call, told to the broker afterwards: in the background, again while it does not listen."""

import atexit
import hashlib
import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from broker.guard.decision import PostJson
from broker.guard.fetch import RequestFailed
from broker.guard.jsonrpc import dumped
from broker.guard.running import Running, Status, Told
from broker.protocol import jcs

_log = logging.getLogger(__name__)
_MOST, _MOST_TOGETHER = 10_000, 200
_SOON_SECONDS = 0.1
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0)
"""Seconds before each further attempt; after the last of them a report is given up."""
_TAKEN = frozenset({200, 400, 404, 409, 413})
"""Answers after which nothing is gained by saying it again."""


@dataclass(frozen=True, slots=True)
class Report:
    """To the door `issuer`: the outcome of a decision, or (`decided` False) a call that this guard let through."""

    issuer: str
    members: Mapping[str, object] = field(repr=False)
    decided: bool = True


class Outcomes:
    """Tells in order, in a thread of its own; at most 10,000 reports wait, more are given up, with a warning."""

    def __init__(self, post: PostJson, credentials: Mapping[str, str], soon: float = _SOON_SECONDS) -> None:
        self._post, self._credentials, self._soon = post, credentials, soon
        self._waiting: deque[Report] = deque()
        self._lock, self._wake, self._sending = threading.Lock(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    def ended(self, running: Running, status: Status, told: Told | None) -> None:
        """What `Running` calls at its end."""
        decision_id, issuer = running.permit.decision_id, running.question.token.issuer
        members = {"status": status.value, **running.noted, **_of(told)}
        if decision_id is None:
            self._tell(Report(issuer, {**_call(running), **members}, decided=False))
        else:
            small = told is not None and told.result is not None and running.question.key is not None
            kept = {"result": told.result} if told and small and status is Status.OK else {}
            self._tell(Report(issuer, {"decision_id": decision_id, **members, **kept}))

    def flush(self) -> bool:
        """Tell of everything that waits, once; whether nothing is left."""
        with self._sending:
            while batch := self._next():
                if not self._told(batch):
                    return False
                self._done(len(batch))
        return True

    def _tell(self, report: Report) -> None:
        with self._lock:
            if len(self._waiting) >= _MOST:
                _log.warning("A report of a call is given up: too many wait.")
                return
            self._waiting.append(report)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="guard-outcomes", daemon=True)
                self._thread.start()
                atexit.register(self.flush)
        self._wake.set()

    def _next(self) -> list[Report]:
        """The first report, and those after it that can be told with it."""
        with self._lock:
            waiting = list(self._waiting)[:_MOST_TOGETHER]
        first = waiting[:1]
        if not first or first[0].decided:
            return first
        return list(takewhile(lambda one: not one.decided and one.issuer == first[0].issuer, waiting))

    def _told(self, batch: Sequence[Report]) -> bool:
        """Whether the door has them, or never will."""
        first = batch[0]
        members = first.members if first.decided else {"calls": [report.members for report in batch]}
        try:
            url = f"{first.issuer}/access/v1/outcomes"
            status = self._post(url, dumped(members), self._credentials).status
        except RequestFailed:
            return False
        if status != 200 and status in _TAKEN:
            _log.warning("The broker does not take a report of a call (%d).", status)
        return status in _TAKEN

    def _done(self, count: int) -> None:
        with self._lock:
            for _ in range(count):
                self._waiting.popleft()

    def _work(self) -> None:
        pause = threading.Event()  # never set: what waits on it waits its seconds
        while True:
            self._wake.wait()
            self._wake.clear()
            pause.wait(self._soon)
            attempt = 0
            while not self.flush():
                if attempt < len(_PAUSES):
                    pause.wait(_PAUSES[attempt])
                    attempt += 1
                    continue
                with self._sending:
                    batch = self._next()
                    self._done(len(batch))
                _log.warning("Reports of %d calls are given up: the broker does not take them.", len(batch))


def _of(told: Told | None) -> dict[str, object]:
    return {} if told is None else {"result_digest": told.digest, "result_size": told.size}


def _call(running: Running) -> dict[str, object]:
    """A call as the guard that decided it tells of it; the token is named and not sent."""
    question = running.question
    members = {
        "id": question.request_id,
        "jti": question.token.jti,
        "tool": question.name,
        "at": running.at,
        "request_id": question.request_id,
        "intent": question.intent,
        "arguments_digest": _digest(question.arguments),
    }
    return {name: value for name, value in members.items() if value is not None}


def _digest(arguments: Mapping[str, object]) -> str | None:
    try:
        return hashlib.sha256(jcs.canonical(arguments)).hexdigest()
    except ValueError:
        return None
