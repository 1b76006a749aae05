"""The answer of an ASGI application (ASGI 3.0, HTTP) on its way to the client."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from broker.guard.passage import Passage

Event = MutableMapping[str, Any]
Send = Callable[[Event], Awaitable[None]]
_JSON = (b"content-type", b"application/json")


class Telling:
    """The `send` of the application: what it says goes through the passage first."""

    def __init__(self, passage: Passage, send: Send, nonce: str | None) -> None:
        self._passage, self._send, self._nonce = passage, send, nonce
        self._held: Event | None = None
        self._over = False
        self.status: int | None = None

    async def __call__(self, event: Event) -> None:
        if self._over:
            return
        if event["type"] == "http.response.start":
            await self._start(event)
        elif event["type"] == "http.response.body":
            more = bool(event.get("more_body", False))
            await self._tell(self._passage.feed(event.get("body", b"")), end=not more)
        else:
            await self._send(event)

    async def fail(self, reason: str) -> None:
        """Tell why there is no answer, or no more of it, and nothing after that."""
        if self._over:
            return
        said = self._passage.fail(reason)
        if self.status is None:
            await self._start({"type": "http.response.start", "status": 200, "headers": [_JSON]})
        await self._finish(said)

    async def _start(self, event: Event) -> None:
        self.status = event["status"]
        headers, held = self._passage.start(event["status"], tuple(event.get("headers", ())))
        if self._nonce is not None:
            headers = (*headers, (b"dpop-nonce", self._nonce.encode("ascii")))
        started = {**event, "headers": list(headers)}
        if held:
            self._held = started
        else:
            await self._send(started)

    async def _tell(self, told: bytes, *, end: bool) -> None:
        if self._passage.failed:
            await self._finish(told)
        elif end:
            await self._finish(told + self._passage.end())
        elif told:
            await self._send({"type": "http.response.body", "body": told, "more_body": True})

    async def _finish(self, told: bytes) -> None:
        self._over = True
        if self._held is not None:
            length = (b"content-length", str(len(told)).encode("ascii"))
            await self._send({**self._held, "headers": [*self._held["headers"], length]})
        await self._send({"type": "http.response.body", "body": told, "more_body": False})
