"""Budgets as administrators set and remove them, for whom administration writes the record."""

from broker.control.budgets import rules, store
from broker.control.budgets.model import Budget, Spent
from broker.runtime.database import Transaction, bump
from broker.runtime.world import World

STAMP = "budgets"


class Configured:
    def __init__(self, world: World) -> None:
        self._world = world

    def every(self, tx: Transaction) -> list[Budget]:
        return store.every(tx)

    def put(self, tx: Transaction, budget: Budget) -> None:
        """From now on it is this, for all processes within a moment."""
        store.put(tx, budget)
        bump(tx, STAMP)

    def remove(self, tx: Transaction, key: str) -> bool:
        """False when there is none."""
        bump(tx, STAMP)
        return store.remove(tx, key)

    def spent_today(self) -> list[Spent]:
        """Of all that is bounded, also by the estate and by classes."""
        today = rules.day(self._world.clock.now())
        return self._world.database.read(lambda tx: store.spent(tx, today))

    def sweep(self, tx: Transaction, now: float) -> None:
        """Yesterday is kept, for reports."""
        store.sweep(tx, rules.day(now) - 1)
