"""Budgets in the estate file (docs/budgets.md): to their noun, and back."""

from dataclasses import asdict
from typing import Literal

from broker.admin import tool_entry
from broker.admin.tool_entry import BoundsEntry
from broker.control.budgets.model import Budget, Level

Shape = dict[str, object]


class BudgetEntry(BoundsEntry):
    """`id` is `*` for each of its level; of a family or tool `RESOURCE/NAME`. Without `tenant`: in each of them."""

    level: Literal["tenant", "user", "client", "resource", "family", "tool"]
    id: str
    tenant: str | None = None


def noun(entry: BudgetEntry) -> Budget:
    return Budget(Level(entry.level), entry.id, entry.tenant, tool_entry.bounds_of(entry))


def full(held: Budget) -> Shape:
    return {"level": held.level.value, "id": held.id, "tenant": held.tenant, **asdict(held.bounds)}
