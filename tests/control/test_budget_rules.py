"""Which limits a call has, as a rule without a store."""

from dataclasses import replace

import pytest

from broker.control.budgets import rules
from broker.control.budgets.model import Bound, Budget, Call, Level, Spent
from broker.estate.model import Bounds, Impact, Isolation, Limits
from tests.control.calls import READ, REFUND, act, resource
from tests.lab import START

FULL = Bounds(30, 4, 100, 50.0)


def bounds(call: Call, *budgets: Budget) -> dict[tuple[str, str, str | None], Bounds]:
    return {(one.level, one.id, one.tenant): one.bounds for one in rules.applied(call, budgets)}


def test_without_limits_a_call_has_its_class_alone_and_a_token_nothing() -> None:
    call = Call.of(act(tool=READ))
    held = [one for one in rules.applied(call, ()) if one.bounds != Bounds()]
    assert held == [Bound("class", "read/tickets/alice", "acme", Bounds(120))]
    assert rules.daily(held) == () and len(rules.rates(held)) == 1
    token = rules.applied(replace(call, tool=None), ())
    assert rules.daily(token) == rules.rates(token) == ()


def test_of_what_is_said_twice_the_tightest_counts() -> None:
    at = resource(Limits(calls_per_day=50, budget_per_day=200.0))
    set_too = (
        Budget(Level.RESOURCE, "tickets", None, FULL),
        Budget(Level.RESOURCE, "*", "acme", Bounds(20, 9)),
    )
    found = bounds(Call.of(act(at=at)), *set_too)
    assert found["resource", "tickets", "acme"] == Bounds(20, 4, 50, 50.0)
    assert found["resource", "tickets", None] == Bounds(), "rates for all tenants are the estate's to set"


def test_what_is_about_one_tool_is_no_limit_of_a_token() -> None:
    at = resource(Limits(calls_per_day=9, per_tool={"refund": FULL}, per_family={"payments": FULL}))
    token = Call("acme", "alice", "desk-app", at, None)
    levels = {one.level for one in rules.daily(rules.applied(token, [Budget(Level.TOOL, "*", None, FULL)]))}
    assert levels == {"resource"}
    call = Call.of(act(at=at, tool=REFUND))
    assert {"tool", "family", "resource"} <= {one.level for one in rules.daily(rules.applied(call, ()))}


@pytest.mark.parametrize("level", Level)
def test_a_budget_of_another_tenant_or_another_thing_is_none_of_the_calls(level: Level) -> None:
    call = Call.of(act(tool=REFUND))
    usual = bounds(call)
    for budget in (Budget(level, "*", "globex", FULL), Budget(level, "another", None, FULL)):
        assert bounds(call, budget) == usual
    assert bounds(call, Budget(level, "*", "acme", FULL)) != usual


def test_limits_of_the_same_name_at_different_levels_are_counted_apart() -> None:
    at = resource(Limits(per_tenant=FULL, per_user=FULL, per_client=FULL, per_minute=5), name="x")
    same = replace(act(at=at), tenant="x", client_id="x", subject=replace(act().subject, id="x"))
    each = [Budget(level, "*", None, FULL) for level in Level]
    found = rules.applied(Call.of(same), each)
    for taken in (rules.rates(found), rules.leases(found, Isolation())):
        names = [(one.bucket, one.key) for one in taken]
        assert len(names) == len(set(names)) >= 8
    assert found == tuple(sorted(found, key=lambda one: (one.level, one.id, one.tenant or "")))


def test_a_rate_is_its_minute_at_once_and_none_never() -> None:
    def bucket(per_minute: int) -> tuple[float, int]:
        (made,) = rules.rates([Bound("user", "alice", "acme", Bounds(per_minute))])
        return made.interval, made.burst

    assert [bucket(one) for one in (1, 10, 120, 0)] == [(60.0, 1), (6.0, 10), (0.5, 120), (60.0, 0)]


def test_a_place_is_held_as_long_as_a_call_may_take() -> None:
    held = [Bound("user", "alice", "acme", Bounds(concurrent=3))]
    assert [one.seconds for one in rules.leases(held, Isolation(timeout=5))] == [5.0]
    assert [one.seconds for one in rules.leases(held, Isolation())] == [60.0]


@pytest.mark.parametrize(
    ("now", "day", "left"), [(0.0, 0, 86401), (86399.5, 0, 1), (86400.0, 1, 86401), (START, 20833, 57601)]
)
def test_a_day_is_one_of_utc(now: float, day: int, left: int) -> None:
    assert (rules.day(now), rules.until_tomorrow(now)) == (day, left)


def test_a_budget_is_spent_when_nothing_is_left_of_calls_or_cost() -> None:
    bound = Bound("user", "alice", "acme", Bounds(calls_per_day=3, budget_per_day=10.0))
    used = [(2, 9.9), (3, 0.0), (0, 10.0)]
    assert [rules.is_spent(bound, Spent("acme", "user", "alice", 1, *one)) for one in used] == [
        False,
        True,
        True,
    ]
    assert (
        rules.cost(replace(READ, cost=0.5)) == 0.5 and rules.cost(READ) == 1.0 and READ.impact is Impact.READ
    )
