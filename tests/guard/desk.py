"""A guarded application for tests: a stub of the broker that decides, and an application that answers as it is told."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import httpx2

from broker.guard.asgi import GuardMiddleware
from broker.guard.catalogue import Catalogue, Tool
from broker.guard.control import Control
from broker.guard.decision import Decisions
from broker.guard.fetch import Http, basic
from broker.guard.guard import Guard
from broker.guard.isolation import Isolation
from broker.guard.outcome import Outcomes
from tests.guard.conftest import ISSUER, RESOURCE, Clock, Issuer

PERMIT = {"decision": True, "context": {"decision_id": "dec_1", "obligations": []}}
TOOLS = {
    "search": Tool("search", ("tickets:read",), "read"),
    "close": Tool("close", ("tickets:write",), "reversible_write", keyed=True),
    "refund": Tool("refund", ("refunds:write",), "external_write", keyed=True),
}
ALL = "tickets:read tickets:write refunds:write"
PAGE = "https://as.example/t/acme/approvals/apr_1"
FORM = {"access_request": {"endpoint": "x", "binding_token": "y", "form_url": PAGE, "expires_at": "z"}}


def denial(reason: str, **members: object) -> dict[str, object]:
    return {"decision": False, "context": {"decision_id": "dec_1", "reason": reason, **members}}


@dataclass
class StubBroker:
    """Answers every question with `answer`, unless it is `down`."""

    answer: dict[str, object] = field(default_factory=lambda: PERMIT)
    down: bool = False
    asked: list[dict[str, object]] = field(default_factory=list)
    told: list[dict[str, object]] = field(default_factory=list)
    seen: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        if self.down:
            raise httpx2.ConnectError("down")
        members = json.loads(request.content)
        if request.url.path.endswith("/outcomes"):
            self.told.append(members)
            return httpx2.Response(200, json={})
        self.asked.append(members)
        return httpx2.Response(200, json=self.answer)


@dataclass
class App:
    """Answers each message with `result`; `meanwhile` is what a tool does."""

    result: dict[str, object] = field(default_factory=lambda: {"content": [{"type": "text", "text": "done"}]})
    meanwhile: Callable[[], object] | None = None
    bodies: list[dict[str, object]] = field(default_factory=list)
    headers: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    answers: list[tuple[bytes, bytes]] = field(
        default_factory=lambda: [(b"content-type", b"application/json")]
    )
    stream: list[dict[str, object]] | None = None

    async def __call__(self, scope, receive, send) -> None:
        self.headers.append(scope["headers"])
        body = (await receive()).get("body", b"")
        sent = json.loads(body) if body else {}
        message = sent[0] if isinstance(sent, list) else sent
        self.bodies.append(message)
        if self.meanwhile is not None:
            waits = self.meanwhile()
            if asyncio.iscoroutine(waits):
                await waits
        answer = {"jsonrpc": "2.0", "id": message.get("id"), "result": self.result}
        await send({"type": "http.response.start", "status": 200, "headers": self.answers})
        if self.stream is None:
            await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
            return
        for event in (*self.stream, *([answer] if message else ())):
            data = f"event: message\r\ndata: {json.dumps(event)}\r\n\r\n".encode()
            for part in (data[:7], data[7:]):  # an event may come in pieces
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@dataclass
class Desk:
    issuer: Issuer
    clock: Clock
    broker: StubBroker = field(default_factory=StubBroker)
    app: App = field(default_factory=App)
    catalogue: Catalogue = field(default_factory=lambda: Catalogue(dict(TOOLS)))
    options: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        http = Http(self.clock, httpx2.Client(transport=httpx2.MockTransport(self.broker)))
        credentials = basic("tickets-server", "secret")
        self.outcomes = Outcomes(http.post_json, credentials, 3600.0, self.clock)  # told by `flush` alone
        control = Control(
            lambda: self.catalogue,
            self.clock,
            Decisions(http.post_json, RESOURCE, credentials),
            self.outcomes,
        )
        self.guard = Guard(
            resource=RESOURCE,
            issuers={ISSUER: ["acme"]},
            default_scopes=["tickets:read"],
            keys=self.issuer,
            clock=self.clock,
            controlled=control,
            **self.options,
        )
        self.middleware = GuardMiddleware(self.app, self.guard)

    def isolated(self, **bounds: object) -> None:
        self.catalogue = Catalogue(dict(TOOLS), isolation=Isolation(**bounds))

    async def request(
        self, method: str = "POST", headers: Iterable[tuple[str, str]] = (), **options: object
    ) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=self.middleware)
        async with httpx2.AsyncClient(transport=transport, base_url="https://mcp.example") as client:
            return await client.request(
                method, str(options.pop("path", "/mcp")), headers=list(headers), **options
            )

    def send(
        self,
        body: object = None,
        headers: Iterable[tuple[str, str]] = (),
        method: str = "POST",
        **over: object,
    ) -> httpx2.Response:
        """Send a message with a token of these claims."""
        path = over.pop("path", "/mcp")
        given = [("Authorization", f"Bearer {self.issuer.token(**{'scope': ALL, **over})}"), *headers]
        content = b"" if body is None else json.dumps(body).encode()
        return asyncio.run(self.request(method, given, content=content, path=path))

    def call(self, tool: str = "search", arguments: object = None, **over: object) -> httpx2.Response:
        return self.send(call(tool, arguments), **over)

    def reports(self) -> list[dict[str, object]]:
        self.outcomes.flush()
        return self.broker.told


def call(tool: str, arguments: object = None, identifier: int = 7, **params: object) -> dict[str, object]:
    given = {"name": tool, "arguments": arguments or {}, **params}
    return {"jsonrpc": "2.0", "id": identifier, "method": "tools/call", "params": given}


def modern(url: bool = True) -> dict[str, object]:
    """What a client of 2026-07-28 says of itself with each request."""
    capabilities = {"elicitation": {"url": {}}} if url else {}
    return {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }


def words(answer: httpx2.Response) -> str:
    """The text of a call that failed."""
    result = answer.json()["result"]
    assert answer.status_code == 200 and result["isError"] is True, result
    return str(result["content"][0]["text"])
