"""One request that was let through, and each message of its answer before the client is told."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from broker.guard import denied, listing
from broker.guard.answers import Events, TooLarge, Whole
from broker.guard.denied import Client
from broker.guard.handles import Handles, Holder
from broker.guard.jsonrpc import Message, dumped
from broker.guard.request import Headers
from broker.guard.running import Running, Status, task_of

_SESSION = b"mcp-session-id"
_SESSION_PARAMETER = re.compile(r"session_?id", re.IGNORECASE)
_OF_A_CALL = ("content", "structuredContent", "contents", "messages")
ACCEPTED, ERROR = 202, 400
_LOG, _PROGRESS = "notifications/message", "notifications/progress"


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered between requests: sessions with what their clients can do, tasks, events, and calls whose
    answers come elsewhere than to the request that made them."""

    sessions: Handles[Client] = field(default_factory=Handles)
    tasks: Handles[Running | None] = field(default_factory=Handles)
    events: Handles[bool] = field(default_factory=Handles)
    calls: Handles[Running] = field(default_factory=Handles)
    clients: Handles[Client] = field(default_factory=Handles)


@dataclass(slots=True)
class Passage:
    """`messages` are those of the request. `running` are its calls that were decided, by the id of their message.

    `may`: whether the token may call a tool. `decides`: nothing of a call that nobody decided is told. `lasting`: the
    messages whose calls go on when this request is over.
    """

    holder: Holder
    client: Client
    memory: Memory
    may: listing.May
    messages: tuple[Message, ...] = ()
    session: str | None = None
    running: dict[object, Running] = field(default_factory=dict)
    lasting: set[object] = field(default_factory=set)
    decides: bool = False
    timeout: float | None = None
    over: Callable[[], None] | None = None
    failed: bool = False
    _answer: Whole | Events | None = None
    _told: set[object] = field(default_factory=set)

    def start(self, status: int, headers: Headers) -> tuple[Headers, bool]:
        """The headers of the answer as they are told, and whether they wait for its end: their length is not known."""
        kinds = [value for name, value in headers if name.lower() == b"content-type"]
        kind = kinds[0].split(b";")[0].strip().lower() if kinds else b""
        for name, value in headers:
            if name.lower() == _SESSION:
                self._opened(value.decode("latin-1"))
        if kind == b"text/event-stream":
            self._answer = Events(self._message, self._event, strict=self._redacts)
        elif self._redacts or (kind == b"application/json" and self._looked_at):
            self._answer = Whole(self._message, strict=self._redacts)
        changed = self._answer is not None
        kept = tuple(pair for pair in headers if not changed or pair[0].lower() != b"content-length")
        return kept, isinstance(self._answer, Whole)

    def feed(self, chunk: bytes) -> bytes:
        """What may be told of the answer by now."""
        try:
            return chunk if self._answer is None else self._answer.feed(chunk)
        except TooLarge:
            return self.fail("too_large")

    def end(self) -> bytes:
        """The rest of the answer."""
        return b"" if self._answer is None else self._answer.end()

    def fail(self, reason: str) -> bytes:
        """What is told instead of the rest: that each call which is not answered failed. It may have had an effect."""
        streamed, self._answer, self.failed = isinstance(self._answer, Events), None, True
        failures = [
            denied.failed(message.method, message.id, reason)
            for message in self.messages
            if message.id is not None and message.method is not None and message.id not in self._told
        ]
        for identifier, running in self.running.items():
            if identifier not in self.lasting:
                running.end(Status.UNKNOWN)
        if streamed:
            return b"".join(b"event: message\r\ndata: " + dumped(one) + b"\r\n\r\n" for one in failures)
        return dumped(failures[0] if len(failures) == 1 else failures)

    def close(self, status: int | None) -> None:
        """The request is over, answered with this status, or with none as its client went away.

        After 202 the answer comes on another stream of the session. An error says that nothing was done.
        """
        over, self.over = self.over, None
        if over is not None:
            over()
        elsewhere = status == ACCEPTED and self.session is not None
        for identifier, running in self.running.items():
            if identifier not in self.lasting and not elsewhere:
                running.end(Status.FAILED if status is not None and status >= ERROR else Status.UNKNOWN)

    def remember(self) -> None:
        """Answers to these calls may come, or come again, on another stream of the session."""
        if self.session is not None:
            for identifier, running in self.running.items():
                self.memory.calls.bind(_call(self.session, identifier), self.holder, running)

    @property
    def call(self) -> Running | None:
        """The call of this request that was decided."""
        return next((one for key, one in self.running.items() if key not in self.lasting), None)

    @property
    def _redacts(self) -> bool:
        return any(running.permit.obligations.redact for running in self.running.values())

    @property
    def _looked_at(self) -> bool:
        methods = {message.method for message in self.messages}
        tasks = any("task" in message.params for message in self.messages)
        return bool(self.running) or tasks or bool({"tools/list", "tasks/list"} & methods)

    def _opened(self, session: str) -> None:
        """The server has given this session to the client."""
        if self.session is None and self.memory.sessions.bind(session, self.holder, self.client):
            self.session = session

    def _event(self, kind: str, data: str, mark: str | None) -> None:
        if kind == "endpoint":  # the transport of 2024-11-05 names the session in the address to post to
            found = session_in(urlsplit(data).query)
            if found is not None:
                self._opened(found)
        if mark and self.session is not None:
            self.memory.events.bind(event_of(self.session, mark), self.holder, True)

    def _message(self, message: dict[str, object]) -> dict[str, object] | None:
        if "method" in message:
            return self._said(message)
        identifier, result = message.get("id"), message.get("result")
        running = self._running(identifier)
        self._told.add(identifier)
        if not isinstance(result, dict):
            if running is None or "error" not in message:
                return message
            error = running.error(message["error"])
            return message if error is message["error"] else {**message, "error": error}
        if listing.is_listing(result):
            return {**message, "result": listing.filtered(result, self.may, self.client)}
        tasks = result.get("tasks")
        if isinstance(tasks, list):
            return {**message, "result": {**result, "tasks": [task for task in tasks if self._mine(task)]}}
        task = task_of(result)
        if task is not None and identifier not in self.lasting:
            self.memory.tasks.bind(task, self.holder, running)
            self.lasting.add(identifier)
        if running is not None:
            return {**message, "result": self._of_a_call(running, result)}
        unasked = bool(self.running) or not self.messages
        if self.decides and unasked and any(name in result for name in _OF_A_CALL):
            return denied.failed("tools/call", _identifier(identifier), "unavailable")
        return message

    def _of_a_call(self, running: Running, result: dict[str, object]) -> dict[str, object]:
        """The result of a call, or a task with it in it, or without."""
        if task_of(result) is None:
            return running.result(result)
        inner = result.get("result")
        return {**result, "result": running.result(inner)} if isinstance(inner, dict) else result

    def _mine(self, task: object) -> bool:
        found = task.get("taskId") if isinstance(task, Mapping) else None
        return isinstance(found, str) and self.memory.tasks.holds(found, self.holder)

    def _running(self, identifier: object) -> Running | None:
        if not isinstance(identifier, (str, int, float)):
            return None
        if identifier in self.running or self.messages:
            return self.running.get(identifier)
        if self.session is None:
            return None
        return self.memory.calls.of(_call(self.session, identifier), self.holder)

    def _said(self, message: dict[str, object]) -> dict[str, object] | None:
        """What a server says while it works: of a tool under redaction, how far it is, and not in words."""
        if not self._redacts:
            return message
        params = message.get("params")
        if message.get("method") == _PROGRESS and isinstance(params, Mapping):
            return {**message, "params": {name: params[name] for name in params if name != "message"}}
        return None if message.get("method") == _LOG else message


def session_in(query: str) -> str | None:
    """The session that an address of the transport of 2024-11-05 names."""
    for name, values in parse_qs(query).items() if query else ():
        if _SESSION_PARAMETER.fullmatch(name):
            return values[0]
    return None


def event_of(session: str, mark: str) -> str:
    """The handle of an event, by which a stream is resumed."""
    return f"{session}\0{mark}"


def _call(session: str, identifier: object) -> str:
    return f"{session}\0{type(identifier).__name__}\0{identifier}"


def _identifier(value: object) -> str | int | float | None:
    return value if isinstance(value, (str, int, float)) else None
