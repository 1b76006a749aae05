"""RFC 6750, RFC 9728, MCP authorization: what real clients ask of a protected server, each with its test.

The first line of a test says who does it.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
import pytest

from broker.guard.asgi import App, GuardMiddleware, Receive, Scope, Send
from broker.guard.guard import Guard
from broker.protocol.jws import VerificationKey, keys_from_jwks
from tests.lab import ACME, ISSUER, TICKETS, Lab

TOOLS = {"search": ["tickets:read"], "customer": ["customers:read"], "close": ["tickets:write"]}
ORIGIN = TICKETS.removesuffix("/mcp")
PAGE = {"Origin": "http://localhost:6274"}


async def reached(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"reached"})


@dataclass
class Server:
    """A protected server of the broker in the lab."""

    lab: Lab
    app: App

    def ask(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx2.Response:
        async def run() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self.app)
            async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                return await client.request(method, path, content=content, headers=headers)

        return asyncio.run(run())

    def call(self, tool: str, token: str | None = None) -> httpx2.Response:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}
        given = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.ask("POST", "/mcp", json.dumps(message).encode(), **given, **PAGE)


@pytest.fixture
def server(lab: Lab) -> Server:
    class Keys:
        def keys(self, issuer: str) -> Mapping[str, VerificationKey]:
            return keys_from_jwks(lab.get(f"{issuer.removeprefix(ISSUER)}/jwks").json)

    guard = Guard(
        resource=TICKETS,
        issuers={ACME: ["acme"], ISSUER: ["acme"]},
        tools=TOOLS,
        default_scopes=["tickets:read"],
        keys=Keys(),
        clock=lab.clock.now,
        allowed_origins=[PAGE["Origin"]],
    )
    return Server(lab, GuardMiddleware(reached, guard))


def named(challenge: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', challenge)
    assert found is not None, challenge
    return found[1]


def test_a_challenge_names_scopes_and_so_does_the_metadata(server: Server) -> None:
    """SDKs that find none named anywhere ask for every scope of the authorization server."""
    refused = server.call("search")
    assert refused.status_code == 401
    challenge = refused.headers["WWW-Authenticate"]
    assert named(challenge, "scope") == "tickets:read" and "error=" not in challenge
    address = named(challenge, "resource_metadata")
    metadata = server.ask("GET", address.removeprefix(ORIGIN)).json()
    assert metadata["scopes_supported"] == ["tickets:read", "customers:read", "tickets:write"]
    assert "offline_access" not in challenge


def test_a_client_that_asks_for_exactly_what_is_challenged_keeps_what_it_had(
    lab: Lab, server: Server
) -> None:
    """TypeScript SDK v1 asks for the scopes of the challenge alone; too little scope is never a 401."""
    token = lab.tokens(scope="tickets:read offline_access")["access_token"]
    assert server.call("search", token).content == b"reached"
    refused = server.call("customer", token)
    assert refused.status_code == 403
    assert named(refused.headers["WWW-Authenticate"], "error") == "insufficient_scope"
    scope = named(refused.headers["WWW-Authenticate"], "scope")
    assert scope.split() == ["tickets:read", "customers:read"]
    token = lab.tokens(scope=scope)["access_token"]
    assert {server.call(tool, token).content for tool in ("search", "customer")} == {b"reached"}


@pytest.mark.parametrize("path", ["/mcp", ""])
def test_the_metadata_is_at_the_path_of_the_server_and_at_the_root(server: Server, path: str) -> None:
    """Claude looks at the root alone where the form with the path does not answer; Gemini CLI compares `resource`."""
    found = server.ask("GET", f"/.well-known/oauth-protected-resource{path}", **PAGE)
    assert found.status_code == 200 and found.headers["Access-Control-Allow-Origin"] == "*"
    assert found.json()["resource"] == TICKETS
    assert found.json()["authorization_servers"] == [ACME, ISSUER]
    preflight = server.ask(
        "OPTIONS",
        f"/.well-known/oauth-protected-resource{path}",
        **PAGE,
        **{
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "mcp-protocol-version",
        },
    )
    assert preflight.status_code == 204
    assert "mcp-protocol-version" in preflight.headers["Access-Control-Allow-Headers"].lower()


def test_the_published_metadata_and_the_servers_own_name_the_same_bytes(lab: Lab, server: Server) -> None:
    """Clients build the one address or follow the other."""
    own = server.ask("GET", "/.well-known/oauth-protected-resource/mcp").json()
    published = lab.get("/.well-known/oauth-protected-resource/r/tickets").json
    assert own["resource"] == published["resource"]
    assert published["authorization_servers"] == own["authorization_servers"][:1]


def test_a_web_page_may_read_every_challenge(lab: Lab, server: Server) -> None:
    """Inspector in a browser reads WWW-Authenticate only where it is exposed."""
    token = lab.tokens()["access_token"]
    for refused, status in ((server.call("search"), 401), (server.call("close", token), 403)):
        assert refused.status_code == status and refused.headers["Access-Control-Allow-Origin"] == "*"
        assert "WWW-Authenticate" in refused.headers["Access-Control-Expose-Headers"].split(", ")


@pytest.mark.parametrize("path", ["/register", "/authorize", "/token"])
def test_what_belongs_to_the_authorization_server_never_reaches_the_application(
    server: Server, path: str
) -> None:
    """The Python SDK posts to /register here when no endpoint is named; 2025-03-26 clients take all three from here."""
    refused = server.ask("POST", path, b"{}", **{"Content-Type": "application/json"})
    assert refused.status_code == 401 and "WWW-Authenticate" in refused.headers
    assert server.ask("GET", "/.well-known/oauth-authorization-server").status_code == 401
