"""Budgets, what was spent of them and webhooks for the tests of stores, and the cases of their stores."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from broker.audit import store as audit
from broker.control.budgets import store as budgets
from broker.control.budgets.model import Bound, Budget, Level
from broker.control.idempotency import store as permits
from broker.control.webhooks import store as webhooks
from broker.control.webhooks.model import Notice
from broker.estate.model import Bounds
from broker.runtime.database import Transaction
from tests.stores.samples import LATER, NOW, record

TODAY = int(NOW // 86400)


def budget(mark: str, tenant: str | None = "acme") -> Budget:
    return Budget(Level.USER, f"user-{mark}", tenant, Bounds(30, 4, 100, 0.5))


def bound(mark: str, tenant: str | None = "acme", **bounds: object) -> Bound:
    return Bound("per_user", f"tickets/user-{mark}", tenant, Bounds(**bounds))  # type: ignore[arg-type]


def hook(mark: str, tenant: str = "acme", next_at: float = NOW) -> Notice:
    return Notice(f"msg-{mark}", tenant, f"to-{mark}", "budget.spent", f'{{"of":"{mark}"}}', 0, next_at)


def seed(tx: Transaction, mark: str, tenant: str) -> None:
    budgets.put(tx, budget(mark, tenant))
    budgets.spend(tx, tenant, bound(mark, tenant), TODAY, 1)
    webhooks.add(tx, hook(mark, tenant))
    audit.add(tx, record(f"refusal-{mark}", tenant, outcome="denied"), None, None)


def cases(
    mark: Callable[[str], str],
) -> Iterator[tuple[Callable[..., object], Callable[[Transaction, str], object], bool]]:
    yield budgets.every, lambda tx, o: budgets.every(tx), False
    yield budgets.put, lambda tx, o: budgets.put(tx, budget("new", o)), True
    other = Bounds(per_minute=1)
    yield budgets.put, lambda tx, o: budgets.put(tx, replace(budget(mark(o), o), bounds=other)), True
    yield budgets.remove, lambda tx, o: budgets.remove(tx, budget(mark(o), o).key), False
    yield budgets.spend, lambda tx, o: budgets.spend(tx, o, bound("new", o), TODAY, 1), True
    yield budgets.spend, lambda tx, o: budgets.spend(tx, o, bound(mark(o), o), TODAY, 1), True
    yield (
        budgets.spent_of,
        lambda tx, o: budgets.spent_of(tx, o, bound(mark(o), o), TODAY).calls == 1,
        False,
    )
    yield budgets.correct, lambda tx, o: budgets.correct(tx, o, bound(mark(o), o), TODAY, 1), False
    yield budgets.spent, lambda tx, o: budgets.spent(tx, TODAY), False
    yield budgets.sweep, lambda tx, o: budgets.sweep(tx, TODAY + 1), False

    yield audit.denied, lambda tx, o: dict(audit.denied(tx, 0)).get(o, 0) > 0, False
    yield permits.still_open, lambda tx, o: dict(permits.still_open(tx, LATER)).get(o, 0) > 0, False

    yield webhooks.add, lambda tx, o: webhooks.add(tx, hook("new", o)), True
    yield webhooks.due, lambda tx, o: webhooks.due(tx, NOW, 100), False
    yield webhooks.attempt, lambda tx, o: webhooks.attempt(tx, hook(mark(o), o), LATER), False
    yield webhooks.put_off, lambda tx, o: webhooks.put_off(tx, f"to-{mark(o)}", NOW, LATER), False
    yield webhooks.drop, lambda tx, o: webhooks.drop(tx, f"msg-{mark(o)}"), False
