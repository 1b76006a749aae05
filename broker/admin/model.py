"""Administration's nouns: everything that is held, what a file wants, what would change, what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.control.budgets.model import Budget
from broker.control.policy.model import PolicyText
from broker.denials.model import edge_id
from broker.estate.model import Edge, Resource
from broker.identity.clients.model import Client
from broker.identity.federation.model import Provider
from broker.identity.federation.trusted.model import Recipient, TrustedIssuer, Workload
from broker.identity.tenants.model import Tenant
from broker.identity.users.model import User

NOUNS = (
    "tenant",
    "idp",
    "issuer",
    "user",
    "client",
    "workload",
    "resource",
    "edge",
    "recipient",
    "policy",
    "budget",
)
Controlled = Resource | Edge | PolicyText | Budget
Held = Tenant | Provider | TrustedIssuer | User | Client | Workload | Recipient | Controlled
Key = tuple[str, str]
"""Noun and id; an edge's id is `from->to`, that of policies their tenant's, or `*`, a budget's `level:id@tenant`."""


def key_of(held: Held) -> Key:
    match held:
        case Tenant():
            return "tenant", held.id
        case Provider():
            return "idp", held.id
        case TrustedIssuer():
            return "issuer", held.id
        case Workload():
            return "workload", held.id
        case Recipient():
            return "recipient", held.id
        case User():
            return "user", held.id
        case Client():
            return "client", held.client_id
        case Resource():
            return "resource", held.id
        case Edge():
            return "edge", edge_id(held.source, held.target)
        case PolicyText():
            return "policy", held.tenant
        case Budget():
            return "budget", held.key


@dataclass(frozen=True, slots=True)
class Holdings:
    """Objects by noun and id: what the server has, or what it would have."""

    held: Mapping[Key, Held]

    @classmethod
    def of(
        cls,
        *groups: Sequence[Held],
    ) -> "Holdings":
        return cls({key_of(held): held for group in groups for held in group})

    def get(self, key: Key) -> Held | None:
        return self.held.get(key)

    @property
    def tenants(self) -> dict[str, Tenant]:
        return {held.id: held for held in self.held.values() if isinstance(held, Tenant)}

    @property
    def providers(self) -> dict[str, Provider]:
        return {held.id: held for held in self.held.values() if isinstance(held, Provider)}

    @property
    def issuers(self) -> dict[str, TrustedIssuer]:
        return {held.id: held for held in self.held.values() if isinstance(held, TrustedIssuer)}

    @property
    def workloads(self) -> dict[str, Workload]:
        return {held.id: held for held in self.held.values() if isinstance(held, Workload)}

    @property
    def recipients(self) -> dict[str, Recipient]:
        return {held.id: held for held in self.held.values() if isinstance(held, Recipient)}

    @property
    def users(self) -> dict[str, User]:
        return {held.id: held for held in self.held.values() if isinstance(held, User)}

    @property
    def clients(self) -> dict[str, Client]:
        return {held.client_id: held for held in self.held.values() if isinstance(held, Client)}

    @property
    def resources(self) -> dict[str, Resource]:
        return {held.id: held for held in self.held.values() if isinstance(held, Resource)}

    @property
    def edges(self) -> dict[str, Edge]:
        return {key[1]: held for key, held in self.held.items() if isinstance(held, Edge)}

    @property
    def budgets(self) -> dict[str, Budget]:
        return {held.key: held for held in self.held.values() if isinstance(held, Budget)}

    @property
    def policies(self) -> dict[str, PolicyText]:
        return {held.tenant: held for held in self.held.values() if isinstance(held, PolicyText)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file asks for. `paths` says where in it each object stands,
    `problems` what the objects by themselves have wrong."""

    holdings: Holdings
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    provider_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    vault_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    paths: Mapping[Key, str] = field(default_factory=dict)
    problems: tuple["Problem", ...] = ()

    def path(self, key: Key) -> str:
        return self.paths.get(key, f"{key[0]} {key[1]}")


@dataclass(frozen=True, slots=True)
class Difference:
    """One member, before and after, in the shape of the file; a secret on both sides is `***`."""

    member: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Change:
    """`action` is create, update or delete."""

    noun: str
    id: str
    action: str
    differences: tuple[Difference, ...] = ()

    @property
    def key(self) -> Key:
        return self.noun, self.id

    @property
    def members(self) -> list[str]:
        return [difference.member for difference in self.differences]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where in the file: `resources[0].tools[2].scopes`."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


class EstateProblems(ValueError):
    """Everything that is wrong with a file, at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
