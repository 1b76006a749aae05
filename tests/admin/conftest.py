"""An empty broker, and administration over it."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broker import app as composition
from broker.admin.apply import Apply
from broker.admin.credentials import Credentials
from broker.admin.estate_file import parse, read_yaml
from broker.admin.load import judged
from broker.admin.model import Change, EstateProblems, Wanted
from broker.audit import trace
from broker.cli.local import rooms_of
from broker.protocol.origin import Origin
from broker.settings import Settings
from tests import lab as labs

ORIGIN = Origin("req_test", "cli", "http://127.0.0.1:8400")
ESTATE = """
tenants:
  - {id: acme, name: Acme Corporation}
  - {id: globex, root_door: false}
users:
  - {id: Alice, name: Alice Example, email: alice@acme.example, password: "a good password",
     tenants: [{id: acme, roles: [member], attributes: {department: support, level: 3}}]}
  - {id: bob, tenants: [{id: acme}, {id: globex, roles: [member]}]}
clients:
  - {client_id: desk-app, name: Desk App, type: public, redirect_uris: ["http://127.0.0.1/callback"],
     grant_types: [authorization_code, refresh_token], scopes: ["tickets:read", offline_access]}
  - {client_id: nightly, type: confidential, tenant: acme, client_secret: "night-secret",
     token_endpoint_auth_method: client_secret_post, grant_types: [client_credentials],
     resources: [tickets], scopes: ["tickets:read"]}
resources:
  - id: tickets
    kind: mcp
    uri: http://127.0.0.1:9999/mcp
    name: Ticket desk
    tenants: [acme]
    default: true
    client: {client_id: tickets-server, client_secret: "ticket-secret"}
    token: {lifetime: 240, alg: EdDSA}
    scopes:
      - {name: "tickets:read", description: Read tickets, default: true}
      - {name: "tickets:write", description: Change tickets, implies: ["tickets:read"]}
    tools:
      - {name: search, scopes: ["tickets:read"], impact: read, redact: ["$.ssn"], cost: 5}
      - {name: refund, scopes: ["tickets:write"], approval: {by: [approver], expires: 900}}
    limits: {per_minute: 120, per_user: {per_minute: 30}}
    isolation: {egress: [crm.internal.example], timeout: 30}
    stage: reversible
  - {id: crm, kind: downstream, uri: "https://crm.internal.example", tenants: "*",
     scopes: [{name: "crm:read"}, {name: "crm:write"}]}
edges:
  - {from: tickets, to: crm, scopes: {"tickets:read": ["crm:read"]}, lifetime: 90, consent: admin}
"""


def wanted(text: str, folder: Path = Path()) -> Wanted:
    return judged(parse(read_yaml(text)), folder)


@dataclass
class Desk:
    """Administration of one broker."""

    broker: composition.Broker
    apply: Apply = field(init=False)
    credentials: Credentials = field(init=False)

    def __post_init__(self) -> None:
        rooms = rooms_of(self.broker)
        self.apply = Apply(rooms)
        self.credentials = Credentials(rooms, self.apply)

    def put(self, text: str, **how: bool) -> list[Change]:
        return self.apply.apply(wanted(text), ORIGIN, **how)

    def problems(self, text: str, **how: bool) -> list[str]:
        """What is wrong with a file, as shown."""
        try:
            self.put(text, dry_run=True, **how)
        except EstateProblems as error:
            return [str(problem) for problem in error.problems]
        return []

    def facts(self, fact: str = "estate.applied") -> list[dict[str, object]]:
        found = trace.query(self.broker.world.database, fact=fact, most=1000)
        return [record.members for record in reversed(found)]


@pytest.fixture
def make_desk(template: Path, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**settings: object) -> Desk:
        folder = tmp_path / f"desk{len(made)}"
        folder.mkdir()
        shutil.copy(template, folder / "broker.db")
        costs = {"argon2_memory_kib": 8, "argon2_iterations": 1} if settings.get("development", True) else {}
        values = {"data": folder, "development": True, **costs, **settings}
        made.append(Desk(composition.compose(Settings(**values), clock=labs.Clock(), kek=labs.KEK)))
        return made[-1]

    yield make
    for desk in made:
        desk.broker.close()


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


@pytest.fixture
def estate() -> str:
    return ESTATE
