"""Acts for the tests of controls that judge one: who calls what, and how often."""

from dataclasses import replace

from broker.control.model import Act, Person
from broker.estate.model import Bounds, Impact, Isolation, Limits, Resource, ResourceKind, Tool
from tests.lab import START

READ = Tool("search", ("a:read",), Impact.READ)
REFUND = Tool("refund", ("a:pay",), Impact.EXTERNAL_WRITE, family="payments", cost=5)


def resource(
    limits: Limits = Limits(), isolation: Isolation = Isolation(), name: str = "tickets"
) -> Resource:
    return Resource(
        name,
        ResourceKind.MCP,
        f"https://{name}.example/mcp",
        name,
        ("acme", "globex"),
        tools=(READ, REFUND),
        limits=limits,
        isolation=isolation,
    )


def act(number: int = 0, tool: Tool = READ, at: Resource | None = None, **changes: object) -> Act:
    """The acts of different numbers are different calls under one `txn`."""
    made = Act(
        digest=f"{number:064x}",
        issuer="https://as.example",
        tenant="acme",
        subject=Person("alice", user=True),
        client_id="desk-app",
        actors=(),
        confirmation=None,
        resource=at or resource(),
        tool=tool,
        schema_digest=None,
        arguments={},
        scopes=frozenset(tool.scopes),
        jti=f"jti-{number}",
        txn="txn-1",
        grant_id="grant-1",
        expires_at=START + 300,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


__all__ = ["READ", "REFUND", "Bounds", "Isolation", "Limits", "act", "resource"]
