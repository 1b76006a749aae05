"""In a session each id has one request at a time, and a call keeps its place until it is answered."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from broker.guard import asgi
from broker.guard.asgi import GuardMiddleware
from broker.guard.denied import Client
from broker.guard.sessions import Places, Session, key_of, once
from tests.guard.desk import ALL, PERMIT, Desk, call, denial, words

SSN = "078-05-1120"
HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "x", "version": "1"},
    },
}
REDACTS = {
    "decision": True,
    "context": {
        "decision_id": "dec_1",
        "obligations": [{"type": "redact", "properties": {"paths": ["$.ssn"]}}],
    },
}
PING = {"jsonrpc": "2.0", "id": 7, "method": "ping"}


@pytest.fixture
def desk(issuer, clock) -> Desk:
    return Desk(issuer, clock)


class Inside:
    """The official SDK's server behind the guard of a desk, whose tools wait until they are let go."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.begun, self.leave = desk, asyncio.Event(), asyncio.Event()
        server = MCPServer("x")

        @server.tool()
        async def search(text: str) -> dict[str, str]:
            self.begun.set()
            await self.leave.wait()
            return {"found": text, "ssn": SSN}

        @server.tool()
        async def refund(text: str) -> dict[str, str]:
            return {"found": text}

        plain = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        self.app = server.streamable_http_app(transport_security=plain)
        self.guarded = GuardMiddleware(self.app, desk.guard)
        self.headers = {
            "authorization": f"Bearer {desk.issuer.token(scope=ALL)}",
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
            "mcp-protocol-version": "2025-06-18",
        }

    async def post(self, body: object) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=self.guarded)
        async with httpx2.AsyncClient(transport=transport, base_url="https://mcp.example") as client:
            return await client.post("/mcp", headers=self.headers, json=body)

    async def left(self, body: object) -> None:
        """Send it, and go away as soon as the tool works."""
        sent = [json.dumps(body).encode()]
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/mcp",
            "query_string": b"",
            "headers": [(b"host", b"mcp.example"), *headers],
        }

        async def receive() -> dict[str, object]:
            if sent:
                return {"type": "http.request", "body": sent.pop(), "more_body": False}
            await self.begun.wait()
            return {"type": "http.disconnect"}

        async def send(event: object) -> None:
            pass

        await self.guarded(scope, receive, send)


def within(desk: Desk, story: Callable[[Inside], Awaitable[None]]) -> None:
    async def run() -> None:
        inside = Inside(desk)
        async with inside.app.router.lifespan_context(inside.app):
            opened = await inside.post(HELLO)
            inside.headers["mcp-session-id"] = opened.headers["mcp-session-id"]
            await inside.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
            await story(inside)
            inside.leave.set()

    asyncio.run(asyncio.wait_for(run(), 20))


@pytest.mark.attack("RS-11")
@pytest.mark.parametrize("again", [1, "1", 1.0])
@pytest.mark.parametrize("method", ["tools/call", "ping"])
def test_an_id_that_waits_for_its_answer_is_nobody_elses(desk: Desk, again: object, method: str) -> None:
    async def story(inside: Inside) -> None:
        desk.broker.answer = REDACTS
        first = asyncio.create_task(inside.post(call("search", {"text": "a"}, identifier=1)))
        await inside.begun.wait()
        desk.broker.answer = PERMIT
        second = call("refund", {"text": "b"}) if method == "tools/call" else dict(PING)
        refused = await inside.post({**second, "id": again})
        assert refused.status_code == 400 and len(desk.broker.asked) == 1
        inside.leave.set()
        answer = await first
        assert SSN not in answer.text and "[redacted]" in answer.text
        assert (await inside.post({**second, "id": 1})).status_code == 200, "it was told"
        assert "ok" in {told["status"] for told in desk.reports()}

    within(desk, story)


@pytest.mark.parametrize("other", [7, "7"])
def test_an_id_is_used_once_in_a_batch(desk: Desk, other: object) -> None:
    assert desk.send([call("search"), {**PING, "id": other}]).status_code == 400
    assert desk.broker.asked == [] and desk.app.bodies == []
    assert desk.send([call("search"), {**PING, "id": 8}]).status_code == 200


def in_session(desk: Desk) -> list[tuple[str, str]]:
    desk.app.answers = [(b"content-type", b"application/json"), (b"mcp-session-id", b"s-1")]
    desk.send(HELLO)
    desk.app.answers = desk.app.answers[:1]
    return [("Mcp-Session-Id", "s-1")]


def test_an_id_is_free_after_an_answer_a_refusal_and_an_error(desk: Desk) -> None:
    session = in_session(desk)
    for _ in range(2):
        assert desk.send(call("search"), session).status_code == 200
        assert desk.send(PING, session).status_code == 200
    desk.broker.answer = denial("policy_denied")
    for _ in range(2):
        assert "policy" in words(desk.send(call("search"), session))
    desk.broker.answer, app = PERMIT, desk.middleware._app

    async def broken(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 406, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    desk.middleware._app = broken
    assert desk.send(call("search"), session).status_code == 406
    desk.middleware._app = app
    assert desk.send(call("search"), session).status_code == 200


def test_an_id_stays_taken_when_its_client_went_away(desk: Desk) -> None:
    async def story(inside: Inside) -> None:
        await inside.left(call("search", {"text": "a"}, identifier=1))
        assert (await inside.post({**PING, "id": 1})).status_code == 400

    within(desk, story)


def test_what_is_remembered_of_ids_is_bounded(desk: Desk) -> None:
    session = Session(Client())
    assert not session.take(["x" * 1000])
    for number in range(1024):
        assert not session.full and session.take([str(number)])
    assert session.full and session.answered("7") and not session.answered("7") and not session.full
    headers = in_session(desk)
    assert desk.send(call("search"), headers).status_code == 200
    [(_, kept)] = desk.middleware._gate._memory.sessions._held.values()
    kept.take([f"k{number}" for number in range(1024)])
    assert not desk.middleware._gate._memory.places._kept
    assert desk.send(PING, headers).status_code == 404, "and a new session is opened"


@pytest.mark.parametrize(
    ("identifier", "key"),
    [(1, "1"), ("1", "1"), (1.0, "1"), (True, "1"), (1.5, "1.5"), ("a", "a"), (1e999, "inf")],
)
def test_ids_that_servers_take_for_one_are_one(identifier: object, key: str) -> None:
    assert key_of(identifier) == key


def test_a_call_keeps_its_place_when_its_client_went_away_until_its_time_is_over(desk: Desk) -> None:
    desk.isolated(concurrent=1)

    async def story(inside: Inside) -> None:
        await inside.left(call("search", {"text": "a"}, identifier=1))
        again = await inside.post(call("refund", {"text": "b"}, identifier=2))
        assert "Too many calls are running" in words(again)
        desk.clock.now += 301
        inside.headers["authorization"] = f"Bearer {desk.issuer.token(scope=ALL, exp=desk.clock.now + 60)}"
        answer = await inside.post(call("refund", {"text": "b"}, identifier=3))
        assert '"found"' in answer.text
        answer = await inside.post(call("refund", {"text": "b"}, identifier=4))
        assert '"found"' in answer.text, "freed when it was answered"

    within(desk, story)


def test_a_place_is_freed_once() -> None:
    freed: list[int] = []
    free = once(lambda: freed.append(1))
    places, session = Places(), Session(Client())
    session.take(["1"])
    session.lend("1", free)
    places.keep(free, 10.0)
    places.sweep(9.9)
    assert freed == []
    places.sweep(10.0)
    session.answered("1")
    assert freed == [1]


@pytest.mark.attack("RS-11")
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/mcp?session_id=s-1", [], 200),
        ("/mcp?session_id=s-1&sessionId=s-1", [("Mcp-Session-Id", "s-1")], 200),
        ("/mcp?session_id=other", [("Mcp-Session-Id", "s-1")], 400),
        ("/mcp?session_id=s-1&session_id=other", [], 400),
        ("/mcp?sessionId=s-1&session_id=other", [], 400),
        ("/mcp?session_id=&sessionid=s-1", [], 400),
    ],
)
def test_a_request_names_one_session(
    desk: Desk, path: str, headers: list[tuple[str, str]], status: int
) -> None:
    in_session(desk)
    reached = len(desk.app.bodies)
    assert desk.send(call("search"), headers, path=path).status_code == status
    assert len(desk.app.bodies) - reached == (status == 200)


def test_of_a_call_that_is_over_no_arguments_are_remembered(desk: Desk) -> None:
    session = in_session(desk)
    desk.send(call("search", {"text": "x" * 1000}), session)
    [(_, running)] = desk.middleware._gate._memory.calls._held.values()
    assert "xxx" not in str(running.question.message.params) and running.question.text == ""
    assert running.question.token.subject == "alice"


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream"])
def test_a_client_that_does_not_read_keeps_no_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: bytes, late: bool
) -> None:
    monkeypatch.setattr(asgi, "_TELLING_SECONDS", 0.01)
    desk.isolated(concurrent=1, timeout=0.05)
    desk.app.answers, desk.app.stream = [(b"content-type", kind)], [] if kind != b"application/json" else None
    token = f"Bearer {desk.issuer.token(scope=ALL)}".encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(b"host", b"mcp.example"), (b"authorization", token)],
    }
    stuck = asyncio.Event()

    async def run() -> None:
        sent = [json.dumps(call("search")).encode()]
        still = asyncio.Event()

        async def receive() -> dict[str, object]:
            if not sent:
                await still.wait()
            return {"type": "http.request", "body": sent.pop(), "more_body": False}

        async def send(event: dict[str, object]) -> None:
            if event["type"] == "http.response.body":
                stuck.set()
                await still.wait()

        if late:
            desk.app.meanwhile = still.wait
        waiting = asyncio.create_task(desk.middleware(scope, receive, send))
        await stuck.wait()
        desk.app.meanwhile = None
        headers = [("authorization", token.decode())]
        again = await desk.request("POST", headers, content=json.dumps(call("search")).encode())
        assert "done" in again.text
        assert [told["status"] for told in desk.reports()] == (["unknown", "ok"] if late else ["ok", "ok"])
        await waiting

    asyncio.run(asyncio.wait_for(run(), 10))
