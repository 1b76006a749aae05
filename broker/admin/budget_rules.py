"""What a budget of the estate file may say, by itself and of what there is; pure."""

from collections.abc import Iterator
from dataclasses import asdict

from broker.admin import budget_entry, tool_rules
from broker.admin.budget_entry import BudgetEntry
from broker.admin.model import Holdings, Problem, Wanted
from broker.control.budgets.model import EACH, Level

_OF_RESOURCE = (Level.FAMILY, Level.TOOL)
_PART = {Level.FAMILY: "family", Level.TOOL: "name"}


def check(path: str, entry: BudgetEntry) -> Iterator[Problem]:
    """What is wrong with one by itself."""
    yield from tool_rules.check_bounds(path, entry)
    if not any(value is not None for value in asdict(budget_entry.noun(entry).bounds).values()):
        yield Problem(
            path, "a budget bounds something: per_minute, concurrent, calls_per_day or budget_per_day"
        )
    if not 0 < len(entry.id) <= 640 or not entry.id.isprintable():
        yield Problem(f"{path}.id", "this is no id")
    elif entry.level in _OF_RESOURCE and entry.id != EACH and not all(entry.id.partition("/")):
        yield Problem(f"{path}.id", f"of a {entry.level} it is RESOURCE/NAME")


def fits(after: Holdings, wanted: Wanted) -> Iterator[Problem]:
    """What each is for exists; users and clients may be known later."""
    for held in after.budgets.values():
        path = wanted.path(("budget", held.key))
        if held.tenant is not None and held.tenant not in after.tenants:
            yield Problem(f"{path}.tenant", f"there is no tenant {held.tenant}")
        if held.id == EACH:
            continue
        if held.level is Level.TENANT and held.id not in after.tenants:
            yield Problem(f"{path}.id", f"there is no tenant {held.id}")
        elif held.level in (Level.RESOURCE, *_OF_RESOURCE):
            name, _, part = held.id.partition("/") if held.level in _OF_RESOURCE else (held.id, "", "")
            resource = after.resources.get(name)
            parts = () if resource is None else (getattr(tool, _PART[held.level]) for tool in resource.tools)
            if resource is None or (held.level in _PART and part not in parts):
                yield Problem(f"{path}.id", f"there is no {held.level} {held.id}")
