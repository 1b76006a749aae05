"""The guard before a WSGI application gives the same answers as before an ASGI one."""

import json
import threading
from collections.abc import Iterable, Iterator
from io import BytesIO
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from broker.guard.wsgi import GuardMiddleware
from tests.guard.desk import ALL, Desk, call, denial


class App:
    """Answers a message with `result`, or streams `events`."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.environs, self.bodies = desk, [], []
        self.result: dict[str, object] = {"content": [{"type": "text", "text": "done"}]}
        self.wait: threading.Event | None = None
        self.events: list[bytes] = []

    def __call__(self, environ, start_response) -> Iterable[bytes]:
        self.environs.append(environ)
        if environ["REQUEST_METHOD"] == "GET":
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            return self._stream()
        message = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        self.bodies.append(message)
        if self.wait is not None:
            self.wait.wait(10)
        self.desk.guard.outcome(downstream_request_id=self.desk.guard.current().subject)
        answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": self.result}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
        start_response("200 OK", headers)
        return [answer[:9], answer[9:]]

    def _stream(self) -> Iterator[bytes]:
        for event in self.events:
            assert self.desk.guard.current().subject == "alice"
            yield event


@pytest.fixture
def desk(issuer, clock) -> Desk:
    return Desk(issuer, clock)


@pytest.fixture
def app(desk: Desk) -> App:
    return App(desk)


@pytest.fixture
def send(desk: Desk, app: App):
    middleware = GuardMiddleware(validator(app), desk.guard, public={"/healthz"})

    def send(body: object = None, method: str = "POST", path: str = "/mcp", token: bool = True, **given: str):
        content = b"" if body is None else json.dumps(body).encode()
        environ: dict[str, object] = {}
        setup_testing_defaults(environ)
        environ |= {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": "mcp.example"}
        environ |= {"QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1"}
        if method == "POST":
            environ |= {"wsgi.input": BytesIO(content), "CONTENT_LENGTH": str(len(content))}
            environ |= {"CONTENT_TYPE": "application/json"}
        if token:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {desk.issuer.token(scope=given.pop('scope', ALL))}"
        environ |= given
        begun: list[object] = []
        chunks = validator(middleware)(
            environ, lambda status, headers, *_: begun.extend((status, dict(headers)))
        )
        try:
            said = b"".join(chunks)
        finally:
            chunks.close()
        return int(str(begun[0]).split()[0]), {k.lower(): v for k, v in begun[1].items()}, said

    return send


def test_a_call_is_decided_made_and_told_of(desk: Desk, app: App, send) -> None:
    status, headers, said = send(call("close", {"number": 7}))
    assert status == 200 and json.loads(said)["result"] == app.result
    assert headers["content-length"] == str(len(said))
    assert app.bodies == [call("close", {"number": 7})]
    assert app.environs[0]["guard.token"].subject == "alice"
    [told] = desk.reports()
    assert (told["status"], told["downstream_request_id"]) == ("ok", "alice")


@pytest.mark.attack("RS-10")
@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"token": False}, 401),
        ({"scope": "tickets:read"}, 403),
        ({"HTTP_ORIGIN": "https://evil.example"}, 403),
        ({"HTTP_HOST": "evil.example"}, 403),
        ({"HTTP_MCP_METHOD": "tools/list"}, 400),
        ({"HTTP_MCP_SESSION_ID": "guessed"}, 404),
    ],
)
def test_what_is_refused_before_asgi_is_refused_here(
    app: App, send, given: dict[str, object], status: int
) -> None:
    found, _, _ = send(call("refund"), **given)
    assert found == status and app.bodies == []
    assert send(call("refund"))[0] == 200


def test_a_refusal_of_the_broker_reaches_no_tool(desk: Desk, app: App, send) -> None:
    desk.broker.answer = denial("policy_denied")
    status, _, said = send(call("close"))
    assert status == 200 and json.loads(said)["result"]["isError"] is True and app.bodies == []


def test_lists_are_filtered_and_results_redacted(desk: Desk, app: App, send) -> None:
    app.result = {"tools": [{"name": name, "inputSchema": {}} for name in ("search", "refund", "other")]}
    listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    tools = json.loads(send(listed, scope="tickets:read")[2])["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["search"]
    redact = {"type": "redact", "properties": {"paths": ["$.ssn"]}}
    desk.broker.answer = {"decision": True, "context": {"decision_id": "d", "obligations": [redact]}}
    app.result = {"structuredContent": {"ssn": "078-05-1120"}}
    assert b"078" not in send(call("search"))[2]


def test_a_call_that_takes_too_long_is_given_up(desk: Desk, app: App, send) -> None:
    desk.isolated(timeout=0.05, concurrent=1)
    app.wait = threading.Event()
    assert b"took too long" in send(call("close"))[2]
    assert [told["status"] for told in desk.reports()] == ["unknown"]
    desk.isolated(timeout=10.0, concurrent=1)
    assert b"Too many calls are running" in send(call("close"))[2], "its thread goes on, in its place"
    app.wait.set()
    app.wait = None
    done()
    assert json.loads(send(call("close"))[2])["result"] == app.result


@pytest.mark.parametrize(("timeout", "said"), [(None, "too large"), (30.0, "too large"), (0.05, "too long")])
def test_an_answer_without_an_end_is_read_no_further_than_anybody_waits(
    desk: Desk, timeout: float | None, said: str
) -> None:
    made: list[int] = []
    closed, go_on = threading.Event(), threading.Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while len(made) < 1000:
                made.append(1)
                if timeout == 0.05:
                    go_on.wait(10)
                yield b"x" * 1024 * 1024

        def close(self) -> None:
            closed.set()

    def app(environ, start_response) -> Endless:
        start_response("200 OK", [("Content-Type", "application/json")])
        return Endless()

    desk.isolated(timeout=timeout, concurrent=1)
    body = json.dumps(call("search")).encode()
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/mcp", "HTTP_HOST": "mcp.example"}
    environ |= {"HTTP_AUTHORIZATION": f"Bearer {desk.issuer.token(scope=ALL)}"}
    environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}
    told = b"".join(GuardMiddleware(app, desk.guard)(environ, lambda *_: None))
    assert said in json.loads(told)["result"]["content"][0]["text"]
    go_on.set()
    assert closed.wait(10)
    done()
    assert len(made) <= (2 if timeout == 0.05 else 17) and desk.guard.control._slots._taken == 0
    assert [report["status"] for report in desk.reports()] == ["unknown"]


def done() -> None:
    """Wait until no call has a thread."""
    for thread in threading.enumerate():
        if thread.name == "guarded-call":
            thread.join(10)


def test_a_stream_is_told_while_it_comes(app: App, send) -> None:
    app.events = [b"data: {}\n\n", b'data: {"method"', b': "x"}\n\n']
    status, headers, said = send(method="GET")
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert said.split(b"\r\n\r\n")[:2] == [b"data: {}", b'data: {"method": "x"}']


def test_public_paths_and_the_metadata_pass(app: App, send) -> None:
    assert send(method="GET", path="/healthz", token=False)[0] == 200 and len(app.environs) == 1
    status, headers, said = send(method="GET", path="/.well-known/oauth-protected-resource", token=False)
    assert status == 200 and json.loads(said)["resource"] == "https://mcp.example/mcp"
    assert headers["access-control-allow-origin"] == "*"


def test_a_body_beyond_4_mib_is_not_read(app: App, send) -> None:
    assert send({"method": "ping", "params": {"x": "y" * (4 * 1024 * 1024)}})[0] == 413 and app.bodies == []
