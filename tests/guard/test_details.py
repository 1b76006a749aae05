"""RFC 9396 section 9: a token with details is good for the calls that they are about, and for no others."""

import asyncio
import json
import logging

import httpx2
import pytest

from broker.guard.asgi import GuardMiddleware
from broker.guard.guard import Guard
from broker.guard.verifier import TokenRefused

ISSUER = "https://as.example"
RESOURCE = "https://mcp.example/mcp"
SCOPES = "tickets:read refunds:write"
REFUND = {
    "type": "mcp_tool_call",
    "locations": [RESOURCE],
    "tools": [
        "search",
        {
            "name": "refund",
            "arguments": {"amount": {"maximum": 100}, "currency": {"const": "EUR"}, "note": {}},
        },
    ],
}


class App:
    def __init__(self) -> None:
        self.reached = 0

    async def __call__(self, scope, receive, send) -> None:
        await receive()
        self.reached += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def guard(issuer, clock) -> Guard:
    return Guard(
        resource=RESOURCE,
        issuers={ISSUER: ["acme"]},
        tools={"search": ["tickets:read"], "refund": ["refunds:write"], "ping_desk": []},
        keys=issuer,
        clock=clock,
    )


@pytest.fixture
def token(issuer) -> str:
    return issuer.token(scope=SCOPES, authorization_details=[REFUND])


def sent(app: App, guard: Guard, token: str, body: object, method: str = "POST") -> httpx2.Response:
    async def run() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=GuardMiddleware(app, guard))
        async with httpx2.AsyncClient(transport=transport, base_url="https://mcp.example") as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return await client.request(
                method, "/mcp", headers=[("Authorization", f"Bearer {token}")], content=content
            )

    return asyncio.run(run())


def call(tool: str, **arguments: object) -> dict[str, object]:
    return request("tools/call", name=tool, arguments=arguments)


def request(method: str, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@pytest.mark.requirement("RFC9396-12")
@pytest.mark.parametrize(
    "good",
    [
        call("refund", amount=100, currency="EUR"),
        call("refund", amount=99.5, currency="EUR", note={"any": ["thing"]}),
        call("search", q="anything"),
        request("tools/call", name="search"),
    ],
)
def test_a_call_that_a_detail_is_about_reaches_the_server(guard, app, token, good) -> None:
    assert sent(app, guard, token, good).status_code == 200
    assert app.reached == 1


@pytest.mark.requirement("RFC9396-12")
@pytest.mark.parametrize(
    "bad",
    [
        call("refund", amount=100.01, currency="EUR"),
        call("refund", amount="100", currency="EUR"),
        call("refund", amount=True, currency="EUR"),
        call("refund", amount=1, currency="USD"),
        call("refund", amount=1, currency=["EUR"]),
        call("refund", amount=1, currency="EUR", to="mallory"),
        call("refund", currency="EUR"),
        call("refund"),
        request("tools/call", name="refund"),
        request("tools/call", name="refund", arguments=["EUR", 1]),
        request("tools/call", name="refund", arguments="amount=1"),
        call("ping_desk"),
        b'{"method":"tools/call","params":{"name":"refund","arguments":{"amount":1e999,"currency":"EUR"}}}',
    ],
)
def test_a_call_that_no_detail_is_about_is_refused_and_names_the_scopes(
    guard, app, token, issuer, bad
) -> None:
    answer = sent(app, guard, token, bad)
    assert answer.status_code == 403 and answer.json() == {"error": "insufficient_scope"}
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge and 'scope="refunds:write tickets:read"' in challenge
    assert "not one of those that the token is good for" in challenge
    assert app.reached == 0
    assert sent(app, guard, issuer.token(scope=SCOPES), bad).status_code == 200


def test_an_argument_given_twice_never_gets_as_far_as_that(guard, app, token) -> None:
    body = (
        b'{"method":"tools/call","params":{"name":"refund","arguments":'
        b'{"amount":1,"amount":9999,"currency":"EUR"}}}'
    )
    assert sent(app, guard, token, body).status_code == 400 and app.reached == 0


def test_details_do_not_stand_in_for_scopes(guard, app, issuer) -> None:
    token = issuer.token(scope="tickets:read", authorization_details=[REFUND])
    answer = sent(app, guard, token, call("refund", amount=1, currency="EUR"))
    assert answer.status_code == 403
    assert "needs more scope" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "others", [[call("refund", amount=101, currency="EUR")], [request("resources/read")]]
)
def test_one_call_too_many_refuses_a_whole_batch(guard, app, token, others) -> None:
    good = [call("search"), {**call("refund", amount=1, currency="EUR"), "id": 2}]
    assert sent(app, guard, token, [*good, *others]).status_code == 403 and app.reached == 0
    assert sent(app, guard, token, good).status_code == 200


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "tools/list", "notifications/initialized", "server/discover", "tasks/result"],
)
def test_what_goes_with_calls_needs_no_detail(guard, app, token, method: str) -> None:
    assert sent(app, guard, token, request(method)).status_code == 200
    assert sent(app, guard, token, {"jsonrpc": "2.0", "id": 1, "result": {}}).status_code == 200


@pytest.mark.parametrize(
    "method",
    [
        "resources/read",
        "resources/list",
        "prompts/get",
        "completion/complete",
        "tasks/list",
        "tools/Call",
        "x",
    ],
)
def test_a_token_for_some_calls_reads_nothing_else(guard, app, token, issuer, method: str) -> None:
    assert sent(app, guard, token, request(method, name="search")).status_code == 403
    assert app.reached == 0
    assert sent(app, guard, issuer.token(scope=SCOPES), request(method, name="search")).status_code == 200


@pytest.mark.parametrize(
    "claim",
    [
        [],
        [{"type": "openid_credential"}],
        [REFUND | {"locations": ["https://other.example/mcp"]}],
    ],
)
def test_details_that_are_about_something_else_allow_nothing_here(guard, app, issuer, claim) -> None:
    token = issuer.token(scope=SCOPES, authorization_details=claim)
    assert sent(app, guard, token, call("search")).status_code == 403
    assert sent(app, guard, token, request("tools/list")).status_code == 200


@pytest.mark.parametrize(
    "claim", ["x", {}, [1], [REFUND | {"more": 1}], [REFUND | {"tools": []}], [{"type": "mcp_tool_call"}], 0]
)
def test_details_that_cannot_be_read_make_a_token_worth_nothing(guard, app, issuer, claim) -> None:
    token = issuer.token(scope=SCOPES, authorization_details=claim)
    assert sent(app, guard, token, call("search")).status_code == 401
    with pytest.raises(TokenRefused):
        guard.verify(token)


def test_a_guard_without_a_list_of_tools_keeps_to_details_too(app, issuer, clock, token) -> None:
    guard = Guard(resource=RESOURCE, issuers={ISSUER: "*"}, keys=issuer, clock=clock)
    assert sent(app, guard, token, call("search")).status_code == 200
    assert sent(app, guard, token, call("other")).status_code == 403
    assert sent(app, guard, token, request("tools/call", arguments={})).status_code == 403


def test_a_server_without_an_adapter_asks_for_each_call(guard, token, issuer) -> None:
    verified, whole = guard.verify(token), guard.verify(issuer.token(scope=SCOPES))
    assert guard.allows(verified, "refund", {"amount": 1, "currency": "EUR"})
    assert not guard.allows(verified, "refund", {"amount": 101, "currency": "EUR"})
    assert not guard.allows(verified, "refund")
    assert guard.allows(whole, "refund", {"amount": 101})


def test_the_metadata_says_that_calls_can_be_asked_for(guard, issuer, clock) -> None:
    assert json.loads(guard.metadata.body)["authorization_details_types_supported"] == ["mcp_tool_call"]
    bare = Guard(resource=RESOURCE, issuers={ISSUER: "*"}, keys=issuer, clock=clock)
    assert "authorization_details_types_supported" not in json.loads(bare.metadata.body)


def test_the_sdk_by_itself_gets_no_token_for_some_calls_only(
    guard, token, issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """It sees no call. Behind the middleware, which has looked at it, it takes the token."""
    pytest.importorskip("mcp", reason="the official MCP SDK is not installed")
    from broker.guard.mcp_sdk import BrokerTokenVerifier

    verifier = BrokerTokenVerifier(guard)
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(verifier.verify_token(token)) is None
    assert "without GuardMiddleware" in caplog.text
    assert asyncio.run(verifier.verify_token(issuer.token(scope=SCOPES))) is not None
    found = []

    async def app(scope, receive, send) -> None:
        found.append(await verifier.verify_token(token))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    assert sent(app, guard, token, call("search")).status_code == 200
    assert found[0] is not None


APPROVED = {
    "type": "mcp_tool_call",
    "locations": [RESOURCE],
    "tools": ["refund"],
    "approval": "apr_1",
    "digest": "0" * 64,
}


def test_a_token_for_one_approved_act_is_good_where_each_call_is_decided(app, guard, issuer, clock) -> None:
    """Which act it is, and that it happens once, only the broker can tell."""
    from tests.guard.desk import Desk

    token = issuer.token(scope=SCOPES, authorization_details=[APPROVED])
    assert sent(app, guard, token, call("refund", amount=5)).status_code == 403 and app.reached == 0
    assert not guard.allows(guard.verify(token), "refund", {"amount": 5})
    desk = Desk(issuer, clock)
    assert desk.call("refund", {"amount": 5}, authorization_details=[APPROVED]).status_code == 200
    assert len(desk.broker.asked) == 1
    assert desk.call("close", authorization_details=[APPROVED]).status_code == 403


def test_a_read_that_was_approved_is_decided_also_where_reads_are_told_of_afterwards(issuer, clock) -> None:
    from broker.guard.catalogue import Catalogue, Tool
    from tests.guard.desk import Desk

    tools = {"search": Tool("search", ("tickets:read",), "read", by_catalogue=True)}
    desk = Desk(issuer, clock, catalogue=Catalogue(tools, record_after=True))
    approved = {**APPROVED, "tools": ["search"]}
    assert desk.call("search", authorization_details=[approved]).status_code == 200
    assert len(desk.broker.asked) == 1
    assert desk.call("search").status_code == 200 and len(desk.broker.asked) == 1
