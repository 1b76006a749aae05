"""An approval: the question whether one exact act may happen, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from broker.control.model import Actor
from broker.estate.model import ApprovalRule, Impact


class State(StrEnum):
    """`offered`: a decision found that it takes one; `requested`: somebody wants it answered."""

    OFFERED = "offered"
    REQUESTED = "requested"
    APPROVED = "approved"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SPENT = "spent"


WAITING = (State.OFFERED, State.REQUESTED)


@dataclass(frozen=True, slots=True)
class Question:
    """The act as people see it. `tool_says` describes the tool; `because` are ids of policies.

    `intent` is in the client's own words. `resource_id` and `resource` (its URI) are where the tool is. `arguments` are
    None when they are not kept any longer: its digest is.
    """

    tool: str
    impact: Impact
    resource_id: str
    resource: str
    arguments: Mapping[str, object] | None
    actors: tuple[Actor, ...] = ()
    tool_says: str | None = None
    schema_digest: str | None = None
    because: tuple[str, ...] = ()
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """`digest` is the act's. `subject` is a user where `user` says so, else the client that works for itself.

    While it waits, `expires_at` is until when; once approved, until when it can be used. `answered_by` is who denied,
    withdrew, or approved last; `why` in their words. Times are epoch seconds.
    """

    id: str
    tenant: str
    door: str
    digest: str
    subject: str
    user: bool
    client_id: str
    grant_id: str | None
    txn: str | None
    question: Question
    rule: ApprovalRule
    state: State
    created_at: float
    expires_at: float
    requested_at: float | None = None
    answered_at: float | None = None
    answered_by: str | None = None
    why: str | None = None
    spent_at: float | None = None
    decision_id: str | None = None

    def waits(self, now: float) -> bool:
        return self.state in WAITING and now < self.expires_at

    def stands(self, now: float) -> bool:
        """Whether it can still be denied or withdrawn: it waits, or was approved and is not used."""
        return self.waits(now) or (self.state is State.APPROVED and now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Vote:
    """That one person allows it."""

    approval_id: str
    tenant: str
    user_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Offer:
    """What a decision answers with: `binding_token` (a JWS) goes to `endpoint`, or a person opens `form_url`."""

    approval: Approval
    endpoint: str
    binding_token: str
    form_url: str

    @property
    def expires_at(self) -> float:
        return self.approval.expires_at


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cause for one user (or itself) at one resource: offers in a minute, and how many wait."""

    per_minute: int
    waiting: int


class NotAnswered(Exception):
    """An answer that did not count: it is over, the person may not, or they have to prove more first."""

    def __init__(self, why: "Not") -> None:
        super().__init__(why.value)
        self.why = why


class Not(StrEnum):
    GONE = "gone"
    OVER = "over"
    NOT_ALLOWED = "not_allowed"
    SIGN_IN = "sign_in"
