"""The resource server of these tests: what the guard protects, on uvicorn, in a thread of this process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from mcp.server.mcpserver import MCPServer

from broker.guard.asgi import App, GuardMiddleware
from broker.guard.guard import Guard
from tests.live import LiveBroker

TOOLS = {
    "search_tickets": ["tickets:read"],
    "read_customer": ["customers:read"],
    "close_ticket": ["tickets:write"],
}


def guard_of(broker: LiveBroker, resource: str) -> Guard:
    """Knows the tenant's door first: that is where clients are sent."""
    return Guard(
        resource=resource,
        issuers={broker.door("acme"): ["acme"], broker.issuer: ["acme"]},
        tools=TOOLS,
        implies={"tickets:write": ["tickets:read"]},
        default_scopes=["tickets:read"],
        resource_name="Ticket desk",
    )


def ticket_desk(guard: Guard, **options: object) -> MCPServer:
    """An MCP server whose tools say for whom they act."""
    server = MCPServer("Ticket desk", **options)

    @server.tool()
    async def search_tickets(text: str) -> str:
        return f"{guard.current().subject} found {text}"

    @server.tool()
    async def read_customer(customer: str) -> str:
        return f"{guard.current().subject} read {customer}"

    @server.tool()
    async def close_ticket(number: str) -> str:
        return f"{guard.current().subject} closed {number}"

    return server


@contextmanager
def running(app: App, guard: Guard, listener: socket.socket) -> Iterator[None]:
    """Serve `app` behind the guard; connections wait in the listener until the server is up."""
    config = uvicorn.Config(GuardMiddleware(app, guard), log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
