"""One request that was let through, and each message of its answer before the client is told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from broker.guard import denied, listing, said
from broker.guard.answers import Events, TooLarge, Whole
from broker.guard.denied import Client
from broker.guard.handles import Holder
from broker.guard.jsonrpc import Identifier, Message, dumped
from broker.guard.memory import Memory, call_of, event_of, session_in
from broker.guard.methods import LISTEN
from broker.guard.obligations import withheld
from broker.guard.request import Headers
from broker.guard.running import Running, Status, task_of
from broker.guard.sessions import Session, key_of, once

_SESSION = b"mcp-session-id"
_OF_A_CALL = ("content", "structuredContent", "contents", "messages")
_ALWAYS = ("tools/list", "tasks/")
ACCEPTED, ERROR = 202, 400
_LONGEST_PLACE = 300.0
"""Seconds for which a call without a timeout keeps its place when its client went away."""


@dataclass(slots=True)
class Passage:
    """`messages` are those of the request. `running` are its calls that were decided, by the id of their message.

    `may`: whether the token may call a tool. `decides`: nothing of a call that nobody decided is told. `lasting`: the
    messages whose calls go on when this request is over. `overhears`: whether words of a tool under redaction may be
    heard where no call of this request is. `over` frees the place of the call; its time ends at `until`, epoch seconds.
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
    until: float = 0.0
    overhears: Callable[[], bool] = lambda: False
    failed: bool = False
    _made: Identifier = None
    _answer: Whole | Events | None = None
    _told: set[object] = field(default_factory=set)

    def begin(self) -> int | None:
        """Take the ids of the requests; the status of the refusal where one is in use, or the session is used up."""
        keys = [key_of(one.id) for one in self._requests]
        if len(keys) != len(set(keys)):
            return 400
        session = self._session
        if session is None or not keys:
            return None
        return 404 if session.full else None if session.take(keys) else 400

    def enter(
        self,
        call: Message,
        running: Running | None,
        timeout: float | None,
        free: Callable[[], None],
        now: float,
    ) -> None:
        """A call of this request may be made; `free` frees its place, and is called once."""
        self.timeout, self.over, self._made = timeout, once(free), call.id
        self.until = now + (_LONGEST_PLACE if timeout is None else timeout)
        session = self._session
        if session is not None and call.id is not None:
            session.lend(key_of(call.id), self.over)
        if running is not None:
            self.running[call.id] = running
            if self.session is not None:
                self.memory.calls.bind(call_of(self.session, call.id), self.holder, running)

    def leave(self) -> None:
        """Nothing of it reaches the application, or comes back from there: its ids and its place are free."""
        for one in self._requests:
            self._answered(one.id)
        if self.over is not None:
            self.over()

    def start(self, status: int, headers: Headers) -> tuple[Headers, bool]:
        """The headers of the answer as they are told, and whether they wait for its end: their length is not known."""
        kinds = [value for name, value in headers if name.lower() == b"content-type"]
        kind = kinds[0].split(b";")[0].strip().lower() if kinds else b""
        for name, value in headers:
            if name.lower() == _SESSION:
                self._opened(value.decode("latin-1"))
        if kind == b"text/event-stream":
            others = () if self.messages else ("endpoint",)
            self._answer = Events(self._message, self._event, strict=self._quiet, others=others)
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

        After 202 the answer comes on another stream of the session. An error says that nothing was done. In a session
        a call that was not answered goes on, and keeps its place.
        """
        failed = status is not None and status >= ERROR
        over, self.over = self.over, None
        if over is not None and self.session is not None and not failed:
            self.memory.places.keep(over, self.until)
        elif over is not None:
            over()
        if failed:
            self.leave()
        elsewhere = status == ACCEPTED and self.session is not None
        for identifier, running in self.running.items():
            if identifier not in self.lasting and not elsewhere:
                running.end(Status.FAILED if failed else Status.UNKNOWN)

    @property
    def call(self) -> Running | None:
        """The call of this request that was decided."""
        return next((one for key, one in self.running.items() if key not in self.lasting), None)

    @property
    def _requests(self) -> list[Message]:
        return [one for one in self.messages if one.method is not None and one.id is not None]

    @property
    def _session(self) -> Session | None:
        return None if self.session is None else self.memory.sessions.of(self.session, self.holder)

    @property
    def _redacts(self) -> bool:
        return any(running.redacts for running in self.running.values())

    @property
    def _quiet(self) -> bool:
        """Nothing is told in words that nobody looked at."""
        listens = not self.messages or any(one.method == LISTEN for one in self.messages)
        return self._redacts or (listens and self.overhears())

    @property
    def _looked_at(self) -> bool:
        methods = [message.method or "" for message in self.messages]
        tasks = any("task" in message.params for message in self.messages)
        asked = self.session is not None and bool(self._requests)
        return bool(self.running) or tasks or asked or any(one.startswith(_ALWAYS) for one in methods)

    def _opened(self, session: str) -> None:
        """The server has given this session to the client."""
        sessions = self.memory.sessions
        if self.session is None and (
            sessions.holds(session, self.holder) or sessions.bind(session, self.holder, Session(self.client))
        ):
            self.session = session

    def _event(self, kind: str, data: str, mark: str | None) -> None:
        if kind == "endpoint":  # the transport of 2024-11-05 names the session in the address to post to
            found = session_in(urlsplit(data).query)
            if found is not None:
                self._opened(found)
        if mark and self.session is not None:
            self.memory.events.bind(event_of(self.session, mark), self.holder, True)

    def _message(self, message: dict[str, object]) -> dict[str, object] | None:
        if "method" in message and "result" not in message and "error" not in message:
            return said.told(message, strict=self._redacts) if self._quiet else message
        identifier = _identifier(message.get("id"))
        running = self._running(identifier)
        waited = self._answered(identifier)
        if running is not None:
            return self._of_a_call(identifier, running, message)
        asked = next((one for one in self._requests if one.id == identifier), None)
        if self._quiet and asked is None and not waited:
            if "error" in message:
                return {"jsonrpc": "2.0", "id": identifier, "error": withheld(message["error"])}
            if self.messages:
                return denied.failed(None, identifier, "withheld")
        return self._of_no_call(asked, identifier, message)

    def _of_a_call(
        self, identifier: Identifier, running: Running, message: dict[str, object]
    ) -> dict[str, object]:
        """Of a call its result, the task that goes on with it, or its error; nothing else where it is redacted."""
        result = message.get("result")
        plain = {"jsonrpc": "2.0", "id": identifier} if running.redacts else message
        if isinstance(result, dict):
            return {**plain, "result": self._result(identifier, running, result)}
        if "error" in message:
            return {**plain, "error": running.error(message["error"])}
        return denied.failed("tools/call", identifier, "withheld") if running.redacts else message

    def _result(
        self, identifier: Identifier, running: Running, result: dict[str, object]
    ) -> dict[str, object]:
        task = task_of(result)
        lasts = identifier in self.lasting
        if task is None or not (lasts or self._hands_out(task, running, result)):
            return running.result(result)
        if self.messages:
            self.lasting.add(identifier)
        inner, told = result.get("result"), said.task(result) if running.redacts else result
        return {**told, "result": running.result(inner)} if lasts and isinstance(inner, dict) else told

    def _hands_out(self, task: str, running: Running, result: dict[str, object]) -> bool:
        """Whether the call goes on as a task that was not there before."""
        asked = running.tasked or result.get("resultType") == "task"
        return asked and self.memory.tasks.begin(task, self.holder, running)

    def _of_no_call(
        self, asked: Message | None, identifier: Identifier, message: dict[str, object]
    ) -> dict[str, object]:
        result = message.get("result")
        if not isinstance(result, dict):
            return message
        unasked = bool(self.running) or not self.messages
        if self.decides and unasked and any(name in result for name in _OF_A_CALL):
            return denied.failed("tools/call", identifier, "unavailable")
        if listing.is_listing(result):
            return {**message, "result": listing.filtered(result, self.may, self.client)}
        tasks, task = result.get("tasks"), task_of(result)
        if isinstance(tasks, list):
            mine = [one for one in tasks if self.memory.tasks.lists(one, self.holder)]
            return {**message, "result": {**result, "tasks": [self._task(one) for one in mine]}}
        if task is None:
            return message
        if asked is not None and "task" in asked.params:
            self.memory.tasks.begin(task, self.holder, None)
        return {**message, "result": self._task(result)}

    def _task(self, told: dict[str, object]) -> dict[str, object]:
        """A task, or an answer about one, without words where its call is redacted."""
        held = self.memory.tasks.of(task_of(told) or "", self.holder)
        return said.task(told) if held is not None and held.redacts else told

    def _answered(self, identifier: Identifier) -> bool:
        """Whether a request of the session waited for this answer; its id and its place are free now."""
        if identifier is None:
            return False
        if self.messages:
            self._told.add(identifier)
        if self.over is not None and identifier == self._made:
            self.over()
            self.over = None
        session = self._session
        return session is not None and session.answered(key_of(identifier))

    def _running(self, identifier: Identifier) -> Running | None:
        if identifier is None or identifier in self.running:
            return self.running.get(identifier)
        if self.session is None or any(one.id == identifier for one in self._requests):
            return None
        return self.memory.calls.of(call_of(self.session, identifier), self.holder)


def _identifier(value: object) -> Identifier:
    return value if isinstance(value, (str, int, float)) else None
