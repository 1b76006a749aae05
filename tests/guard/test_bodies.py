"""A body that nobody decided about reaches no application, by whatever method it comes."""

import asyncio
import json
from io import BytesIO

import pytest

from broker.guard import asgi, wsgi
from tests.guard.desk import ALL, Desk, call

PREFLIGHT = [("Origin", "https://mcp.example"), ("Access-Control-Request-Method", "POST")]
BODY = json.dumps(call("refund")).encode()


@pytest.fixture
def desk(issuer, clock) -> Desk:
    return Desk(issuer, clock)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_an_application_gets_no_body_but_of_a_post(desk: Desk, method: str) -> None:
    assert desk.send(call("refund"), method=method).status_code == 200
    assert desk.app.bodies == [{}] and b"content-length" not in dict(desk.app.headers[0])
    assert desk.send(call("refund")).status_code == 200 and desk.app.bodies[1] == call("refund")
    assert len(desk.broker.asked) == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "QUERY", "TRACE", "post"])
def test_other_methods_are_refused(desk: Desk, method: str) -> None:
    events = asyncio.run(_events(desk, method, [BODY], scoped(desk)))
    assert events[0]["status"] == 405 and desk.app.bodies == []
    assert dict(events[0]["headers"])[b"allow"] == b"POST, GET, HEAD, DELETE, OPTIONS"


def test_a_preflight_needs_no_token_and_brings_nothing(desk: Desk) -> None:
    answer = asyncio.run(desk.request("OPTIONS", PREFLIGHT, content=BODY))
    assert answer.status_code == 200 and desk.app.bodies == [{}]


def test_what_comes_after_the_body_is_not_handed_on_and_the_end_of_the_connection_is(desk: Desk) -> None:
    seen: list[dict[str, object]] = []

    async def app(scope, receive, send) -> None:
        seen.extend([await receive(), await receive()])

    desk.middleware = asgi.GuardMiddleware(app, desk.guard)
    asyncio.run(_events(desk, "GET", [BODY, BODY], scoped(desk)))
    assert [event["type"] for event in seen] == ["http.request", "http.disconnect"]
    assert seen[0]["body"] == b"" and seen[0]["more_body"] is False


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH"])
def test_it_is_the_same_before_wsgi(desk: Desk, method: str) -> None:
    seen: list[bytes] = []

    def app(environ, start_response) -> list[bytes]:
        seen.append(environ["wsgi.input"].read(10_000))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"{}"]

    def send(**given: str) -> str:
        environ = {"REQUEST_METHOD": method, "PATH_INFO": "/mcp", "HTTP_HOST": "mcp.example", **given}
        begun: list[str] = []
        guarded = wsgi.GuardMiddleware(app, desk.guard)
        list(
            guarded(
                {**environ, "CONTENT_LENGTH": str(len(BODY)), "wsgi.input": BytesIO(BODY)},
                lambda status, *_: begun.append(status),
            )
        )
        return begun[0]

    authorized = send(HTTP_AUTHORIZATION=f"Bearer {desk.issuer.token(scope=ALL)}")
    if method in ("PUT", "PATCH"):
        assert authorized == "405 Method Not Allowed" and seen == []
    else:
        assert authorized == "200 OK" and seen == [b""]
    if method == "OPTIONS":
        send(HTTP_ORIGIN="https://mcp.example", HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST")
        assert seen == [b"", b""]


def scoped(desk: Desk) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"mcp.example"), (b"authorization", f"Bearer {desk.issuer.token(scope=ALL)}".encode())]


async def _events(
    desk: Desk, method: str, parts: list[bytes], headers: list[tuple[bytes, bytes]]
) -> list[dict[str, object]]:
    """What a client is told that sends these parts and goes away."""
    left, told = list(parts), []

    async def receive() -> dict[str, object]:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}
        return {"type": "http.disconnect"}

    async def send(event: dict[str, object]) -> None:
        told.append(event)

    scope = {"type": "http", "method": method, "path": "/mcp", "headers": headers, "extensions": {}}
    await desk.middleware(scope, receive, send)
    return told
