"""OWASP AISVS 10.2.7, WCAG 2.2: the pages on which people see and answer what waits for an approval."""

from dataclasses import dataclass
from typing import Literal

from broker.web.account_pages import AccountPage
from broker.web.arguments import ArgumentRow
from broker.web.page import render

Part = Literal["approver", "voter", "asker", "none"]
Back = Literal["", "deny", "withdraw"]
"""What whoever looks can answer to what was allowed and is not used yet."""


@dataclass(frozen=True, slots=True)
class Asker:
    """The client. `name` is its own word unless `known`, by an administrator; empty when it is gone."""

    id: str
    name: str
    known: bool


@dataclass(frozen=True, slots=True)
class ApprovalLine:
    """`state` as `State` says it; `until`: when it ends by itself, None when it is over."""

    tool: str
    resource: str
    asker: Asker
    user: str
    tenant: str
    impact: str
    state: str
    created: float
    until: float | None
    url: str


@dataclass(frozen=True, slots=True)
class ExactLine:
    """What names the call exactly, for developers."""

    kind: Literal["id", "digest", "schema", "txn"]
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalsView(AccountPage):
    waiting: tuple[ApprovalLine, ...] = ()
    asked: tuple[ApprovalLine, ...] = ()
    answered: tuple[ApprovalLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView(AccountPage):
    """`part`: who looks: somebody who may answer, who answered and waits for others, or whose call it is.

    `user`: (name, id) of whom it is for, None for the client's own work. `left`, `good_for`: in words. `voted`: names.
    `because`: (id, words) of the policies that ask.

    `prove`: a sign-in comes before allowing it; `factor_url`: where a second factor is set up, which is missing.
    `stop`: the app can be stopped. `over`: an answer came too late. `forgotten`: the arguments are not kept any longer.
    """

    id: str
    line: ApprovalLine
    resource_uri: str
    user: tuple[str, str] | None
    through: tuple[str, ...]
    because: tuple[tuple[str, str], ...]
    tool_says: str
    intent: str
    rows: tuple[ArgumentRow, ...]
    left: str
    good_for: str
    quorum: int
    voted: tuple[str, ...]
    part: Part
    action: str
    csrf: str
    prove: bool = False
    factor_url: str = ""
    stop: bool = False
    over: bool = False
    forgotten: bool = False
    back: Back = ""
    answered_by: str = ""
    answered_at: float | None = None
    why: str = ""
    exact: tuple[ExactLine, ...] = ()


def approvals(view: ApprovalsView) -> str:
    return render("approvals.html", view, here="approvals")


def approval(view: ApprovalView) -> str:
    return render("approval.html", view, here="approvals")
