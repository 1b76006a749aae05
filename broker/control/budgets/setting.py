"""Budgets as administrators set, show and remove them, each change with its record."""

from dataclasses import asdict

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.control.budgets import rules, store
from broker.control.budgets.model import Budget, Spent
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction, bump
from broker.runtime.world import World

STAMP = "budgets"


class Settings:
    def __init__(self, world: World, recorder: Recorder) -> None:
        self._world, self._recorder = world, recorder

    def every(self) -> list[Budget]:
        return self._world.database.read(store.every)

    def spent_today(self) -> list[Spent]:
        """Of all that is bounded, also by the estate and by classes."""
        today = rules.day(self._world.clock.now())
        return self._world.database.read(lambda tx: store.spent(tx, today))

    def put(self, budget: Budget, origin: Origin) -> None:
        """From now on it is this, for all processes within a moment."""

        def unit(tx: Transaction) -> None:
            self.put_within(tx, budget, origin)

        self._world.database.write(unit)

    def put_within(self, tx: Transaction, budget: Budget, origin: Origin) -> None:
        store.put(tx, budget)
        bump(tx, STAMP)
        bounds = {name: value for name, value in asdict(budget.bounds).items() if value is not None}
        self._record(tx, budget.key, budget.tenant, {"action": "set", **bounds}, origin)

    def remove(self, key: str, tenant: str | None, origin: Origin) -> bool:
        """False when there is none."""

        def unit(tx: Transaction) -> bool:
            return self.remove_within(tx, key, tenant, origin)

        return self._world.database.write(unit)

    def remove_within(self, tx: Transaction, key: str, tenant: str | None, origin: Origin) -> bool:
        if not store.remove(tx, key):
            return False
        bump(tx, STAMP)
        self._record(tx, key, tenant, {"action": "delete"}, origin)
        return True

    def sweep(self, tx: Transaction, now: float) -> None:
        """Yesterday is kept, for reports."""
        store.sweep(tx, rules.day(now) - 1)

    def _record(
        self, tx: Transaction, key: str, tenant: str | None, change: dict[str, object], origin: Origin
    ) -> None:
        fact = Fact("budget.changed", tenant=tenant, change={"budget": key, **change})
        self._recorder.record(tx, fact, origin)
