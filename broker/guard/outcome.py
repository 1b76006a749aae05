"""What became of a call, told to the broker afterwards: in the background, again while it does not listen."""

import atexit
import hashlib
import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from broker.guard.clock import Clock, system
from broker.guard.decision import PostJson
from broker.guard.fetch import RequestFailed
from broker.guard.jsonrpc import dumped
from broker.guard.running import Running, Status, Told
from broker.protocol import jcs

_log = logging.getLogger(__name__)
_MOST, _MOST_TOGETHER = 10_000, 200
_SOON_SECONDS = 0.1
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds before each further attempt, and the last of them before all that follow."""
_GIVEN_UP_SECONDS = 3600.0
_MALFORMED = frozenset({400, 413})
"""Answers to something that the door cannot read, which may be a part of what was sent."""
_TAKEN = frozenset({200, 404, 409}) | _MALFORMED
"""Answers after which nothing is gained by saying it again."""


@dataclass(frozen=True, slots=True)
class Report:
    """To the door `issuer`: the outcome of a decision, or (`decided` False) a call that this guard let through.

    `since`: when it began to wait, in epoch seconds.
    """

    issuer: str
    members: Mapping[str, object] = field(repr=False)
    decided: bool = True
    since: float = 0.0


class Outcomes:
    """Tells in a thread of its own, in order while the door takes what it is told.

    At most 10,000 reports wait, more are given up, and so is each that has waited for an hour; with a warning.
    """

    def __init__(
        self,
        post: PostJson,
        credentials: Mapping[str, str],
        soon: float = _SOON_SECONDS,
        clock: Clock = system,
    ) -> None:
        self._post, self._credentials, self._soon, self._clock = post, credentials, soon, clock
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
            self._give_up()
            while batch := self._next():
                if not self._told(batch):
                    with self._lock:
                        self._waiting.rotate(-len(batch))  # what a door chokes on holds up nothing behind it
                    return False
                self._done(len(batch))
        return True

    def _tell(self, report: Report) -> None:
        with self._lock:
            if len(self._waiting) >= _MOST:
                _log.warning("A report of a call is given up: too many wait.")
                return
            self._waiting.append(replace(report, since=self._clock()))
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
        if status in _MALFORMED and (parts := _parts(batch)):
            return all(self._told([part]) for part in parts)
        if status != 200 and status in _TAKEN:
            _log.warning("The broker does not take a report of a call (%d).", status)
        return status in _TAKEN

    def _done(self, count: int) -> None:
        with self._lock:
            for _ in range(count):
                self._waiting.popleft()

    def _give_up(self) -> None:
        oldest = self._clock() - _GIVEN_UP_SECONDS
        with self._lock:
            kept = [report for report in self._waiting if report.since > oldest]
            gone = len(self._waiting) - len(kept)
            if gone:
                self._waiting = deque(kept)
        if gone:
            _log.warning("Reports of %d calls are given up: the broker does not take them.", gone)

    def _work(self) -> None:
        pause = threading.Event()  # never set: what waits on it waits its seconds
        while True:
            self._wake.wait()
            self._wake.clear()
            pause.wait(self._soon)
            attempt = 0
            while not self.flush():
                pause.wait(_PAUSES[min(attempt, len(_PAUSES) - 1)])
                attempt += 1


def _parts(batch: Sequence[Report]) -> list[Report]:
    """What may be read where the whole was not: each report alone, and a single one without the tool's answer."""
    if len(batch) > 1:
        return list(batch)
    [report] = batch
    members = {name: value for name, value in report.members.items() if name != "result"}
    return [replace(report, members=members)] if "result" in report.members else []


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
