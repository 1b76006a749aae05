"""The guard before a WSGI application (PEP 3333)."""

import contextvars
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlsplit

from broker.guard.challenges import ScopesFor
from broker.guard.gate import Entered, Gate
from broker.guard.guard import Guard
from broker.guard.passage import Passage
from broker.guard.possession import TooManyProofs
from broker.guard.request import LARGEST_BODY, Headers, Reply, Request
from broker.guard.verifier import TokenRefused
from broker.guard.waited import App, Environ, StartResponse, whole

_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
}
_PLAIN = ("CONTENT_TYPE", "CONTENT_LENGTH")


class GuardMiddleware:
    """As the one for ASGI; `environ["guard.token"]` is the verified token.

    A call that takes too long is answered and reported, and its thread goes on until the application says something: a
    thread cannot be ended from outside. It keeps its place among the calls at once.
    """

    def __init__(
        self, app: App, guard: Guard, scopes_for: ScopesFor | None = None, public: Collection[str] = ()
    ) -> None:
        self._app, self._guard = app, guard
        self._gate = Gate(guard, scopes_for, public)
        parts = urlsplit(guard.resource)
        self._origin = f"{parts.scheme}://{parts.netloc}"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = self._request(environ)
        if self._gate.passes(request):
            return self._app(environ, start_response)
        answer = self._gate.outside(request)
        if answer is None and request.preflight:
            return self._app(_with_body(environ, b""), start_response)
        entered = answer or self._entered(request)
        if isinstance(entered, Reply):
            return _answer(start_response, entered)
        passage, body = self._admitted(entered, environ)
        if isinstance(passage, Reply):
            return _answer(start_response, passage.fresh(entered.nonce))
        inner = _inner(environ, entered, body or b"")
        with self._guard.calling(entered.token, entered.text, passage.call):
            context = contextvars.copy_context()
        if body is None:
            return _Streaming(self._app, inner, passage, context).through(start_response)
        status, headers, said = whole(self._app, inner, passage, context)
        fresh = () if entered.nonce is None else ((b"dpop-nonce", entered.nonce.encode("ascii")),)
        return _send(start_response, status, (*headers, *fresh), said)

    def _entered(self, request: Request) -> Entered | Reply:
        presented = self._gate.presented(request)
        if isinstance(presented, Reply):
            return presented
        try:
            token = self._guard.verify(presented.text, presented.sent)
        except (TokenRefused, TooManyProofs) as error:
            return self._gate.refused(presented, error)
        return self._gate.entered(request, presented, token)

    def _admitted(self, entered: Entered, environ: Environ) -> tuple[Passage | Reply, bytes | None]:
        if entered.request.method != "POST":
            return self._gate.listening(entered), None
        body = _read_body(environ)
        weighed = self._gate.weighed(entered, body)
        return (weighed if isinstance(weighed, Reply) else self._gate.settled(weighed)), body

    def _request(self, environ: Environ) -> Request:
        names = {name: name[5:] for name in environ if name.startswith("HTTP_")} | {
            name: name for name in _PLAIN
        }
        headers = tuple(
            (said.replace("_", "-").lower().encode("ascii"), str(environ[name]).encode("latin-1"))
            for name, said in names.items()
            if environ.get(name)
        )
        path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
        url = self._origin + quote(path, safe="/:@!$&'()*+,;=~")
        client = (environ["REMOTE_ADDR"], 0) if environ.get("REMOTE_ADDR") else None
        certificate = self._guard.certificates.of({"headers": headers, "client": client})
        query = environ.get("QUERY_STRING", "")
        decoded = path.decode("utf-8", "replace")
        return Request(environ["REQUEST_METHOD"], decoded, url, headers, query, certificate)


@dataclass(slots=True)
class _Streaming:
    """The answer to a request without messages, told while it comes."""

    app: App
    environ: Environ
    passage: Passage
    context: contextvars.Context

    def through(self, start_response: StartResponse) -> Iterator[bytes]:
        def begin(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            said = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
            kept, _ = self.passage.start(int(status.split(" ", 1)[0]), said)
            return start_response(status, _text(kept))

        chunks = self.context.run(self.app, self.environ, begin)
        return self._told(chunks)

    def _told(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            left = iter(chunks)
            while not self.passage.failed:
                chunk = self.context.run(next, left, None)
                if chunk is None:
                    yield self.passage.end()
                    return
                yield self.passage.feed(chunk)
        finally:
            self.passage.close(None)
            if hasattr(chunks, "close"):
                chunks.close()


def _inner(environ: Environ, entered: Entered, body: bytes) -> Environ:
    """What the application gets: the headers that are handed on, and the body anew."""
    kept = {name: environ[name] for name in environ if not name.startswith("HTTP_")}
    for name, value in entered.headers:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in _PLAIN:
            kept[f"HTTP_{key}"] = value.decode("latin-1")
    kept["guard.token"] = entered.token
    return _with_body(kept, body)


def _with_body(environ: Environ, body: bytes) -> Environ:
    """This body and no other."""
    kept = {name: environ[name] for name in environ if name != "HTTP_TRANSFER_ENCODING"}
    return {**kept, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def _read_body(environ: Environ) -> bytes | None:
    """The whole body, or None when it is larger than 4 MiB. Without a length, servers that end the input are read."""
    said = environ.get("CONTENT_LENGTH") or ""
    length = (
        int(said) if said.isdecimal() else LARGEST_BODY + 1 if environ.get("wsgi.input_terminated") else 0
    )
    body: bytes = environ["wsgi.input"].read(min(length, LARGEST_BODY + 1))
    return body if len(body) <= LARGEST_BODY else None


def _answer(start_response: StartResponse, answer: Reply) -> Iterable[bytes]:
    status = f"{answer.status} {_REASONS.get(answer.status, 'Refused')}"
    start_response(status, _text(answer.headers))
    return [answer.body]


def _send(start_response: StartResponse, status: str, headers: Headers, said: bytes) -> Iterable[bytes]:
    kept = tuple(pair for pair in headers if pair[0].lower() != b"content-length")
    start_response(status, _text((*kept, (b"content-length", str(len(said)).encode()))))
    return [said]


def _text(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
