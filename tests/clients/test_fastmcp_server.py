"""A server of FastMCP behind the guard: an ASGI application like any other."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.clients import installed
from tests.clients.test_control import SERVER, SSN, Person, called, live_broker  # noqa: F401
from tests.clients.test_python_sdk import Memory, signing_in
from tests.live import LiveBroker, ScriptedBrowser

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server(live_broker: LiveBroker, listener: socket.socket, resource: str) -> Iterator[str]:  # noqa: F811
    python = installed.environment(HERE / "fastmcp" / "requirements.txt")
    command = (
        str(python),
        str(HERE / "fastmcp" / "server.py"),
        live_broker.door("acme"),
        str(listener.fileno()),
    )
    given = {"PYTHONPATH": str(HERE.parent.parent), "SECRET": SERVER[1], "NO_PROXY": "127.0.0.1"}
    with subprocess.Popen(command, env=os.environ | given, pass_fds=[listener.fileno()]) as process:
        try:
            yield resource
        finally:
            process.terminate()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_its_list_is_filtered_its_results_are_redacted_and_a_call_is_allowed_and_runs_once(
    server: str, browser: ScriptedBrowser, mode: str
) -> None:
    person = Person("alice")

    async def run() -> None:
        auth = signing_in(server, browser, Memory())
        async with (
            httpx2.AsyncClient(auth=auth, timeout=60, trust_env=False) as http,
            Client(
                streamable_http_client(server, http_client=http), mode=mode, elicitation_callback=person
            ) as client,
        ):
            assert [tool.name for tool in (await client.list_tools()).tools] == ["search_tickets"]
            found = await client.call_tool("search_tickets", {"text": "invoice"})
            assert found.content[0].text == "alice found invoice"
            read = await client.call_tool("read_customer", {"customer": "C-17"})
            assert SSN not in read.model_dump_json() and "[redacted]" in read.model_dump_json()
            closed = await called(client, "close_ticket", {"number": mode}, person)
            assert not closed.is_error and closed.content[0].text.split().count(mode) == 1
            assert len(person.shown) == 1

    asyncio.run(run())
