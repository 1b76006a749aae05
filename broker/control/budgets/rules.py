"""Which limits a call has: its class's defaults, its resource's `limits` and what administrators set; pure.

Rates and places that a resource sets for all its calls hold for all tenants together, as they protect its server. A
day's budgets are each tenant's own, also those: what one tenant spends is nothing of another's.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from broker.control.budgets.model import EACH, Bound, Budget, Call, Lease, Level, Spent
from broker.control.classes import DEFAULTS
from broker.estate.model import Bounds, Isolation, Tool
from broker.runtime.ephemeral.model import Bucket

TXN_SECONDS = 600.0
"""No access token lives longer, and what is exchanged ends with it."""
_LEASE_SECONDS = 60.0
"""For a resource without an `isolation.timeout`."""
_MINUTE, _DAY = 60.0, 86400
_WHAT = (Level.RESOURCE, Level.FAMILY, Level.TOOL)
Named = tuple[str, str, str | None]
Given = tuple[str, str, str | None, Bounds]
N = TypeVar("N", int, float)


def applied(call: Call, budgets: Iterable[Budget]) -> tuple[Bound, ...]:
    """All limits of a call, of the same thing the tightest, in the order in which they are taken."""
    found: dict[Named, Bounds] = {}
    for level, identifier, tenant, bounds in (*_of_resource(call), *_as_set(call, budgets)):
        named = (level, identifier, tenant)
        found[named] = tighter(found[named], bounds) if named in found else bounds
    if call.tool is not None:
        found["class", f"{call.tool.impact.value}/{call.resource.id}/{call.subject}", call.tenant] = (
            _of_class(call.tool, found)
        )
    return tuple(
        Bound(level, identifier, tenant, bounds)
        for (level, identifier, tenant), bounds in sorted(found.items(), key=lambda item: _order(item[0]))
    )


def _of_class(tool: Tool, found: Mapping[Named, Bounds]) -> Bounds:
    """The class's defaults; that of a day gives way to a budget about the resource, its family or itself."""
    about = {level for (level, _, _), bounds in found.items() if _has_day(bounds)}
    defaults = DEFAULTS[tool.impact]
    return Bounds(defaults.per_minute, calls_per_day=None if about & {*_WHAT} else defaults.per_day)


def tighter(one: Bounds, other: Bounds) -> Bounds:
    return Bounds(
        _least(one.per_minute, other.per_minute),
        _least(one.concurrent, other.concurrent),
        _least(one.calls_per_day, other.calls_per_day),
        _least(one.budget_per_day, other.budget_per_day),
    )


def rates(bounds: Iterable[Bound]) -> tuple[Bucket, ...]:
    return tuple(
        Bucket(f"rate-{_word(bound.level)}", bound.key, *_pace(bound.bounds.per_minute))
        for bound in bounds
        if bound.bounds.per_minute is not None
    )


def leases(bounds: Iterable[Bound], isolation: Isolation) -> tuple[Lease, ...]:
    seconds = _LEASE_SECONDS if isolation.timeout is None else float(isolation.timeout)
    return tuple(
        Lease(f"places-{_word(bound.level)}", bound.key, bound.bounds.concurrent, seconds)
        for bound in bounds
        if bound.bounds.concurrent is not None
    )


def daily(bounds: Iterable[Bound]) -> tuple[Bound, ...]:
    return tuple(bound for bound in bounds if _has_day(bound.bounds))


def cost(tool: Tool) -> float:
    """What a call takes from a budget: the tool's `cost`, or 1 where none is given."""
    return tool.cost or 1.0


def is_spent(bound: Bound, spent: Spent) -> bool:
    """Whether nothing is left."""
    most = bound.bounds
    return (most.calls_per_day is not None and spent.calls >= most.calls_per_day) or (
        most.budget_per_day is not None and spent.cost >= most.budget_per_day
    )


def day(now: float) -> int:
    """The day in UTC, from 1970 on."""
    return int(now // _DAY)


def until_tomorrow(now: float) -> int:
    """Whole seconds, rounded up."""
    return int((day(now) + 1) * _DAY - now) + 1


def _of_resource(call: Call) -> Iterator[Given]:
    """What the resource's `limits` say of this call."""
    limits, resource, tool = call.resource.limits, call.resource.id, call.tool
    own = Bounds(limits.per_minute, limits.concurrent, limits.calls_per_day, limits.budget_per_day)
    yield from _for_all(Level.RESOURCE, resource, call.tenant, own)
    if tool is not None and tool.family in limits.per_family:
        family = limits.per_family[tool.family or ""]
        yield from _for_all(Level.FAMILY, f"{resource}/{tool.family}", call.tenant, family)
    if tool is not None and tool.name in limits.per_tool:
        yield from _for_all(Level.TOOL, f"{resource}/{tool.name}", call.tenant, limits.per_tool[tool.name])
    for level, whose, bounds in (
        ("per_tenant", call.tenant, limits.per_tenant),
        ("per_user", call.subject, limits.per_user),
        ("per_client", call.client_id, limits.per_client),
    ):
        yield level, f"{resource}/{whose}", call.tenant, bounds


def _for_all(level: str, identifier: str, tenant: str, bounds: Bounds) -> Iterator[Given]:
    yield level, identifier, None, Bounds(bounds.per_minute, bounds.concurrent)
    yield (
        level,
        identifier,
        tenant,
        Bounds(calls_per_day=bounds.calls_per_day, budget_per_day=bounds.budget_per_day),
    )


def _as_set(call: Call, budgets: Iterable[Budget]) -> Iterator[Given]:
    """What administrators set for this call, in its tenant."""
    resource, tool = call.resource.id, call.tool
    whose = {
        Level.TENANT: call.tenant,
        Level.USER: call.subject,
        Level.CLIENT: call.client_id,
        Level.RESOURCE: resource,
        Level.FAMILY: f"{resource}/{tool.family}" if tool is not None and tool.family else None,
        Level.TOOL: f"{resource}/{tool.name}" if tool is not None else None,
    }
    for budget in budgets:
        identifier = whose[budget.level]
        if (
            budget.tenant in (None, call.tenant)
            and identifier is not None
            and budget.id in (EACH, identifier)
        ):
            yield budget.level, identifier, call.tenant, budget.bounds


def _has_day(bounds: Bounds) -> bool:
    return bounds.calls_per_day is not None or bounds.budget_per_day is not None


def _pace(per_minute: int) -> tuple[float, int]:
    """Seconds for one, and how many at once; of a rate of none, one that never comes."""
    return (_MINUTE / per_minute, per_minute) if per_minute > 0 else (_MINUTE, 0)


def _least(one: N | None, other: N | None) -> N | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _word(level: str) -> str:
    return level.replace("_", "-")


def _order(named: Named) -> tuple[str, str, str]:
    level, identifier, tenant = named
    return level, identifier, tenant or ""
