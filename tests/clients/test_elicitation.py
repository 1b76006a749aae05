"""MCP elicitation with the official SDK on both sides: a tool needs an account elsewhere, and its user connects it."""

import asyncio
import html
import re
import socket
from collections.abc import Iterator

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ElicitResult, InputRequiredResult

from broker.guard.exchange import ExchangeRefused
from broker.guard.guard import Guard
from broker.guard.mcp_sdk import ask_user
from tests.clients import guarded
from tests.clients.conftest import ESTATE
from tests.clients.test_python_sdk import Memory, signing_in
from tests.live import Page, ScriptedBrowser
from tests.vault.provider import Provider
from tests.vault.real import FORGE, SERVER, Pair, pair


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory, resource: str) -> Iterator[Pair]:
    estate = ESTATE.read_text("utf-8").replace("http://127.0.0.1:9999/mcp", resource)
    with pair(tmp_path_factory.mktemp("vault"), estate) as found:
        yield found


@pytest.fixture(scope="module")
def server(vault: Pair, listener: socket.socket, resource: str) -> Iterator[str]:
    """The address of an MCP server whose one tool works with the account of its user at the forge."""
    guard = Guard(
        resource=resource,
        issuers={vault.broker.door("acme"): ["acme"]},
        tools={"who_am_i": ["tickets:read"]},
        client_id=SERVER[0],
        client_secret=SERVER[1],
    )
    desk = MCPServer("Ticket desk")

    @desk.tool()
    async def who_am_i(context: Context) -> str | InputRequiredResult:
        try:
            token = await guard.exchange(resource=FORGE)
        except ExchangeRefused as refused:
            return ask_user(refused, context, "Connect your account at the forge.")
        async with httpx2.AsyncClient(trust_env=False) as http:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await http.get(f"{vault.forge.origin}/account", headers=headers)
        return str(answer.json()["login"])

    with guarded.running(desk.streamable_http_app(), guard, listener):
        yield resource


def connects(browser: ScriptedBrowser, url: str, forge: Provider) -> None:
    """A person opens the page that the client showed them, goes to the forge, and allows it there."""
    opened = browser.http.get(url, follow_redirects=True)
    page = Page(opened.text)
    assert page.heading == "Connect Forge" and page.action is not None, opened.text
    answer = browser.http.post(page.action, data=dict([*page.fields, ("do", "connect")]))
    found = re.search(r'content="0; url=([^"]+)"', answer.text)
    assert found is not None, answer.text
    allowed = browser.http.get(f"{html.unescape(found[1])}&decision=allow")
    assert allowed.headers["location"].startswith(url.partition("?")[0] + "/callback?")
    done = browser.http.get(allowed.headers["location"], follow_redirects=True)
    assert "is connected, with the account" in done.text and forge.origin in found[1]


def disconnects(browser: ScriptedBrowser, url: str) -> None:
    page = Page(browser.http.get(url).text)
    assert page.action is not None
    answer = browser.http.post(page.action, data=dict([*page.fields, ("do", "disconnect")]))
    assert "is disconnected" in re.sub(r"<[^>]*>", "", answer.text)


@pytest.mark.requirement("ELICIT-09")
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_tool_sends_its_user_to_connect_an_account_and_then_works(
    server: str, browser: ScriptedBrowser, vault: Pair, mode: str
) -> None:
    shown: list[str] = []
    heard: list[object] = []

    async def person(_: object, asked: object) -> ElicitResult:
        shown.append(asked.url)
        heard.append(asked)
        await asyncio.to_thread(connects, browser, asked.url, vault.forge)
        return ElicitResult(action="accept")

    async def call() -> str:
        auth = signing_in(server, browser, Memory())
        async with (
            httpx2.AsyncClient(auth=auth, timeout=20, trust_env=False) as http,
            Client(
                streamable_http_client(server, http_client=http), mode=mode, elicitation_callback=person
            ) as client,
        ):
            try:
                result = await client.call_tool("who_am_i")
            except MCPError as error:
                assert mode == "legacy" and error.code == -32042
                heard.append(error.data)
                [asked] = error.data["elicitations"]
                shown.append(asked["url"])
                await asyncio.to_thread(connects, browser, asked["url"], vault.forge)
                result = await client.call_tool("who_am_i")
            assert not result.is_error, result
            heard.append(result)
            return str(result.structured_content["result"])

    assert asyncio.run(call()) == "octo"
    [url] = shown
    assert url.startswith(f"{vault.broker.door('acme')}/connections/forge?")
    assert len(heard) == 2 and vault.forge.grants and "upstream-" not in str(heard)
    disconnects(browser, url)
