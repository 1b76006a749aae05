"""What bounds a call: budgets as they are set, bounds as they apply to one call, and what it took of them."""

from dataclasses import dataclass
from enum import StrEnum

from broker.control.model import Act
from broker.estate.model import Bounds, Resource, Tool
from broker.runtime.ephemeral.model import Bucket

EACH = "*"
"""As the id of a budget: each tenant, user or whatever it is for has one of its own."""


class Level(StrEnum):
    """What a budget is for. The ids of families and tools are `RESOURCE/NAME`."""

    TENANT = "tenant"
    USER = "user"
    CLIENT = "client"
    RESOURCE = "resource"
    FAMILY = "family"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Budget:
    """As an administrator set it. `tenant` None: in every tenant, each of which has it for itself."""

    level: Level
    id: str
    tenant: str | None
    bounds: Bounds

    @property
    def key(self) -> str:
        return f"{self.level}:{self.id}@{self.tenant or EACH}"


@dataclass(frozen=True, slots=True)
class Call:
    """Whom and what a call concerns. `subject`: the user, or the client in its own work.

    `tool` None: any, as a token is for; what is about one tool alone is no limit of it.
    """

    tenant: str
    subject: str
    client_id: str
    resource: Resource
    tool: Tool | None

    @classmethod
    def of(cls, act: Act) -> "Call":
        return cls(act.tenant, act.subject.id, act.client_id, act.resource, act.tool)


@dataclass(frozen=True, slots=True)
class Bound:
    """One limit of a call. `tenant` None: all tenants together."""

    level: str
    id: str
    tenant: str | None
    bounds: Bounds

    @property
    def key(self) -> str:
        return f"{self.tenant or EACH}|{self.level}|{self.id}"


@dataclass(frozen=True, slots=True)
class Lease:
    """One of so many places (`most`) under `key`, for so many `seconds` at the longest."""

    bucket: str
    key: str
    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Entered:
    """What a call took before its transaction, by which it is given back. `holder` is the decision's id."""

    holder: str
    rates: tuple[Bucket, ...] = ()
    leases: tuple[Lease, ...] = ()
    repeats: str | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a day has seen of one bound; `day` counts from 1970, in UTC."""

    tenant: str
    level: str
    id: str
    day: int
    calls: int
    cost: float
