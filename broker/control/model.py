"""One call as every control judges it, and the refusals that a decision can answer with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from broker.estate.model import ApprovalRule, Resource, Tool


class Why(StrEnum):
    """Why a decision is no, as the answer says it; in the order in which it is asked."""

    TOKEN_INVALID = "token_invalid"  # noqa: S105  a reason
    SWITCHED_OFF = "switched_off"
    STAGE = "stage"
    UNKNOWN_TOOL = "unknown_tool"
    TOOL_CHANGED = "tool_changed"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    INVALID_ARGUMENTS = "invalid_arguments"
    POLICY_DENIED = "policy_denied"
    IN_PROGRESS = "in_progress"
    DUPLICATE = "duplicate"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    RATE_LIMITED = "rate_limited"
    BUDGET_EXHAUSTED = "budget_exhausted"
    APPROVAL_REQUIRED = "approval_required"


class Refused(Exception):
    """A control says no. `members` join the answer's `context`; `detail` is for the evidence alone."""

    def __init__(self, why: Why, detail: str = "", **members: object) -> None:
        super().__init__(why.value)
        self.why, self.detail, self.members = why, detail, members


@dataclass(frozen=True, slots=True)
class Actor:
    """One link of the `act` chain (RFC 8693 section 4.1)."""

    iss: str
    sub: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Person:
    """The subject as its tenant knows it; `user` is false for a client's own work.

    `account`: a user can sign in here, and answer for themselves.
    """

    id: str
    user: bool
    roles: tuple[str, ...] = ()
    attributes: Mapping[str, object] = field(default_factory=dict)
    account: bool = True

    @property
    def attended(self) -> bool:
        """Whether a user is there who could allow what is done in their name."""
        return self.user and self.account


@dataclass(frozen=True, slots=True)
class Act:
    """One exact call. `client_id` holds the token; `actors` has the current one first; `arguments` are as sent.

    `digest` binds an approval: SHA-256 (hex) over the JCS form of what makes it this act, see `acts`. `acr` and
    `auth_time` are of the sign-in behind the token. `schema_digest` is of the definition that the server runs.
    """

    digest: str
    issuer: str
    tenant: str
    subject: Person
    client_id: str
    actors: tuple[Actor, ...]
    confirmation: Mapping[str, object] | None
    resource: Resource
    tool: Tool
    schema_digest: str | None
    arguments: Mapping[str, object]
    scopes: frozenset[str]
    jti: str
    txn: str | None
    grant_id: str | None
    expires_at: float
    acr: str | None = None
    auth_time: float | None = None
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """That somebody has to allow the act first. `because` are the ids of the policies that ask."""

    rule: ApprovalRule
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says of an act: `permit`, and then what it asks for. `because` are ids of policies.

    `error`: what went wrong while it was judged, for the evidence; then it is a no.
    """

    permit: bool
    because: tuple[str, ...]
    demand: Demand | None = None
    error: str | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """Every policy that had a part in it, for the evidence."""
        return self.because if self.demand is None else (*self.because, *self.demand.because)
