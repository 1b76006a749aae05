"""The nouns of the estate, as the estate file names them (docs/estate.md)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from broker.denials.model import edge_id

ANY_TENANT = "*"


class ResourceKind(StrEnum):
    MCP = "mcp"
    DOWNSTREAM = "downstream"
    VAULT = "vault"


class Impact(StrEnum):
    """What a tool can do to the world, from least to most."""

    READ = "read"
    SENSITIVE_READ = "sensitive_read"
    REVERSIBLE_WRITE = "reversible_write"
    EXTERNAL_WRITE = "external_write"


CHANGING = (Impact.REVERSIBLE_WRITE, Impact.EXTERNAL_WRITE)


class Stage(StrEnum):
    BASELINE = "baseline"
    READ_ONLY = "read_only"
    REVERSIBLE = "reversible"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Scope:
    """`acr` and `max_age` (seconds) are what a sign-in has to be for it: of this class or stronger, and no older."""

    name: str
    description: str
    default: bool = False
    implies: tuple[str, ...] = ()
    acr: str | None = None
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Who may allow one exact call: who has any of these roles in the tenant, or is in a `group:NAME`; `self` is the
    user of the call.

    `expires`: seconds within which it is allowed, and then used. `quorum`: how many different people it takes.
    """

    by: tuple[str, ...]
    expires: int = 900
    quorum: int = 1


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool without a class is treated as the gravest one.

    `family` groups tools that are switched off together; `cost` is what a call takes from a budget; `undo` names the
    tool that takes a call back. `approval`, `max_output` (bytes) and `log_arguments` are None where the class says it.
    `redact` are JSONPaths into the output. `description` and `schema` (of the arguments, JSON Schema) are as somebody
    looked at them, `digest` is theirs; `changed`: the server says something else by now, and nobody has looked.
    """

    name: str
    scopes: tuple[str, ...]
    impact: Impact = Impact.EXTERNAL_WRITE
    family: str | None = None
    cost: float = 0
    undo: str | None = None
    approval: ApprovalRule | None = None
    redact: tuple[str, ...] = ()
    max_output: int | None = None
    log_arguments: bool | None = None
    description: str | None = None
    schema: Mapping[str, object] | None = None
    digest: str | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may happen: calls a minute, at once and a day, and cost a day. None: no limit here."""

    per_minute: int | None = None
    concurrent: int | None = None
    calls_per_day: int | None = None
    budget_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Limits(Bounds):
    """The members of its own are for all calls of the resource together, the others for each tenant, user and client;
    `per_family` and `per_tool` by name, for all callers of these together.
    """

    per_tenant: Bounds = Bounds()
    per_user: Bounds = Bounds()
    per_client: Bounds = Bounds()
    per_family: Mapping[str, Bounds] = field(default_factory=dict)
    per_tool: Mapping[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Isolation:
    """What the guard of the resource's server holds it to: `egress` are hosts (None: nothing was said, and none is
    reached), `timeout` in seconds for one call, `concurrent` calls at once in one process.
    """

    egress: tuple[str, ...] | None = None
    timeout: int | None = None
    concurrent: int | None = None


class Recording(StrEnum):
    """When a call of a `read` tool is recorded: asked for one by one, or told afterwards by the guard that decided."""

    EACH = "each"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Registration:
    """How a resource that is not ours is reached: its provider's row in the vault, and this server as a client there.

    Endpoints, `method` and what follows are None where the provider's row says it; `issuer` is demanded as the `iss`
    of its answers (RFC 9207). `account` names the members of its account's document: id, then name.
    """

    provider: str
    client_id: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    account_endpoint: str | None = None
    method: str | None = None
    issuer: str | None = None
    pkce: bool | None = None
    scope_separator: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    account: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """`uri` is the `aud` of its tokens; `tenants` holds `*` for every tenant; `lifetime` in seconds.

    `door`: the issuer that this resource is part of, at whose door alone it is; None for all of the estate file.
    `vault`: what a resource of that kind has, and no other.
    """

    id: str
    kind: ResourceKind
    uri: str
    name: str
    tenants: tuple[str, ...]
    default: bool = False
    client_id: str | None = None
    lifetime: int = 300
    algorithm: str = "ES256"
    scopes: tuple[Scope, ...] = ()
    tools: tuple[Tool, ...] = ()
    stage: Stage = Stage.FULL
    publish: bool = True
    limits: Limits = Limits()
    isolation: Isolation = Isolation()
    record: Recording = Recording.EACH
    door: str | None = None
    vault: Registration | None = None

    def serves(self, tenant: str) -> bool:
        return ANY_TENANT in self.tenants or tenant in self.tenants

    def asked_by(self, allowed: Collection[str] | None) -> bool:
        """Whether a client may ask for it that is registered for these resources (None: for any)."""
        return self.door is not None or allowed is None or self.id in allowed

    @property
    def scope_names(self) -> tuple[str, ...]:
        return tuple(scope.name for scope in self.scopes)

    @property
    def implies(self) -> dict[str, tuple[str, ...]]:
        return {scope.name: scope.implies for scope in self.scopes}


class EdgeConsent(StrEnum):
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Edge:
    """Who may exchange towards whom: which scope gives which, for how long (seconds), how many actors deep.

    `purpose` says what for, in the administrator's words. From `expires_at` on there is no such edge. With `release`,
    what comes out is the token of a system that is not ours. When and by whom it was made is about the edge and not of
    it: two that allow the same are equal.
    """

    source: str
    target: str
    scopes: Mapping[str, tuple[str, ...]]
    lifetime: int = 120
    depth: int = 3
    consent: EdgeConsent = EdgeConsent.USER
    purpose: str | None = None
    expires_at: float | None = None
    release: bool = False
    created_at: float | None = field(default=None, compare=False)
    created_by: str | None = field(default=None, compare=False)

    def ended(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Reached:
    """A downstream system as one edge leads to it, from `source`, with the scopes that the edge gives there."""

    source: Resource
    target: Resource
    scopes: tuple[str, ...]

    @property
    def along(self) -> str:
        """The edge, by its id."""
        return edge_id(self.source.id, self.target.id)
