"""Who has to know of a budget that is nearly spent, or spent: told once, by the call that brings it there."""

from broker.control.budgets.model import Bound, Spent
from broker.control.webhooks.rules import Data
from broker.control.webhooks.webhooks import Webhooks
from broker.runtime.database import Transaction

_PERCENT = (80, 100)
_PARTS = {"user": 0, "per_user": 1, "class": 2}
"""How much of the id of what a user has for themselves is not who the user is."""


class Alerts:
    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def spent(
        self, tx: Transaction, bound: Bound, spent: Spent, cost: float, now: float, calls: int = 1
    ) -> None:
        """Within `tx`, which spent it: tell of the thresholds that so many calls of `cost` passed."""
        passed = [
            percent
            for most, used, before in (
                (bound.bounds.calls_per_day, spent.calls, spent.calls - calls),
                (bound.bounds.budget_per_day, spent.cost, spent.cost - cost),
            )
            if most
            for percent in _PERCENT
            if before * 100 < percent * most <= used * 100
        ]
        if not passed:
            return
        data: Data = {
            "level": bound.level,
            "id": _named(bound),
            "day": spent.day,
            "percent": max(passed),
            "calls": spent.calls,
            "calls_per_day": bound.bounds.calls_per_day,
            "cost": spent.cost,
            "budget_per_day": bound.bounds.budget_per_day,
        }
        self._webhooks.queue(tx, spent.tenant, "budget.spent", data, now)


def _named(bound: Bound) -> str | None:
    """What it is of, without any user: nobody can erase what was told."""
    return "/".join(bound.id.split("/")[: _PARTS.get(bound.level)]) or None
