"""Tools, limits and isolation of a resource in the estate file (docs/estate.md): to their nouns, and back."""

from dataclasses import asdict, fields
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.estate.model import ApprovalRule, Bounds, Impact, Isolation, Limits, Tool

Shape = dict[str, object]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class ApprovalEntry(_Entry):
    by: list[str]
    expires: int = 900
    quorum: int = 1


class ToolEntry(_Entry):
    """`description` and `schema` are those that the server says, as somebody looked at them."""

    name: str
    scopes: list[str] = []
    impact: Literal["read", "sensitive_read", "reversible_write", "external_write"] = "external_write"
    family: str | None = None
    cost: float = 0
    undo: str | None = None
    approval: ApprovalEntry | None = None
    redact: list[str] = []
    max_output: int | None = None
    log_arguments: bool | None = None
    description: str | None = None
    arguments: dict[str, object] | None = Field(None, alias="schema")


class BoundsEntry(_Entry):
    per_minute: int | None = None
    concurrent: int | None = None
    calls_per_day: int | None = None
    budget_per_day: float | None = None


class LimitsEntry(BoundsEntry):
    per_tenant: BoundsEntry = BoundsEntry()
    per_user: BoundsEntry = BoundsEntry()
    per_client: BoundsEntry = BoundsEntry()
    per_family: dict[str, BoundsEntry] = {}
    per_tool: dict[str, BoundsEntry] = {}


class IsolationEntry(_Entry):
    egress: list[str] | None = None
    timeout: int | None = None
    concurrent: int | None = None


def tool(entry: ToolEntry) -> Tool:
    rule = entry.approval
    return Tool(
        entry.name,
        tuple(entry.scopes),
        Impact(entry.impact),
        family=entry.family,
        cost=entry.cost,
        undo=entry.undo,
        approval=None if rule is None else ApprovalRule(tuple(rule.by), rule.expires, rule.quorum),
        redact=tuple(entry.redact),
        max_output=entry.max_output,
        log_arguments=entry.log_arguments,
        description=entry.description,
        schema=entry.arguments,
    )


def limits(entry: LimitsEntry) -> Limits:
    return Limits(
        entry.per_minute,
        entry.concurrent,
        entry.calls_per_day,
        entry.budget_per_day,
        bounds_of(entry.per_tenant),
        bounds_of(entry.per_user),
        bounds_of(entry.per_client),
        {name: bounds_of(bounds) for name, bounds in entry.per_family.items()},
        {name: bounds_of(bounds) for name, bounds in entry.per_tool.items()},
    )


def isolation(entry: IsolationEntry) -> Isolation:
    egress = None if entry.egress is None else tuple(entry.egress)
    return Isolation(egress, entry.timeout, entry.concurrent)


def tool_shape(held: Tool) -> Shape:
    """Without what has its default."""
    rule = held.approval
    more: Shape = {
        "family": held.family,
        "cost": held.cost or None,
        "undo": held.undo,
        "approval": None
        if rule is None
        else {"by": list(rule.by), "expires": rule.expires, "quorum": rule.quorum},
        "redact": list(held.redact) or None,
        "max_output": held.max_output,
        "log_arguments": held.log_arguments,
        "description": held.description,
        "schema": held.schema,
    }
    return {"name": held.name, "scopes": list(held.scopes), "impact": held.impact.value, **_said(more)}


def limits_shape(held: Limits) -> Shape:
    """Without what is not limited."""
    own: Shape = {bound.name: getattr(held, bound.name) for bound in fields(Bounds)}
    each: Shape = {
        member: _said(asdict(getattr(held, member))) for member in ("per_tenant", "per_user", "per_client")
    }
    named: Shape = {
        member: {name: _said(asdict(bounds)) for name, bounds in getattr(held, member).items()}
        for member in ("per_family", "per_tool")
    }
    return {**_said(own), **{name: value for name, value in {**each, **named}.items() if value}}


def isolation_shape(held: Isolation) -> Shape:
    return _said(asdict(held))


def _said(members: Shape) -> Shape:
    """Without what is None, and lists in place of tuples."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in members.items()
        if value is not None
    }


def bounds_of(entry: BoundsEntry) -> Bounds:
    return Bounds(entry.per_minute, entry.concurrent, entry.calls_per_day, entry.budget_per_day)
