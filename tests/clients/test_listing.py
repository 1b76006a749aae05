"""Tools of a live server of the official Python SDK, as `broker resource tools import` asks for them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

from broker.estate.catalogue import listing
from broker.estate.catalogue.model import Hints
from broker.protocol.definition import schema_digest
from broker.runtime.egress import Egress
from tests.lab import Clock

server = MCPServer("Ticket desk")


@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
async def search_tickets(text: str, most: int = 10) -> list[str]:
    """Find tickets by a word of their subject."""
    raise AssertionError("nothing is called")


@server.tool()
async def refund(number: str, amount: float) -> str:
    """Refund a customer."""
    raise AssertionError("nothing is called")


@contextmanager
def running(**options: object) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        app = server.streamable_http_app(**options)
        live = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
        thread = threading.Thread(target=live.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            live.should_exit = True
            thread.join()


@pytest.mark.parametrize("newest", ["2026-07-28", "1999-01-01"], ids=["newest", "handshake"])
@pytest.mark.parametrize("options", [{}, {"json_response": True}, {"stateless_http": True}], ids=str)
def test_a_server_of_the_sdk_is_asked_in_either_way(
    monkeypatch: pytest.MonkeyPatch, newest: str, options: dict[str, object]
) -> None:
    monkeypatch.setattr(listing, "NEWEST", newest)  # a revision that nobody speaks leads to the handshake
    egress = Egress(True, Clock())
    with running(**options) as url:
        found = {one.definition.name: one for one in listing.look(egress, url, None)}
    egress.close()
    assert list(found) == ["search_tickets", "refund"]
    search, refund = found.values()
    assert search.hints == Hints(read_only=True, open_world=False) and refund.hints == Hints()
    assert search.unusable is None and refund.unusable is None
    assert refund.definition.description == "Refund a customer."
    assert set(refund.definition.schema["properties"]) == {"number", "amount"}
    said = search.definition
    assert said.digest == schema_digest("search_tickets", said.description, said.schema)
