"""Budgets, what is spent of them, and webhooks: the same on both engines, and never more than there is."""

from dataclasses import replace

import pytest

from broker.audit import store as audit
from broker.control.budgets import store as budgets
from broker.control.budgets.model import Spent
from broker.control.idempotency import store as permits
from broker.control.webhooks import store as webhooks
from broker.control.webhooks.model import Notice
from broker.estate.model import Bounds
from broker.runtime.database import Conflict, Database
from tests.lab import race
from tests.stores.bounded import TODAY, bound, budget, hook
from tests.stores.permitting import permit
from tests.stores.samples import LATER, NOW, record


def spend(database: Database, cost: float = 1.0, day: int = TODAY, **bounds: object) -> Spent | None:
    return database.write(lambda tx: budgets.spend(tx, "acme", bound("a", **bounds), day, cost), "acme")


def test_a_budget_comes_back_as_it_was_set(database: Database) -> None:
    for one in (budget("b"), budget("a", None), replace(budget("b"), bounds=Bounds(calls_per_day=0))):
        database.write(lambda tx, one=one: budgets.put(tx, one))
    assert database.read(budgets.every) == [
        budget("a", None),
        replace(budget("b"), bounds=Bounds(None, None, 0)),
    ]
    assert database.read(budgets.every, "globex") == [budget("a", None)], "the server's is everybody's to see"
    assert not database.write(lambda tx: budgets.remove(tx, budget("a", None).key), "acme"), (
        "and not to change"
    )
    assert database.write(lambda tx: budgets.remove(tx, budget("b").key))
    assert not database.write(lambda tx: budgets.remove(tx, budget("b").key))
    assert database.read(budgets.every) == [budget("a", None)]


def test_calls_and_cost_are_spent_until_either_is_used_up(database: Database) -> None:
    found = [spend(database, 2.5, calls_per_day=3, budget_per_day=100.0) for _ in range(4)]
    name = ("acme", "per_user", "tickets/user-a", TODAY)
    assert found == [Spent(*name, 1, 2.5), Spent(*name, 2, 5.0), Spent(*name, 3, 7.5), None]
    assert spend(database, 2.5, budget_per_day=10.0) == Spent(*name, 4, 10.0)
    assert spend(database, 0.1, budget_per_day=10.0) is None
    assert spend(database, 0.1) == Spent(*name, 5, 10.1), "without a limit it is counted"
    assert spend(database, 1.0, TODAY + 1, calls_per_day=1) is not None, "another day"
    assert [one.calls for one in database.read(lambda tx: budgets.spent(tx, TODAY))] == [5]
    assert database.read(lambda tx: budgets.spent_of(tx, "acme", bound("a"), TODAY)) == Spent(*name, 5, 10.1)
    assert database.read(lambda tx: budgets.spent_of(tx, "acme", bound("b"), TODAY)).calls == 0
    assert database.read(lambda tx: budgets.spent(tx, TODAY), "globex") == []
    database.write(lambda tx: budgets.sweep(tx, TODAY + 1))
    assert database.read(lambda tx: budgets.spent(tx, TODAY)) == []
    assert len(database.read(lambda tx: budgets.spent(tx, TODAY + 1))) == 1


def test_a_first_call_may_be_too_much_already(database: Database) -> None:
    assert spend(database, 5, budget_per_day=4.9) is None and spend(database, calls_per_day=0) is None
    assert database.read(lambda tx: budgets.spent(tx, TODAY)) == []
    assert spend(database, 5, budget_per_day=5.0) is not None


def test_tenths_add_up(database: Database) -> None:
    assert [spend(database, 0.1, budget_per_day=0.3) is None for _ in range(4)] == [False] * 3 + [True]


def test_what_is_rolled_back_was_not_spent(database: Database) -> None:
    def undone(tx: object) -> None:
        budgets.spend(tx, "acme", bound("a", calls_per_day=1), TODAY, 1)  # type: ignore[arg-type]
        raise RuntimeError

    for _ in range(2):
        with pytest.raises(RuntimeError):
            database.write(undone, "acme")
    assert spend(database, calls_per_day=1) is not None and spend(database, calls_per_day=1) is None


def test_of_64_at_once_exactly_ten_are_spent(database: Database) -> None:
    found = race(64, lambda _: spend(database, calls_per_day=10, budget_per_day=50.0))
    assert found.count(None) == 54
    assert sorted(one.calls for one in found if isinstance(one, Spent)) == list(range(1, 11))


def test_what_was_spent_is_corrected_and_never_less_than_nothing(database: Database) -> None:
    def correct(more: float, mark: str = "a", day: int = TODAY) -> tuple[int, float] | None:
        found = database.write(lambda tx: budgets.correct(tx, "acme", bound(mark), day, more))
        return None if found is None else (found.calls, found.cost)

    assert correct(5) is None, "nothing was spent"
    spend(database, 5, budget_per_day=9.0)
    assert correct(2.5) == (1, 7.5) and correct(-4.5) == (1, 3.0) and correct(-100) == (1, 0.0)
    assert correct(1, "b") is None and correct(1, day=TODAY + 1) is None
    spend(database, 1, budget_per_day=9.0)
    assert sorted(race(16, lambda _: correct(1)))[-1] == (2, 17.0)


def add(database: Database, *added: Notice) -> None:
    for one in added:
        database.write(lambda tx, one=one: webhooks.add(tx, one))


def due(database: Database, now: float = NOW, most: int = 10) -> list[Notice]:
    return database.read(lambda tx: webhooks.due(tx, now, most))


def test_a_notice_comes_back_as_stored_when_its_time_has_come(database: Database) -> None:
    later, first = hook("a", next_at=LATER), hook("b")
    add(database, later, first)
    assert due(database) == [first] and due(database, LATER) == [first, later]
    with pytest.raises(Conflict):
        add(database, first)


def test_a_notice_is_tried_by_one_and_over_once(database: Database) -> None:
    add(database, hook("a"))
    tried = race(16, lambda _: database.write(lambda tx: webhooks.attempt(tx, hook("a"), LATER)))
    assert tried.count(True) == 1 and due(database) == []
    assert due(database, LATER) == [replace(hook("a", next_at=LATER), attempts=1)]
    over = race(8, lambda _: database.write(lambda tx: webhooks.drop(tx, "msg-a")))
    assert over.count(True) == 1


def test_all_for_one_target_are_put_off_at_once(database: Database) -> None:
    second = replace(hook("a"), id="msg-second")
    add(database, hook("a"), second, hook("b"))
    database.write(lambda tx: webhooks.put_off(tx, "to-a", NOW, LATER))
    assert due(database) == [hook("b")]
    assert {one.id for one in due(database, LATER)} == {"msg-a", "msg-second", "msg-b"}


def test_refusals_are_counted_by_tenant_from_a_moment_on(database: Database) -> None:
    for mark, tenant, time, outcome in (
        ("old", "acme", NOW - 1, "denied"),
        ("a", "acme", NOW, "denied"),
        ("b", "acme", NOW + 1, "denied"),
        ("good", "acme", NOW, "allowed"),
        ("server", None, NOW, "denied"),
        ("other", "globex", NOW, "denied"),
    ):
        row = record(mark, tenant, time=time, outcome=outcome)
        database.write(lambda tx, row=row: audit.add(tx, row, None, None))
    assert database.read(lambda tx: audit.denied(tx, NOW)) == [("acme", 2), ("globex", 1)]
    assert database.read(lambda tx: audit.denied(tx, NOW), "globex") == [("globex", 1)]


def test_calls_with_effects_that_are_open_are_counted_by_tenant(database: Database) -> None:
    for made in (
        permit("a"),
        permit("b"),
        permit("late", made_at=NOW + 1),
        permit("read", keyed=False),
        permit("done"),
        permit("other", "globex"),
    ):
        database.write(lambda tx, made=made: permits.begin(tx, made, None, LATER, LATER))
    database.write(lambda tx: permits.finish(tx, "dec-done", {"status": "ok"}, NOW, NOW))
    assert database.read(lambda tx: permits.still_open(tx, NOW)) == [("acme", 2), ("globex", 1)]
    assert database.read(lambda tx: permits.still_open(tx, NOW), "globex") == [("globex", 1)]
