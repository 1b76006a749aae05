"""An MCP server (official Python SDK, streamable HTTP) that is protected by the guard.

Three things make it a protected one: the `Guard`, which reads from the broker what its tools take and asks it before
each call; the `GuardMiddleware` around the application; and `guard.exchange` where a tool calls another system.
"""

import os
from itertools import count
from urllib.parse import urlsplit

import uvicorn
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

from broker.guard.asgi import GuardMiddleware
from broker.guard.guard import Guard
from broker.guard.mcp_sdk import BrokerTokenVerifier

RESOURCE = os.environ["TICKETS_URL"]  # this server's address, and the audience of its tokens
ISSUER = os.environ["ISSUER"]  # the tenant's door
CRM = os.environ["CRM_URL"]
PAYMENTS = count(1)

TICKETS = {
    "T-1": {"subject": "Cannot sign in", "customer": "C-17", "state": "open"},
    "T-2": {"subject": "Invoice is missing", "customer": "C-17", "state": "open"},
    "T-3": {"subject": "Printer on fire", "customer": "C-20", "state": "open"},
}

guard = Guard.from_broker(
    ISSUER, "tickets", client_id="tickets-server", client_secret=os.environ["TICKETS_CLIENT_SECRET"]
)

server = MCPServer(
    "Ticket desk",
    # Who opened a session of the SDK is the only one to use it.
    auth=AuthSettings(issuer_url=ISSUER, resource_server_url=RESOURCE, validate_token_resource=True),
    token_verifier=BrokerTokenVerifier(guard),
)


@server.tool()
async def search_tickets(text: str) -> list[str]:
    """Find tickets by a word of their subject."""
    return [
        f"{number}: {ticket['subject']} ({ticket['state']}, customer {ticket['customer']})"
        for number, ticket in TICKETS.items()
        if text.lower() in ticket["subject"].lower()
    ]


@server.tool()
async def read_customer(customer: str) -> dict[str, str]:
    """Who a customer is, read from the CRM in the name of the user who asks."""
    token = await guard.exchange(resource=CRM, scope="crm:read")
    async with guard.http() as http:
        answer = await http.get(f"{CRM}/customers/{customer}", headers={"Authorization": f"Bearer {token}"})
    answer.raise_for_status()
    found: dict[str, str] = answer.json()
    return found


@server.tool()
async def close_ticket(number: str) -> str:
    """Close a ticket."""
    TICKETS[number]["state"] = f"closed by {guard.current().subject}"
    return f"{number} is closed"


@server.tool()
async def reopen_ticket(number: str) -> str:
    """Open a ticket again that was closed."""
    TICKETS[number]["state"] = "open"
    return f"{number} is open"


@server.tool()
async def refund(number: str, amount: int) -> str:
    """Pay money back for a ticket. It cannot be taken back."""
    guard.outcome(downstream_request_id=f"payment-{next(PAYMENTS)}", cost=5)
    print(f"paid {amount} for {number}, asked by {guard.current().subject}", flush=True)
    return f"{amount} paid back for {number}"


if __name__ == "__main__":
    app = GuardMiddleware(server.streamable_http_app(), guard)
    uvicorn.run(app, host="127.0.0.1", port=urlsplit(RESOURCE).port or 80)
