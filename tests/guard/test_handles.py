"""Ids of sessions, tasks and events are of use to whom they were given, and are nobody's identity."""

import pytest

from broker.guard.handles import Handles, Holder
from tests.guard.desk import FORM, Desk, call, denial, words

ALICE, BOB = (Holder("https://as.example", "acme", name, "desk-app") for name in ("alice", "bob"))
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}
JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream")


@pytest.fixture
def desk(issuer, clock) -> Desk:
    return Desk(issuer, clock)


def test_a_handle_is_of_its_holder_alone() -> None:
    handles: Handles[str] = Handles()
    assert handles.bind("s1", ALICE, "kept") and not handles.bind("s1", BOB, "stolen")
    assert handles.of("s1", ALICE) == "kept" and handles.of("s1", BOB) is None
    assert handles.holds("s1", ALICE) and not handles.holds("s1", BOB) and not handles.holds("s2", ALICE)


def test_one_holder_cannot_make_the_handles_of_others_forgotten() -> None:
    handles: Handles[int] = Handles(100)
    handles.bind("alice's", ALICE, 0)
    for number in range(1000):
        handles.bind(f"bob's {number}", BOB, number)
    assert handles.holds("alice's", ALICE)
    assert handles.holds("bob's 999", BOB) and not handles.holds("bob's 989", BOB)


def opened(desk: Desk, **who: object) -> list[tuple[str, str]]:
    """A session that the server gives to somebody."""
    desk.app.answers = [JSON, (b"mcp-session-id", b"s-1")]
    assert desk.send(HELLO, **who).headers["mcp-session-id"] == "s-1"
    desk.app.answers = [JSON]
    return [("Mcp-Session-Id", "s-1")]


@pytest.mark.attack("RS-11")
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize(
    "other", [{"sub": "bob"}, {"client_id": "other-app"}, {"sub": "bob", "client_id": "other-app"}]
)
@pytest.mark.requirement("MCP-RS-03")
def test_a_session_is_of_no_use_to_another(desk: Desk, method: str, other: dict[str, object]) -> None:
    session = opened(desk)
    body = call("search") if method == "POST" else None
    reached = len(desk.app.bodies)
    stolen = desk.send(body, session, method, **other)
    assert stolen.status_code == 404 and len(desk.app.bodies) == reached and desk.broker.asked == []
    assert desk.send(body, session, method).status_code == 200


@pytest.mark.attack("RS-11")
def test_a_session_that_this_server_gave_to_nobody_is_unknown(desk: Desk) -> None:
    assert desk.send(call("search"), [("Mcp-Session-Id", "guessed")]).status_code == 404
    twice = [("Mcp-Session-Id", "a"), ("Mcp-Session-Id", "b")]
    assert desk.send(call("search"), twice).status_code == 400


@pytest.mark.attack("RS-11")
@pytest.mark.attack("RS-18")
def test_a_session_of_the_old_transport_is_of_no_use_to_another(desk: Desk) -> None:
    desk.app.answers, desk.app.stream = [EVENTS], []

    async def endpoint(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [EVENTS]})
        data = b"event: endpoint\r\ndata: /messages/?session_id=abc\r\n\r\n"
        await send({"type": "http.response.body", "body": data})

    desk.middleware._app = endpoint
    assert "session_id=abc" in desk.send(None, method="GET", path="/sse").text
    desk.middleware._app = desk.app
    path = "/messages/?session_id=abc"
    assert desk.send(call("search"), path=path, sub="bob").status_code == 404
    assert desk.app.bodies == []
    assert desk.send(call("search"), path=path).status_code == 200


def test_what_a_client_says_of_itself_in_a_session_of_the_old_transport_is_remembered(desk: Desk) -> None:
    async def endpoint(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [EVENTS]})
        data = b"event: endpoint\ndata: /messages/?session_id=abc\n\n"
        await send({"type": "http.response.body", "body": data})

    desk.middleware._app = endpoint
    desk.send(None, method="GET", path="/sse")
    desk.middleware._app = desk.app
    path = "/messages/?session_id=abc"
    desk.broker.answer = denial("approval_required", **FORM)
    assert words(desk.send(call("refund"), path=path)), "not said yet"
    opens = {**HELLO, "params": {"capabilities": {"elicitation": {"url": {}}}}}
    desk.send(opens, path=path)
    assert desk.send(call("refund"), path=path).json()["error"]["code"] == -32042


@pytest.mark.attack("RS-11")
@pytest.mark.parametrize("method", ["tasks/get", "tasks/result", "tasks/cancel"])
def test_a_task_is_of_no_use_to_another(desk: Desk, method: str) -> None:
    desk.app.result = {"task": {"taskId": "t-1", "status": "working"}}
    assert "t-1" in desk.send(call("search", task={"ttl": 1000})).text
    desk.app.result = {"taskId": "t-1", "status": "working"}
    message = {"jsonrpc": "2.0", "id": 2, "method": method, "params": {"taskId": "t-1"}}
    stolen = desk.send(message, sub="bob")
    assert stolen.status_code == 404 and len(desk.app.bodies) == 1
    assert desk.send(message).status_code == 200


@pytest.mark.attack("RS-11")
def test_a_list_of_tasks_has_those_of_its_reader_alone(desk: Desk) -> None:
    for subject in ("alice", "bob"):
        desk.app.result = {"task": {"taskId": f"{subject}'s"}}
        desk.send(call("search", task={}), sub=subject)
    desk.app.result = {"tasks": [{"taskId": "alice's"}, {"taskId": "bob's"}, {"taskId": "nobody's"}]}
    listed = desk.send({"jsonrpc": "2.0", "id": 1, "method": "tasks/list"})
    assert listed.json()["result"]["tasks"] == [{"taskId": "alice's"}]


@pytest.mark.attack("RS-11")
def test_a_stream_is_resumed_by_whom_it_was_told_to(desk: Desk) -> None:
    async def streaming(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [EVENTS]})
        await send({"type": "http.response.body", "body": b"id: e-1\r\ndata: {}\r\n\r\n"})

    session = opened(desk)
    desk.middleware._app = streaming
    assert desk.send(None, session, "GET").status_code == 200
    resumed = [*session, ("Last-Event-ID", "e-1")]
    assert desk.send(None, resumed, "GET").status_code == 200
    assert desk.send(None, [*session, ("Last-Event-ID", "e-2")], "GET").status_code == 404
    assert desk.send(None, [("Last-Event-ID", "e-1")], "GET").status_code == 404
    assert desk.send(None, resumed, "GET", sub="bob").status_code == 404


@pytest.mark.attack("RS-18")
@pytest.mark.parametrize("path", ["/sse", "/messages", "/messages/?session_id=x", "/mcp/sse"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_old_endpoints_get_the_same_checks(desk: Desk, path: str, method: str) -> None:
    import asyncio

    nameless = asyncio.run(desk.request(method, path=path, json=call("search")))
    assert nameless.status_code == 401 and desk.app.bodies == []
    foreign = desk.send(call("search"), path=path, aud="https://other.example/mcp", method=method)
    assert foreign.status_code == 401 and desk.app.bodies == []
    if method == "POST" and "?" not in path:
        assert desk.send(call("refund"), path=path, scope="tickets:read").status_code == 403
        assert desk.send(call("search"), path=path).status_code == 200
