"""What each impact class brings by default: its rates, output, records and approval (docs/control.md)."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.estate.model import ApprovalRule, Impact, Tool

SELF = "self"
"""In a rule's `by`: the user that the call is made for."""
APPROVER = "approver"
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Defaults:
    """Calls per user and minute, and per day (None: no limit); output in bytes; `approval` None: none is asked.

    `unattended`: who allows a call of a client's own work, where no user is there. `keyed`: an idempotency key is
    needed. `arguments`: they are kept in the record, not only their digest.
    """

    per_minute: int
    per_day: int | None
    max_output: int
    approval: ApprovalRule | None
    unattended: ApprovalRule | None
    keyed: bool
    arguments: bool


_APPROVER = ApprovalRule((APPROVER,))
DEFAULTS: Mapping[Impact, Defaults] = {
    Impact.READ: Defaults(120, None, 256 * _KIB, None, None, keyed=False, arguments=False),
    Impact.SENSITIVE_READ: Defaults(60, None, 64 * _KIB, None, None, keyed=False, arguments=True),
    Impact.REVERSIBLE_WRITE: Defaults(
        30, None, 64 * _KIB, ApprovalRule((SELF,)), _APPROVER, keyed=True, arguments=True
    ),
    Impact.EXTERNAL_WRITE: Defaults(10, 100, 64 * _KIB, _APPROVER, _APPROVER, keyed=True, arguments=True),
}


def rule(tool: Tool, *, user: bool) -> ApprovalRule | None:
    """Who allows calls of it: the tool's own rule, or its class's. Where no user is there, it is never that user."""
    defaults = DEFAULTS[tool.impact]
    usual = defaults.approval if user else defaults.unattended
    found = tool.approval or usual
    if found is None or user or SELF not in found.by:
        return found
    others = tuple(role for role in found.by if role != SELF)
    return ApprovalRule(others or (APPROVER,), found.expires, found.quorum)


def max_output(tool: Tool) -> int:
    return DEFAULTS[tool.impact].max_output if tool.max_output is None else tool.max_output


def keeps_arguments(tool: Tool) -> bool:
    return DEFAULTS[tool.impact].arguments if tool.log_arguments is None else tool.log_arguments
