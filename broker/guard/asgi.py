"""The guard before an ASGI application (ASGI 3.0, HTTP)."""

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

from broker.guard import denied
from broker.guard.challenges import ScopesFor
from broker.guard.gate import Entered, Gate, Weighed
from broker.guard.guard import Guard
from broker.guard.isolation import Slots
from broker.guard.jsonrpc import Message
from broker.guard.passage import Passage
from broker.guard.possession import TooManyProofs
from broker.guard.request import LARGEST_BODY, Reply, Request, bodiless, unavailable
from broker.guard.telling import Event, Send, Telling
from broker.guard.verifier import TokenRefused

__all__ = [
    "LARGEST_BODY",
    "App",
    "Event",
    "GuardMiddleware",
    "Receive",
    "Scope",
    "ScopesFor",
    "Send",
    "UrlOf",
]

# The shapes that the ASGI specification gives.
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
UrlOf = Callable[[Scope], str]

_TELLING_SECONDS = 10.0
_ASKING_AT_ONCE, _WAITING_TO_ASK = 16, 64


class GuardMiddleware:
    """Lets a request through to `app` only with a token that works for it.

    Wrap the MCP application alone: every POST body is read as JSON-RPC. `public` paths pass unguarded.
    Tokens in the query are never looked at. The verified token is `scope["state"]["guard_token"]` and
    `guard.current()`. The Authorization header stays, for the SDK's own bearer middleware, as `Bearer` in any case.
    `url_of` says where a request was sent, as its client knows it: by default to its path at the resource's origin.
    """

    def __init__(
        self,
        app: App,
        guard: Guard,
        scopes_for: ScopesFor | None = None,
        public: Collection[str] = (),
        url_of: UrlOf | None = None,
    ) -> None:
        self._app = app
        self._guard = guard
        self._gate = Gate(guard, scopes_for, public)
        parts = urlsplit(guard.resource)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._url_of = url_of or self._url
        self._asking = Slots()
        self._aside = ThreadPoolExecutor(_ASKING_AT_ONCE, "guard-asks")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = self._request(scope)
        if self._gate.passes(request):
            return await self._app(scope, receive, send)
        answer = self._gate.outside(request)
        if answer is not None:
            return await _answer(send, answer)
        if request.preflight:  # carries no credentials by design; the application's own CORS rules answer
            headers = list(bodiless(scope["headers"]))
            return await self._app({**scope, "headers": headers}, _replayed(b"", receive), send)
        return await self._guarded(request, scope, receive, send)

    async def _guarded(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        presented = self._gate.presented(request)
        if isinstance(presented, Reply):
            return await _answer(send, presented)
        try:
            token = await self._guard.verify_async(presented.text, presented.sent)
        except (TokenRefused, TooManyProofs) as error:
            return await _answer(send, self._gate.refused(presented, error))
        entered = self._gate.entered(request, presented, token)
        if isinstance(entered, Reply):
            return await _answer(send, entered)
        passage, received = await self._admitted(entered, receive)
        if isinstance(passage, Reply):
            return await _answer(send, passage.fresh(entered.nonce))
        inner = {
            **scope,
            "headers": list(entered.headers),
            "extensions": {"tls": tls} if (tls := (scope.get("extensions") or {}).get("tls")) else {},
            "state": {**scope.get("state", {}), "guard_token": token},
        }
        with self._guard.calling(token, presented.text, passage.call):
            return await self._through(passage, entered, inner, received, send)

    async def _admitted(self, entered: Entered, receive: Receive) -> tuple[Passage | Reply, Receive]:
        """The way of the request, and what the application receives of it."""
        if entered.request.method != "POST":
            return self._gate.listening(entered), _replayed(b"", receive)
        body = await _read_body(receive)
        if self._guard.control.at_hand:
            weighed = self._gate.weighed(entered, body)
        else:
            weighed = await asyncio.to_thread(self._gate.weighed, entered, body)
        received = _replayed(body or b"", receive)
        if isinstance(weighed, Reply):
            return weighed, received
        if weighed.call is None or not self._guard.control.decides:
            return self._gate.settled(weighed), received
        passage, left = await self._settled(weighed, weighed.call, receive)
        return passage, received if left is None else _replayed(body or b"", left)

    async def _settled(
        self, weighed: Weighed, call: Message, receive: Receive
    ) -> tuple[Passage | Reply, Receive | None]:
        """A decision that was asked for is waited for to its end: no permit stays behind that nobody reports.

        Whoever goes away before it is asked for is not asked about. With what came meanwhile, if anything did.
        """
        if not self._asking.take(_ASKING_AT_ONCE + _WAITING_TO_ASK):
            return denied.words(call, "too_many_at_once", retry_after=1), None
        asked = self._aside.submit(contextvars.copy_context().run, self._gate.settled, weighed)
        asked.add_done_callback(lambda _: self._asking.free())
        decided, came = asyncio.wrap_future(asked), asyncio.ensure_future(receive())
        first: set[asyncio.Future[Any]] = {decided, came}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not decided.done() and came.result()["type"] == "http.disconnect" and asked.cancel():
                return unavailable(), None
            passage = await asyncio.shield(decided)
        except BaseException:
            if not asked.cancel():
                asked.add_done_callback(_given_up)
            raise
        finally:
            came.cancel()
        await asyncio.wait({came})
        return passage, None if came.cancelled() else _after(came.result(), receive)

    async def _through(
        self, passage: Passage, entered: Entered, scope: Scope, receive: Receive, send: Send
    ) -> None:
        telling = Telling(passage, send, entered.nonce)
        try:
            async with asyncio.timeout(passage.timeout) as limit:
                await self._app(scope, receive, telling)
        except TimeoutError:
            if not limit.expired():
                raise
            passage.close(telling.status)  # what is told now waits for a client that may not read
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TELLING_SECONDS):
                    await telling.fail("timeout")
        finally:
            passage.close(telling.status)

    def _request(self, scope: Scope) -> Request:
        headers = tuple((name.lower(), value) for name, value in scope["headers"])
        query = scope.get("query_string", b"").decode("latin-1")
        certificate = self._guard.certificates.of(scope)
        return Request(scope["method"], scope["path"], self._url_of(scope), headers, query, certificate)

    def _url(self, scope: Scope) -> str:
        path = scope.get("raw_path")
        return self._origin + (
            path.decode("latin-1") if path else quote(scope["path"], safe="/:@!$&'()*+,;=~")
        )


def _given_up(asking: "Future[Passage | Reply]") -> None:
    if not asking.cancelled() and asking.exception() is None:
        passage = asking.result()
        if isinstance(passage, Passage):
            passage.leave()
            passage.close(None)


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, or None when it is larger than 4 MiB."""
    body = bytearray()
    more = True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            break
        body += event.get("body", b"")
        more = event.get("more_body", False)
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _after(event: Event, receive: Receive) -> Receive:
    """What has come already, then what follows."""
    left = [event]

    async def replay() -> Event:
        return left.pop() if left else await receive()

    return replay


def _replayed(body: bytes, receive: Receive) -> Receive:
    """This body and no other; after it, what becomes of the connection."""
    left = [body]

    async def replay() -> Event:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        while (event := await receive())["type"] == "http.request":
            pass
        return event

    return replay


async def _answer(send: Send, answer: Reply) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
    await send({"type": "http.response.body", "body": answer.body})
