"""MCP authorization with the official Python SDK on both sides: its client, and its server behind the guard."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.settings import AuthSettings
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from mcp_types import TextContent

from broker.guard.mcp_sdk import BrokerTokenVerifier
from tests.clients import guarded
from tests.live import LiveBroker, ScriptedBrowser, arrived

CALLBACK = "http://127.0.0.1:4000/callback"
DOOR = "/t/acme"


@pytest.fixture(scope="module")
def server(live_broker: LiveBroker, listener: socket.socket, resource: str) -> Iterator[str]:
    """The address of a protected MCP server."""
    guard = guarded.guard_of(live_broker, resource)
    auth = AuthSettings(
        issuer_url=live_broker.door("acme"), resource_server_url=resource, validate_token_resource=True
    )
    desk = guarded.ticket_desk(guard, auth=auth, token_verifier=BrokerTokenVerifier(guard))
    with guarded.running(desk.streamable_http_app(), guard, listener):
        yield resource


@dataclass
class Memory:
    """Implements the SDK's `TokenStorage`."""

    tokens: OAuthToken | None = None
    registration: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.registration

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.registration = client_info

    def claims(self) -> dict[str, object]:
        assert self.tokens is not None
        payload = self.tokens.access_token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


@dataclass
class Connection:
    """A connected client, and the requests that went over the wire with their answers."""

    mcp: Client
    memory: Memory
    auth: OAuthClientProvider
    wire: list[httpx2.Response] = field(default_factory=list)

    async def call(self, tool: str, **arguments: str) -> str:
        result = await self.mcp.call_tool(tool, arguments)
        (part,) = result.content
        assert isinstance(part, TextContent) and not result.is_error, result
        return part.text

    def told(self) -> list[tuple[str, str, int]]:
        return [(seen.request.method, seen.request.url.path, seen.status_code) for seen in self.wire]


def signing_in(server: str, browser: ScriptedBrowser, memory: Memory) -> OAuthClientProvider:
    """The SDK's sign-in with dynamic registration, its user at the scripted browser."""
    landed: list[str] = []

    async def open_browser(url: str) -> None:
        landed.append(await asyncio.to_thread(browser.visit, url))

    async def come_back() -> AuthorizationCodeResult:
        assert landed[-1].startswith(CALLBACK + "?")
        return AuthorizationCodeResult.model_validate(arrived(landed[-1]))

    return OAuthClientProvider(
        server_url=server,
        client_metadata=OAuthClientMetadata(client_name="SDK client", redirect_uris=[CALLBACK]),
        storage=memory,
        redirect_handler=open_browser,
        callback_handler=come_back,
    )


@asynccontextmanager
async def connected(server: str, auth: OAuthClientProvider, memory: Memory) -> AsyncIterator[Connection]:
    wire: list[httpx2.Response] = []

    async def hear(response: httpx2.Response) -> None:
        wire.append(response)

    async with (
        httpx2.AsyncClient(auth=auth, timeout=10, trust_env=False, event_hooks={"response": [hear]}) as http,
        Client(streamable_http_client(server, http_client=http)) as mcp,
    ):
        yield Connection(mcp, memory, auth, wire)


Story = Callable[[Connection], Awaitable[None]]


def tell(server: str, browser: ScriptedBrowser, story: Story, memory: Memory | None = None) -> None:
    """Connect as a client with this memory, and run the story."""
    memory = memory or Memory()

    async def run() -> None:
        async with connected(server, signing_in(server, browser, memory), memory) as connection:
            await story(connection)

    asyncio.run(run())


def test_a_client_that_knows_only_the_servers_address_finds_its_way_to_a_tool(
    server: str, browser: ScriptedBrowser, live_broker: LiveBroker
) -> None:
    async def story(client: Connection) -> None:
        tools = (await client.mcp.list_tools()).tools
        assert [tool.name for tool in tools] == ["search_tickets"], "what its token may call"
        assert await client.call("search_tickets", text="invoice") == "alice found invoice"
        told = client.told()
        way = [
            ("POST", "/mcp", 401),
            ("GET", "/.well-known/oauth-protected-resource/mcp", 200),
            ("GET", f"/.well-known/oauth-authorization-server{DOOR}", 200),
            ("POST", f"{DOOR}/register", 201),
            ("POST", f"{DOOR}/token", 200),
            ("POST", "/mcp", 200),
        ]
        assert [told.index(step) for step in way] == sorted(told.index(step) for step in way), told
        claims = client.memory.claims()
        assert (claims["iss"], claims["aud"]) == (live_broker.door("acme"), server)
        assert (claims["sub"], claims["tenant"], claims["scope"]) == ("alice", "acme", "tickets:read")
        assert client.memory.tokens is not None and client.memory.tokens.refresh_token

    tell(server, browser, story)
    assert browser.seen == ["Sign in to Acme Corporation", "“SDK client” wants to use Ticket desk"]


def test_a_tool_that_needs_more_scope_asks_the_user_for_it_and_keeps_what_was_granted(
    server: str, browser: ScriptedBrowser
) -> None:
    async def story(client: Connection) -> None:
        await client.call("search_tickets", text="invoice")
        del client.wire[:], browser.seen[:]
        assert await client.call("read_customer", customer="C-17") == "alice read C-17"
        told = client.told()
        challenge = client.wire[told.index(("POST", "/mcp", 403))].headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge and "customers:read" in challenge
        assert told[-1] == ("POST", "/mcp", 200) and told.count(("POST", f"{DOOR}/token", 200)) == 1
        assert len(browser.seen) == 1 and "wants to use" in browser.seen[0], "signed in already"
        assert str(client.memory.claims()["scope"]).split() == ["tickets:read", "customers:read"]
        tools = (await client.mcp.list_tools(cache_mode="refresh")).tools
        assert [tool.name for tool in tools] == ["search_tickets", "read_customer"]
        del client.wire[:], browser.seen[:]
        assert await client.call("search_tickets", text="printer") == "alice found printer"
        assert await client.call("read_customer", customer="C-20") == "alice read C-20"
        assert {status for _, _, status in client.told()} == {200} and not browser.seen

    tell(server, browser, story)


def test_a_token_that_has_ended_is_refreshed_without_the_user(server: str, browser: ScriptedBrowser) -> None:
    async def story(client: Connection) -> None:
        await client.call("search_tickets", text="invoice")
        before, old = client.memory.claims(), client.memory.tokens
        client.auth.context.token_expiry_time = 1.0  # nobody has to wait
        del client.wire[:], browser.seen[:]
        assert await client.call("search_tickets", text="printer") == "alice found printer"
        assert client.told() == [("POST", f"{DOOR}/token", 200), ("POST", "/mcp", 200)] and not browser.seen
        after, new = client.memory.claims(), client.memory.tokens
        kept = ("iss", "sub", "aud", "tenant", "scope", "client_id", "grant_id", "auth_time")
        assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
        assert after["jti"] != before["jti"]
        assert old is not None and new is not None and old.refresh_token != new.refresh_token

    tell(server, browser, story)


def test_a_client_that_starts_again_uses_the_tokens_that_it_kept(
    server: str, browser: ScriptedBrowser
) -> None:
    memory = Memory()

    async def first(client: Connection) -> None:
        await client.call("search_tickets", text="invoice")

    async def again(client: Connection) -> None:
        assert await client.call("search_tickets", text="printer") == "alice found printer"
        assert {path for _, path, _ in client.told()} == {"/mcp"}

    tell(server, browser, first, memory)
    pages = len(browser.seen)
    tell(server, browser, again, memory)
    assert len(browser.seen) == pages


def test_a_client_with_its_own_credentials_calls_a_tool_without_a_user(
    server: str, live_broker: LiveBroker
) -> None:
    memory = Memory()
    auth = ClientCredentialsOAuthProvider(
        server_url=server,
        storage=memory,
        client_id="nightly",
        client_secret="only-for-the-tests-nightly-000000000001",
        scope="tickets:read",
        issuer=live_broker.door("acme"),
    )

    async def run() -> None:
        async with connected(server, auth, memory) as client:
            assert await client.call("search_tickets", text="invoice") == "nightly found invoice"

    asyncio.run(run())
    claims = memory.claims()
    assert (claims["sub"], claims["client_id"], claims["aud"]) == ("nightly", "nightly", server)
    assert memory.tokens is not None and memory.tokens.refresh_token is None
