"""The answer of a WSGI application (PEP 3333), waited for as long, and read as far, as a call may take."""

import contextvars
import threading
from collections.abc import Callable, Iterable, MutableMapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from broker.guard.answers import LARGEST_ANSWER, TooLarge
from broker.guard.passage import Passage
from broker.guard.request import Headers

Environ = MutableMapping[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]
_JSON: Headers = ((b"content-type", b"application/json"),)


class _GivenUp(Exception):
    """Nobody waits for the answer any more."""


@dataclass(slots=True)
class _Answered:
    """What an application said so far: status line, headers and body."""

    status: str = "500 Internal Server Error"
    headers: Headers = ()
    body: bytearray = field(default_factory=bytearray)
    given_up: bool = False

    def begin(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        self.status = status
        self.headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        return self.add

    def add(self, data: bytes) -> None:
        """TooLarge, or _GivenUp: the application is not asked for more."""
        if self.given_up:
            raise _GivenUp
        if len(self.body) + len(data) > LARGEST_ANSWER:
            raise TooLarge
        self.body += data


def whole(
    app: App, environ: Environ, passage: Passage, context: contextvars.Context
) -> tuple[str, Headers, bytes]:
    """Status line, headers and body of the answer to messages, as they are told."""
    answered = _Answered()
    over, passage.over = passage.over, None  # the place is taken until the application is done, however late

    def work() -> None:
        try:
            _read(app, environ, answered)
        finally:
            if over is not None:
                over()

    status: int | None = None
    try:
        if not _within(passage.timeout, lambda: context.run(work)):
            answered.given_up = True
            return "200 OK", _JSON, passage.fail("timeout")
        status = int(answered.status.split(" ", 1)[0])
        headers, _ = passage.start(status, answered.headers)
        told = passage.feed(bytes(answered.body))
        return answered.status, headers, told if passage.failed else told + passage.end()
    except TooLarge:
        return "200 OK", _JSON, passage.fail("too_large")
    finally:
        passage.close(status)


def _read(app: App, environ: Environ, answered: _Answered) -> None:
    chunks = app(environ, answered.begin)
    try:
        for chunk in chunks:
            answered.add(chunk)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()


def _within(seconds: float | None, work: Callable[[], None]) -> bool:
    """Whether the work was done in time; whatever it raises is raised here."""
    if seconds is None:
        work()
        return True
    done: Future[None] = Future()

    def aside() -> None:
        try:
            work()
            done.set_result(None)
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=aside, name="guarded-call", daemon=True).start()
    try:
        done.result(seconds)
    except TimeoutError:
        if not done.done():
            return False
        raise
    return True
