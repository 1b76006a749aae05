"""A server of FastMCP behind the guard, in an environment of its own: server.py DOOR FD; its secret is in SECRET."""

import os
import sys

import uvicorn
from fastmcp import FastMCP

from broker.guard.asgi import GuardMiddleware
from broker.guard.guard import Guard

guard = Guard.from_broker(
    sys.argv[1], "tickets", client_id="tickets-server", client_secret=os.environ["SECRET"]
)
server = FastMCP("Ticket desk")
done: list[str] = []


@server.tool()
async def search_tickets(text: str) -> str:
    return f"{guard.current().subject} found {text}"


@server.tool()
async def read_customer(customer: str) -> dict[str, str]:
    return {"id": customer, "ssn": "078-05-1120"}


@server.tool()
async def close_ticket(number: str) -> str:
    done.append(number)
    return f"closed {', '.join(done)}"


@server.tool()
async def refund(amount: int) -> str:
    return f"refunded {amount}"


if __name__ == "__main__":
    uvicorn.run(
        GuardMiddleware(server.http_app(), guard), fd=int(sys.argv[2]), log_level="warning", ws="none"
    )
