import asyncio
import json
from collections.abc import Iterable

import httpx2
import pytest

from broker.guard.asgi import LARGEST_BODY, GuardMiddleware
from broker.guard.guard import Guard
from broker.guard.jwks import KeysUnavailable

ISSUER = "https://as.example"
RESOURCE = "https://mcp.example/mcp"
METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"


class App:
    """The application behind the guard: records what reaches it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.subjects: list[str] = []
        self.guard: Guard

    async def __call__(self, scope, receive, send) -> None:
        event = await receive()
        self.bodies.append(event.get("body", b""))
        token = scope.get("state", {}).get("guard_token")
        if token is not None:
            assert self.guard.current() is token
            assert b"authorization" in dict(scope["headers"])
            self.subjects.append(token.subject)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def middleware(app, issuer, clock) -> GuardMiddleware:
    app.guard = Guard(
        resource=RESOURCE,
        issuers={ISSUER: ["acme"]},
        tools={
            "search": ["tickets:read"],
            "refund": ["refunds:write"],
            "close": ["tickets:write"],
            "ping": [],
        },
        implies={"tickets:write": ["tickets:read"]},
        scopes_supported=["tickets:read", "tickets:write", "refunds:write"],
        default_scopes=["tickets:read"],
        keys=issuer,
        clock=clock,
    )
    return GuardMiddleware(app, app.guard, public={"/healthz"})


def send(
    middleware: GuardMiddleware,
    method: str = "POST",
    path: str = "/mcp",
    headers: Iterable[tuple[str, str]] = (),
    content: bytes | None = None,
) -> httpx2.Response:
    async def run() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=middleware)
        async with httpx2.AsyncClient(transport=transport, base_url="https://mcp.example") as client:
            return await client.request(method, path, headers=list(headers), content=content)

    return asyncio.run(run())


def message(method: str, name: str | None = None, identifier: int = 7) -> dict[str, object]:
    params = {} if name is None else {"name": name, "arguments": {}}
    return {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}


def call(middleware: GuardMiddleware, token: str, body: object) -> httpx2.Response:
    return send(middleware, headers=[("Authorization", f"Bearer {token}")], content=json.dumps(body).encode())


def challenge_of(answer: httpx2.Response) -> str:
    return answer.headers["www-authenticate"]


def test_a_call_with_a_good_token_reaches_the_application_with_its_body(middleware, app, issuer) -> None:
    body = message("tools/call", "search")
    answer = call(middleware, issuer.token(), body)
    assert (answer.status_code, answer.text) == (200, "reached")
    assert json.loads(app.bodies[0]) == body
    assert app.subjects == ["alice"]


def test_without_credentials_the_challenge_has_no_error(middleware, app) -> None:
    for headers in ((), [("Authorization", "Basic eDp5")]):
        answer = send(middleware, headers=headers, content=b"{}")
        assert answer.status_code == 401
        assert challenge_of(answer) == f'Bearer scope="tickets:read", resource_metadata="{METADATA}"'
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["access-control-expose-headers"] == "WWW-Authenticate, DPoP-Nonce"
    assert app.bodies == []


@pytest.mark.attack("RS-02")
@pytest.mark.attack("RS-03")
@pytest.mark.attack("RS-04")
@pytest.mark.parametrize(
    "over",
    [
        {"aud": "https://other.example/mcp"},
        {"tenant": "other"},
        {"exp": 1},
        {"exp": None},
        {"nbf": 1_900_000_000},
    ],
)
@pytest.mark.requirement("MCP-RS-07")
def test_a_token_that_does_not_work_here_is_invalid(middleware, app, issuer, over: dict[str, object]) -> None:
    answer = call(middleware, issuer.token(**over), message("tools/list"))
    assert answer.status_code == 401
    assert challenge_of(answer).startswith('Bearer error="invalid_token", ')
    assert f'resource_metadata="{METADATA}"' in challenge_of(answer)
    assert 'scope="tickets:read"' in challenge_of(answer)
    assert app.bodies == []


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer x y", "Bearer a.b.c", "bearer  "])
def test_what_is_no_token_is_an_invalid_one(middleware, app, value: str) -> None:
    answer = send(middleware, headers=[("Authorization", value)], content=b"{}")
    assert answer.status_code == 401
    assert 'error="invalid_token"' in challenge_of(answer)
    assert app.bodies == []


@pytest.mark.attack("RS-17")
def test_two_sets_of_credentials_are_refused_even_when_both_are_good(middleware, app, issuer) -> None:
    token = issuer.token()
    twice = [("Authorization", f"Bearer {token}")] * 2
    joined = [("Authorization", f"Bearer {token}, Bearer {token}")]
    for headers in (twice, joined):
        answer = send(middleware, headers=headers, content=b'{"method":"ping"}')
        assert answer.status_code == 400
        assert 'error="invalid_request"' in challenge_of(answer)
    assert app.bodies == []


def test_the_scheme_is_compared_without_case(middleware, issuer) -> None:
    headers = [("Authorization", f"bEARER {issuer.token()}")]
    assert send(middleware, headers=headers, content=b'{"method":"ping"}').status_code == 200


def test_a_token_in_the_query_or_body_is_ignored(middleware, app, issuer) -> None:
    answer = send(middleware, "GET", f"/mcp?access_token={issuer.token()}")
    assert answer.status_code == 401
    form = f"access_token={issuer.token()}".encode()
    assert (
        send(
            middleware, headers=[("Content-Type", "application/x-www-form-urlencoded")], content=form
        ).status_code
        == 401
    )
    assert app.bodies == []


@pytest.mark.attack("RS-06")
def test_a_call_beyond_the_scope_names_what_was_granted_and_what_is_needed(middleware, app, issuer) -> None:
    answer = call(middleware, issuer.token(), message("tools/call", "refund"))
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in challenge_of(answer)
    assert 'scope="tickets:read refunds:write"' in challenge_of(answer)
    assert f'resource_metadata="{METADATA}"' in challenge_of(answer)
    assert app.bodies == []
    assert (
        call(middleware, issuer.token(scope="refunds:write"), message("tools/call", "refund")).status_code
        == 200
    )


@pytest.mark.requirement("MCP-RS-05")
def test_an_implied_scope_is_enough(middleware, issuer) -> None:
    assert (
        call(middleware, issuer.token(scope="tickets:write"), message("tools/call", "search")).status_code
        == 200
    )


@pytest.mark.attack("RS-06")
@pytest.mark.requirement("MCP-RS-08")
def test_every_message_of_a_batch_is_checked(middleware, app, issuer) -> None:
    search, close, refund = (message("tools/call", name) for name in ("search", "close", "refund"))
    answer = call(middleware, issuer.token(), [search, close, refund])
    assert answer.status_code == 403
    assert 'scope="tickets:read tickets:write refunds:write"' in challenge_of(answer)
    assert app.bodies == []
    assert call(middleware, issuer.token(), [search, message("ping", identifier=8)]).status_code == 200


@pytest.mark.attack("RS-14")
@pytest.mark.parametrize(
    "name", ["unlisted", "Refund", "refund ", "ｒｅｆｕｎｄ", "re\u200bfund", "", None, "__class__"]
)
def test_a_tool_that_is_not_listed_is_unknown_and_never_reached(
    middleware, app, issuer, name: str | None
) -> None:
    token = issuer.token(scope="tickets:read tickets:write refunds:write")
    answer = call(middleware, token, message("tools/call", name))
    assert answer.status_code == 200
    assert answer.json() == {"jsonrpc": "2.0", "id": 7, "error": {"code": -32602, "message": "Unknown tool"}}
    assert (
        call(middleware, token, [message("ping", identifier=8), message("tools/call", name)]).status_code
        == 400
    )
    assert app.bodies == []


def test_without_a_mapping_the_application_decides_about_tools(app, issuer, clock) -> None:
    app.guard = Guard(resource=RESOURCE, issuers={ISSUER: "*"}, keys=issuer, clock=clock)
    assert (
        call(GuardMiddleware(app, app.guard), issuer.token(), message("tools/call", "any")).text == "reached"
    )


def test_the_scopes_of_a_message_may_be_decided_elsewhere(app, issuer, clock) -> None:
    app.guard = Guard(resource=RESOURCE, issuers={ISSUER: "*"}, keys=issuer, clock=clock)
    middleware = GuardMiddleware(
        app, app.guard, scopes_for=lambda m: ["admin"] if m.method == "resources/read" else []
    )
    assert call(middleware, issuer.token(), message("resources/read")).status_code == 403
    assert call(middleware, issuer.token(), message("ping")).status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"x", b'{"method":"tools/list","method":"tools/call"}', '{"method":"x"}'.encode("utf-16")]
)
def test_a_body_that_is_no_clear_message_never_reaches_the_application(
    middleware, app, issuer, body: bytes
) -> None:
    answer = send(middleware, headers=[("Authorization", f"Bearer {issuer.token()}")], content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32700
    assert app.bodies == []


def test_a_body_of_4_mib_is_read_and_a_larger_one_is_not(middleware, app, issuer) -> None:
    headers = [("Authorization", f"Bearer {issuer.token()}")]
    frame = b'{"method":"ping","params":""}'
    fits = frame[:-2] + b"x" * (LARGEST_BODY - len(frame)) + frame[-2:]
    assert send(middleware, headers=headers, content=fits).status_code == 200
    assert send(middleware, headers=headers, content=fits + b" ").status_code == 413
    assert len(app.bodies) == 1


@pytest.mark.parametrize(
    "path", ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"]
)
def test_the_metadata_is_served_to_anyone_from_any_origin(middleware, path: str) -> None:
    answer = send(middleware, "GET", path)
    assert answer.status_code == 200
    assert answer.json()["resource"] == RESOURCE
    assert answer.json()["authorization_servers"] == [ISSUER]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert send(middleware, "HEAD", path).content == b""
    preflight = send(middleware, "OPTIONS", path)
    assert preflight.status_code == 204
    assert "mcp-protocol-version" in preflight.headers["access-control-allow-headers"]


def test_public_paths_and_preflights_pass_and_everything_else_is_guarded(middleware, app) -> None:
    assert send(middleware, "GET", "/healthz").text == "reached"
    preflight = [("Origin", "https://mcp.example"), ("Access-Control-Request-Method", "POST")]
    assert send(middleware, "OPTIONS", "/mcp", preflight).text == "reached"
    assert len(app.bodies) == 2
    for method, path in (
        ("GET", "/mcp"),
        ("DELETE", "/mcp"),
        ("OPTIONS", "/mcp"),
        ("GET", "/sse"),
        ("POST", "/messages"),
        ("GET", "/healthz/"),
        ("POST", "/.well-known/oauth-protected-resource"),
    ):
        assert send(middleware, method, path).status_code == 401, (method, path)
    assert len(app.bodies) == 2


def test_a_websocket_is_closed(middleware, app) -> None:
    sent: list[dict[str, object]] = []

    async def collect(event) -> None:
        sent.append(event)

    asyncio.run(middleware({"type": "websocket", "path": "/mcp", "headers": []}, None, collect))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_when_keys_cannot_be_had_the_token_is_not_blamed(app, issuer, clock) -> None:
    class Down:
        def keys(self, issuer: str):
            raise KeysUnavailable(issuer)

    app.guard = Guard(resource=RESOURCE, issuers={ISSUER: "*"}, keys=Down(), clock=clock)
    answer = call(GuardMiddleware(app, app.guard), issuer.token(), message("ping"))
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert "www-authenticate" not in answer.headers


def test_the_call_ends_with_the_request(middleware, app, issuer) -> None:
    call(middleware, issuer.token(), message("ping"))
    with pytest.raises(LookupError):
        app.guard.current()


def test_a_guard_told_only_of_tools_still_names_scopes(app, issuer, clock) -> None:
    app.guard = Guard(
        resource=RESOURCE,
        issuers={ISSUER: "*"},
        tools={"a": ["x", "y"], "b": ["y"]},
        keys=issuer,
        clock=clock,
    )
    middleware = GuardMiddleware(app, app.guard)
    assert 'scope="x y"' in challenge_of(send(middleware, content=b"{}"))
    assert send(middleware, "GET", "/.well-known/oauth-protected-resource").json()["scopes_supported"] == [
        "x",
        "y",
    ]
