"""A call that was let through, until what became of it is known: once, whoever says it first."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from broker.guard.decision import Permit, Question
from broker.guard.jsonrpc import Message, dumped
from broker.protocol import jcs

_SMALL = 4 * 1024
_GONE = Message(None, None, None)


class Status(StrEnum):
    """`unknown`: given up, or its client went away; it may have had an effect."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Told:
    """What the client got of it: SHA-256 (hex) over the JCS form, and the size in bytes. `result` where it is small."""

    digest: str
    size: int
    result: object = field(default=None, repr=False)

    @classmethod
    def of(cls, result: object) -> "Told":
        try:
            form = jcs.canonical(result)
        except ValueError:
            form = dumped(result)
        return cls(hashlib.sha256(form).hexdigest(), len(form), result if len(form) <= _SMALL else None)


@dataclass(slots=True)
class Running:
    """`at`: when it was let through, in epoch seconds.

    `noted` is what the tool said of it: downstream request id, cost, how to undo it. `tasked`: its client asked for a
    task. What was asked and the token's text are kept no longer than somebody is still told of them.
    """

    question: Question
    permit: Permit
    ended: Callable[["Running", Status, Told | None], None] = field(repr=False)
    at: float = 0.0
    noted: dict[str, object] = field(default_factory=dict)
    tasked: bool = False
    _over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.tasked = "task" in self.question.message.params
        if self.permit.decision_id is not None:
            self._forget()

    @property
    def redacts(self) -> bool:
        return bool(self.permit.obligations.redact)

    def result(self, result: Mapping[str, object]) -> dict[str, object]:
        """The result as it may be told. One that asks for input came to nothing."""
        told = self.permit.obligations.result(result)
        failed = result.get("resultType") == "input_required" or result.get("isError") is True
        self.end(Status.FAILED if failed else Status.OK, told)
        return told

    def error(self, error: object) -> object:
        told = self.permit.obligations.error(error)
        self.end(Status.FAILED, told)
        return told

    def end(self, status: Status, told: object = None) -> None:
        with self._lock:
            over, self._over = self._over, True
        if not over:
            self.ended(self, status, None if told is None else Told.of(told))
            self._forget()

    def note(self, **said: object) -> None:
        self.noted.update({name: value for name, value in said.items() if value is not None})

    def _forget(self) -> None:
        token = replace(self.question.token, claims={}, actors=())
        self.question = replace(self.question, token=token, text="", message=_GONE)


def task_of(result: Mapping[str, object]) -> str | None:
    """The id of the task that a result hands out (MCP 2025-11-25, tasks)."""
    task = result.get("task")
    found = task.get("taskId") if isinstance(task, Mapping) else result.get("taskId")
    return found if isinstance(found, str) else None
