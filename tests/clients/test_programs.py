"""MCP authorization with the clients that people have: the TypeScript SDKs, FastMCP and openid-client, as they ship."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.clients import guarded, installed, programs
from tests.clients.programs import Program, Told
from tests.live import LiveBroker, ScriptedBrowser

HERE = Path(__file__).parent
DOOR = "/t/acme"
TOOLS = ["search_tickets"]
"""What a token with the first scopes may call."""


@dataclass(frozen=True)
class Kind:
    """How a client is started, what it calls itself, whether it tries an address before its user does, or has a key."""

    command: Callable[[str], list[str]]
    name: str
    tries: bool = False
    key: bool = False


def on_node(program: str, *arguments: str) -> Callable[[str], list[str]]:
    def command(server: str) -> list[str]:
        home = installed.packages(HERE / "node")
        return [str(installed.node()), str(home / program), server, *arguments]

    return command


def fastmcp(server: str) -> list[str]:
    python = installed.environment(HERE / "fastmcp" / "requirements.txt")
    return [str(python), str(HERE / "fastmcp" / "client.py"), server]


CLIENTS = {
    "TypeScript SDK v1": Kind(on_node("sdk.mjs", "v1"), "TypeScript v1"),
    "TypeScript SDK v2": Kind(on_node("sdk.mjs", "v2"), "TypeScript v2"),
    "TypeScript SDK v2 with DPoP": Kind(on_node("sdk.mjs", "v2", "dpop"), "TypeScript v2", key=True),
    "FastMCP": Kind(fastmcp, "FastMCP Client", tries=True),
    "openid-client": Kind(on_node("openid_client.mjs"), "openid-client"),
    "openid-client with DPoP": Kind(on_node("openid_client.mjs", "dpop"), "openid-client", key=True),
}


@pytest.fixture(scope="module")
def server(live_broker: LiveBroker, listener: socket.socket, resource: str) -> Iterator[str]:
    """The address of a protected MCP server."""
    guard = guarded.guard_of(live_broker, resource)
    app = guarded.ticket_desk(guard).streamable_http_app(stateless_http=True, json_response=True)
    with guarded.running(app, guard, listener):
        yield resource


@pytest.fixture(scope="module", params=CLIENTS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return CLIENTS[request.param]


@pytest.fixture(scope="module")
def process(kind: Kind, server: str) -> Iterator[Program]:
    with ScriptedBrowser() as browser, programs.running(kind.command(server), browser) as program:
        yield program


@pytest.fixture
def client(process: Program) -> Iterator[Program]:
    """A client with a user who is not signed in yet."""
    with ScriptedBrowser() as browser:
        process.browser = browser
        yield process


@pytest.fixture
def connected(client: Program) -> Told:
    """What a client does that knows nothing but the server's address."""
    return client.do("connect")


def test_a_client_that_knows_only_the_servers_address_finds_its_way_to_a_tool(
    kind: Kind, client: Program, connected: Told, server: str, live_broker: LiveBroker
) -> None:
    way = [
        ("POST", "/mcp", 401),
        ("GET", "/.well-known/oauth-protected-resource/mcp", 200),
        ("GET", f"/.well-known/oauth-authorization-server{DOOR}", 200),
        ("POST", f"{DOOR}/register", 201),
        *([("GET", f"{DOOR}/authorize", 303)] if kind.tries else []),
        ("POST", f"{DOOR}/token", 200),
    ]
    assert [step for step in connected.wire if step[1] != "/mcp" or step[2] == 401] == way, connected.wire
    assert client.browser.seen == ["Sign in to Acme Corporation", f"“{kind.name}” wants to use Ticket desk"]
    claims = connected.claims
    assert (claims["iss"], claims["aud"]) == (live_broker.door("acme"), server)
    assert (claims["sub"], claims["tenant"], claims["scope"]) == ("alice", "acme", "tickets:read")
    assert connected.answer == TOOLS
    assert client.call("search_tickets", text="invoice").answer == "alice found invoice"


def test_a_tool_that_needs_more_scope_asks_the_user_for_it_and_keeps_what_was_granted(
    kind: Kind, client: Program, connected: Told
) -> None:
    del client.browser.seen[:]
    told = client.call("read_customer", customer="C-17")
    assert told.answer == "alice read C-17"
    steps = [step for step in told.wire if step[0] == "POST"]
    way = [("POST", "/mcp", 403), ("POST", f"{DOOR}/token", 200), ("POST", "/mcp", 200)]
    # FastMCP lists anew once it has called what was not listed.
    assert steps[:3] == way and set(steps[3:]) <= {("POST", "/mcp", 200)}
    assert client.browser.seen == [f"“{kind.name}” wants to use Ticket desk"], "signed in already"
    assert told.scope == ["tickets:read", "customers:read"]
    again = client.call("search_tickets", text="printer")
    assert again.answer == "alice found printer" and again.wire == [("POST", "/mcp", 200)]


def test_a_token_that_has_ended_is_refreshed_without_the_user(client: Program, connected: Told) -> None:
    del client.browser.seen[:]
    client.do("spoil")
    told = client.call("search_tickets", text="printer")
    assert told.answer == "alice found printer" and not client.browser.seen
    assert [step for step in told.wire if step[1] == f"{DOOR}/token"] == [("POST", f"{DOOR}/token", 200)]
    before, after = connected.claims, told.claims
    kept = ("iss", "sub", "aud", "tenant", "scope", "client_id", "grant_id", "auth_time", "cnf")
    assert {name: after.get(name) for name in kept} == {name: before.get(name) for name in kept}
    assert after["jti"] != before["jti"]
    assert told.tokens["refresh_token"] != connected.tokens["refresh_token"]


def test_what_a_client_with_a_key_gets_is_of_no_use_without_the_key(
    kind: Kind, connected: Told, server: str
) -> None:
    assert ("cnf" in connected.claims) is kind.key
    assert str(connected.tokens["token_type"]).lower() == ("dpop" if kind.key else "bearer")
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {
        "Authorization": f"Bearer {connected.tokens['access_token']}",
        "Accept": "application/json, text/event-stream",
    }
    found = httpx2.post(server, json=message, headers=headers, trust_env=False)
    assert found.status_code == (401 if kind.key else 200)
