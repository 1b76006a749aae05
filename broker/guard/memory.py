"""What is remembered between requests of the same client: sessions, tasks, events, and calls that go on."""

import re
from dataclasses import dataclass, field
from typing import TypeGuard
from urllib.parse import parse_qs

from broker.guard.denied import Client
from broker.guard.handles import Handles, Holder
from broker.guard.running import Running
from broker.guard.sessions import Places, Session, key_of

_SESSION_PARAMETER = re.compile(r"session_?id", re.IGNORECASE)


class Tasks(Handles[Running | None]):
    """Tasks with the calls that they go on with; None where nobody decided one."""

    def begin(self, task: str, holder: Holder, running: Running | None) -> bool:
        """False when it is there already: what it was begun with stays."""
        return not self.holds(task, holder) and self.bind(task, holder, running)

    def lists(self, task: object, holder: Holder) -> TypeGuard[dict[str, object]]:
        """Whether a task of a list is one of this holder's."""
        found = task.get("taskId") if isinstance(task, dict) else None
        return isinstance(found, str) and self.holds(found, holder)


@dataclass(frozen=True, slots=True)
class Memory:
    """Sessions with what their clients can do, tasks, events, calls whose answers come elsewhere than to the request
    that made them, and the places that these take."""

    sessions: Handles[Session] = field(default_factory=Handles)
    tasks: Tasks = field(default_factory=Tasks)
    events: Handles[bool] = field(default_factory=Handles)
    calls: Handles[Running] = field(default_factory=Handles)
    clients: Handles[Client] = field(default_factory=Handles)
    places: Places = field(default_factory=Places)


def session_in(query: str) -> str | None:
    """The session that an address of the transport of 2024-11-05 names; ValueError where it names several."""
    found = {
        value
        for name, values in (parse_qs(query, keep_blank_values=True).items() if query else ())
        if _SESSION_PARAMETER.fullmatch(name)
        for value in values
    }
    if len(found) > 1:
        raise ValueError("more than one session")
    return found.pop() if found else None


def event_of(session: str, mark: str) -> str:
    """The handle of an event, by which a stream is resumed."""
    return f"{session}\0{mark}"


def call_of(session: str, identifier: object) -> str:
    """The handle of a call, by which its answer is known."""
    return f"{session}\0{key_of(identifier)}"
