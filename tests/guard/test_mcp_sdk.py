import asyncio
import logging

import httpx2
import pytest

from broker.guard.asgi import GuardMiddleware
from broker.guard.guard import Guard
from tests.proofs import Holder

pytest.importorskip("mcp", reason="the official MCP SDK is not installed")

from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend
from mcp.server.auth.provider import TokenVerifier
from starlette.requests import HTTPConnection

from broker.guard.mcp_sdk import BrokerTokenVerifier

ISSUER = "https://as.example"
RESOURCE = "https://mcp.example/mcp"


@pytest.fixture
def verifier(issuer, clock) -> TokenVerifier:
    return BrokerTokenVerifier(Guard(resource=RESOURCE, issuers={ISSUER: "*"}, keys=issuer, clock=clock))


def test_the_sdk_gets_what_it_keeps_of_a_good_token(verifier, issuer) -> None:
    token = issuer.token(scope="b a")
    access = asyncio.run(verifier.verify_token(token))
    assert access is not None
    assert (access.token, access.client_id, access.subject) == (token, "desk-app", "alice")
    assert (access.scopes, access.resource) == (["a", "b"], RESOURCE)
    assert access.expires_at == 1_800_000_300
    assert access.claims is not None
    assert (access.claims["iss"], access.claims["tenant"]) == (ISSUER, "acme")


def test_the_sdk_gets_nothing_of_a_bad_token(verifier, issuer) -> None:
    assert asyncio.run(verifier.verify_token(issuer.token(aud="https://other.example"))) is None
    assert asyncio.run(verifier.verify_token("x")) is None


def test_the_sdk_by_itself_gets_no_token_that_is_bound_to_a_key(
    verifier, issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """It sees no request, so it sees no proof."""
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(verifier.verify_token(issuer.token(cnf={"jkt": "k" * 43}))) is None
    assert "without GuardMiddleware" in caplog.text
    assert asyncio.run(verifier.verify_token(issuer.token())) is not None


def test_behind_the_middleware_the_sdk_takes_a_token_whose_proof_was_seen(issuer, clock) -> None:
    """With the SDK's own middleware, which knows no scheme but Bearer."""
    guard = Guard(resource=RESOURCE, issuers={ISSUER: "*"}, keys=issuer, clock=clock)
    sdk = BearerAuthBackend(BrokerTokenVerifier(guard))

    async def app(scope, receive, send) -> None:
        found = await sdk.authenticate(HTTPConnection(scope))
        status = 401 if found is None else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send(
            {"type": "http.response.body", "body": b"" if found is None else found[1].username.encode()}
        )

    key = Holder()
    token = issuer.token(cnf={"jkt": key.jkt})

    async def ask(headers: dict[str, str], app: object) -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
            return await client.get(RESOURCE, headers={"Authorization": f"DPoP {token}", **headers})

    proof = key.proof(RESOURCE, clock(), "GET", token)
    answer = asyncio.run(ask({"DPoP": proof}, GuardMiddleware(app, guard)))
    assert (answer.status_code, answer.text) == (200, "desk-app")
    for unguarded in ({"DPoP": proof}, {"Authorization": f"Bearer {token}"}):
        assert asyncio.run(ask(unguarded, app)).status_code == 401


def test_the_guard_is_told_how_the_server_defines_its_tools(issuer, clock) -> None:
    from mcp.server.mcpserver import MCPServer

    from broker.guard.mcp_sdk import definitions
    from broker.protocol.definition import schema_digest
    from tests.guard.desk import Desk

    server = MCPServer("Desk")

    @server.tool()
    async def search(text: str) -> str:
        """Find tickets."""
        return text

    desk = Desk(issuer, clock)
    desk.guard.serves(found := asyncio.run(definitions(server)))
    [tool] = found
    assert (tool["name"], tool["description"]) == ("search", "Find tickets.")
    assert desk.call("search", {"text": "x"}).status_code == 200
    asked = desk.broker.asked[0]["resource"]["properties"]["schema_digest"]
    assert asked == schema_digest("search", "Find tickets.", tool["inputSchema"])
