"""What one call takes of rates, places and budgets, and what it gets back."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from broker.control.budgets.model import Budget, Call, Entered, Level
from broker.control.classes import DEFAULTS
from broker.control.model import Act, Person, Refused, Why
from broker.estate.model import Bounds, Impact, Isolation, Limits, Tool
from tests.control.calls import READ, REFUND, act, resource
from tests.control.hook import Hook, reached
from tests.lab import Lab

DAY = 86400


def enter(lab: Lab, one: Act, decision: str = "dec") -> Entered:
    return lab.broker.budgets.budgets.enter(one, decision, lab.clock.now())


def passes(lab: Lab, tries: int = 200, **changes: object) -> int:
    """How many of so many different calls enter, until one is refused for its rate."""
    for number in range(tries):
        try:
            enter(lab, act(number, **changes), f"dec-{number}")  # type: ignore[arg-type]
        except Refused as refused:
            assert refused.why is Why.RATE_LIMITED
            return number
    return tries


def refused(lab: Lab, one: Act, decision: str = "dec") -> Refused:
    with pytest.raises(Refused) as caught:
        enter(lab, one, decision)
    return caught.value


def spend(lab: Lab, one: Act) -> None:
    now = lab.clock.now()
    lab.change(lambda tx: lab.broker.budgets.budgets.spend(tx.inside(one.tenant), one, now))


def spends(lab: Lab, tries: int = 200, **changes: object) -> int:
    """How many calls of a day, until one is refused for its budget."""
    for number in range(tries):
        try:
            spend(lab, act(number, **changes))  # type: ignore[arg-type]
        except Refused as caught:
            assert caught.why is Why.BUDGET_EXHAUSTED
            return number
    return tries


def put(lab: Lab, level: Level, identifier: str, tenant: str | None = None, **bounds: object) -> None:
    budget = Budget(level, identifier, tenant, Bounds(**bounds))  # type: ignore[arg-type]
    lab.change(lambda tx: lab.broker.budgets.configured.put(tx, budget))
    lab.broker.world.snapshots.refresh()


@pytest.mark.parametrize("impact", Impact)
def test_each_class_has_the_rate_of_its_default_for_each_user(lab: Lab, impact: Impact) -> None:
    tool = Tool("t", ("s",), impact)
    assert passes(lab, tool=tool) == {"read": 120, "sensitive_read": 60, "reversible_write": 30}.get(
        impact, 10
    )
    other = refused(lab, act(999, tool=tool))
    assert other.members["limit"] == "rate-class" and 0 < int(str(other.members["retry_after"])) <= 7
    enter(lab, act(1, tool=tool, subject=replace(act().subject, id="bob")))
    enter(lab, act(2, tool=tool, tenant="globex"))
    lab.clock.advance(60)
    assert passes(lab, tool=tool) == DEFAULTS[impact].per_minute


def test_the_default_of_a_class_matters(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lifted = {impact: replace(one, per_minute=1000, per_day=None) for impact, one in DEFAULTS.items()}
    monkeypatch.setattr("broker.control.budgets.rules.DEFAULTS", lifted)
    assert passes(lab, tool=REFUND) == 200 and spends(lab, tool=REFUND) == 200


def test_an_external_write_has_a_hundred_a_day_unless_a_budget_says_another_number(lab: Lab) -> None:
    assert spends(lab, tool=REFUND) == 100
    spend(lab, act(tool=REFUND, subject=replace(act().subject, id="bob")))
    assert spends(lab, tool=READ) == 200
    put(lab, Level.TOOL, "tickets/refund", calls_per_day=150)
    assert spends(lab, tool=REFUND) == 150
    put(lab, Level.TOOL, "tickets/refund", per_minute=5)
    with pytest.raises(Refused):
        spend(lab, act(tool=REFUND))


def test_a_budget_of_a_tenant_or_user_leaves_the_default_of_the_class(lab: Lab) -> None:
    for level in (Level.TENANT, Level.USER, Level.CLIENT):
        put(lab, level, "*", calls_per_day=1000)
    assert spends(lab, tool=REFUND) == 100


@pytest.mark.parametrize(
    ("limits", "least"),
    [
        (Limits(per_minute=7), 7),
        (Limits(per_tenant=Bounds(per_minute=6)), 6),
        (Limits(per_user=Bounds(per_minute=5)), 5),
        (Limits(per_client=Bounds(per_minute=4)), 4),
        (Limits(per_family={"payments": Bounds(per_minute=3)}), 3),
        (Limits(per_tool={"refund": Bounds(per_minute=2)}), 2),
        (Limits(per_minute=9, per_tool={"refund": Bounds(per_minute=0)}), 0),
        (Limits(per_family={"other": Bounds(per_minute=3)}, per_tool={"search": Bounds(per_minute=3)}), 10),
    ],
)
def test_the_limits_of_a_resource_hold_at_each_level(lab: Lab, limits: Limits, least: int) -> None:
    assert passes(lab, tool=REFUND, at=resource(limits)) == least


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("each", [True, False])
def test_what_an_administrator_sets_holds_at_each_level(lab: Lab, level: Level, each: bool) -> None:
    named = {
        Level.TENANT: "acme",
        Level.USER: "alice",
        Level.CLIENT: "desk-app",
        Level.RESOURCE: "tickets",
        Level.FAMILY: "tickets/payments",
        Level.TOOL: "tickets/refund",
    }[level]
    put(lab, level, "*" if each else named, None if each else "acme", per_minute=3, budget_per_day=20)
    assert passes(lab, tool=REFUND) == 3 and spends(lab, tool=REFUND) == 4, "of 5 each"
    elsewhere = {"tenant": "globex", "subject": replace(act().subject, id="bob")}
    assert passes(lab, tool=REFUND, **elsewhere) == (3 if each else 10)
    put(lab, level, "another", None, per_minute=1, calls_per_day=0)
    spend(lab, act(tool=READ, subject=replace(act().subject, id="eve"), client_id="x", tenant="globex"))


def test_rates_of_a_resource_are_for_all_tenants_and_budgets_for_each(lab: Lab) -> None:
    at = resource(Limits(per_minute=4, calls_per_day=3))
    assert passes(lab, at=at) == 4 and passes(lab, at=at, tenant="globex") == 0
    assert spends(lab, at=at) == 3 and spends(lab, at=at, tenant="globex") == 3


def test_what_is_given_back_is_there_again(lab: Lab) -> None:
    at = resource(Limits(per_minute=3, concurrent=3))
    entered = [enter(lab, act(number, at=at), f"dec-{number}") for number in range(3)]
    refused(lab, act(9, at=at))
    lab.broker.budgets.budgets.back(entered[0])
    enter(lab, act(9, at=at), "dec-9")
    assert refused(lab, act(10, at=at)).members["limit"] == "rate-resource"


def test_a_refused_call_took_nothing(lab: Lab) -> None:
    at = resource(Limits(per_minute=5, per_user=Bounds(concurrent=1)))
    enter(lab, act(0, at=at), "dec-0")
    for number in range(20):
        assert refused(lab, act(number, at=at), f"dec-{number + 1}").members["limit"] == "places-per-user"
    bob = replace(act().subject, id="bob")
    enter(lab, act(1, at=at, subject=bob), "bob-0")
    lab.broker.budgets.budgets.left("bob-0", Call.of(act(1, at=at, subject=bob)))
    for number in range(3):
        enter(lab, act(number, at=at, subject=replace(bob, id=f"u{number}")), f"u-{number}")
    assert refused(lab, act(3, at=at, subject=replace(bob, id="u"))).members["limit"] == "rate-resource"


def test_a_place_is_free_when_the_outcome_comes_or_the_call_can_run_no_longer(lab: Lab) -> None:
    at = resource(Limits(concurrent=2), Isolation(timeout=30))
    for number in range(2):
        enter(lab, act(number, at=at), f"dec-{number}")
    limited = refused(lab, act(2, at=at), "dec-2")
    assert limited.members == {"limit": "places-resource", "retry_after": 2}
    lab.broker.budgets.budgets.left("dec-0", Call.of(act(0, at=at)))
    lab.broker.budgets.budgets.left("dec-0", Call.of(act(0, at=at)))
    enter(lab, act(2, at=at), "dec-2")
    refused(lab, act(3, at=at), "dec-3")
    lab.clock.advance(30)
    assert passes(lab, 5, at=at) == 2


def test_the_same_act_again_and_again_under_one_transaction_is_a_loop(lab: Lab) -> None:
    for _ in range(20):
        enter(lab, act())
    looped = refused(lab, act())
    assert (looped.why, looped.detail) == (Why.RATE_LIMITED, "repeated")
    assert looped.members["limit"] == "repeated" and int(str(looped.members["retry_after"])) <= 601
    enter(lab, act(1))
    enter(lab, act(txn="txn-2"))
    enter(lab, act(txn=None))
    lab.clock.advance(600)
    enter(lab, act())


def test_the_cap_on_repeats_is_a_setting_and_what_is_given_back_was_no_repeat(make_lab: object) -> None:
    lab = make_lab(repeats_per_txn=2)  # type: ignore[operator]
    for _ in range(20):
        lab.broker.budgets.budgets.back(enter(lab, act()))
    assert [enter(lab, act()).repeats for _ in range(2)] and refused(lab, act()).members[
        "limit"
    ] == "repeated"


def test_a_budget_is_back_when_the_decision_is_not_made(lab: Lab) -> None:
    put(lab, Level.TENANT, "acme", calls_per_day=1)
    now = lab.clock.now()

    def undone(tx: object) -> None:
        lab.broker.budgets.budgets.spend(tx.inside("acme"), act(), now)  # type: ignore[attr-defined]
        raise RuntimeError("refused for another reason")

    for _ in range(3):
        with pytest.raises(RuntimeError):
            lab.change(undone)
    assert spends(lab) == 1


def test_a_day_ends_at_midnight_in_utc(lab: Lab) -> None:
    put(lab, Level.USER, "alice", calls_per_day=2)
    assert spends(lab) == 2
    with pytest.raises(Refused) as caught:
        spend(lab, act())
    left = int(str(caught.value.members["retry_after"]))
    assert caught.value.members["limit"] == "user" and 0 < left <= DAY + 1
    lab.clock.advance(left - 2)
    assert spends(lab) == 0
    lab.clock.advance(2)
    assert spends(lab) == 2
    assert lab.rows("budget_spent") == 2
    lab.clock.advance(2 * DAY)
    lab.broker.sweep()
    assert lab.rows("budget_spent") == 0


def test_cost_is_the_tools_and_one_where_none_is_given(lab: Lab) -> None:
    at = resource(Limits(budget_per_day=12))
    assert spends(lab, tool=REFUND, at=at) == 2, "5 each"
    assert spends(lab, tool=READ, at=at) == 2, "which are 2 of what is left"
    tenths = resource(Limits(budget_per_day=0.3), name="tenths")
    assert spends(lab, tool=replace(READ, cost=0.1), at=tenths) == 3


def test_of_several_budgets_one_that_is_over_leaves_the_others_unspent(lab: Lab) -> None:
    put(lab, Level.CLIENT, "desk-app", calls_per_day=5)
    put(lab, Level.USER, "alice", calls_per_day=2)
    assert spends(lab) == 2
    assert spends(lab, subject=replace(act().subject, id="bob")) == 3


def test_a_call_without_a_budget_makes_no_statement(lab: Lab) -> None:
    spend(lab, act())
    assert lab.rows("budget_spent") == 0


def test_a_budget_that_is_removed_bounds_nothing(lab: Lab) -> None:
    put(lab, Level.USER, "alice", "acme", per_minute=1)
    put(lab, Level.USER, "alice", "acme", per_minute=2)
    assert passes(lab) == 2
    lab.change(lambda tx: lab.broker.budgets.configured.remove(tx, "user:alice@acme"))
    lab.broker.world.snapshots.refresh()
    lab.clock.advance(60)
    assert passes(lab) == 120


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


def test_who_runs_the_server_is_told_at_80_and_at_100_percent(
    make_lab: object, hook: Hook, tmp_path: Path
) -> None:
    lab = make_lab(**hook.settings(tmp_path))  # type: ignore[operator]
    reached(lab)
    put(lab, Level.TENANT, "acme", budget_per_day=50)
    assert spends(lab, tool=REFUND) == 10
    lab.broker.webhooks.deliver()
    said = [one["data"] for one in hook.said()]
    found = [(one["level"], one["id"], one["percent"], one["cost"]) for one in said]  # type: ignore[index]
    assert found == [("tenant", "acme", 80, 40), ("tenant", "acme", 100, 50)]


def test_a_notice_names_no_user(make_lab: object, hook: Hook, tmp_path: Path) -> None:
    lab = make_lab(**hook.settings(tmp_path))  # type: ignore[operator]
    reached(lab)
    at = resource(Limits(per_user=Bounds(calls_per_day=1), per_client=Bounds(calls_per_day=1)))
    put(lab, Level.USER, "alice", calls_per_day=1)
    put(lab, Level.TOOL, "tickets/refund", calls_per_day=1)
    assert spends(lab, tool=REFUND, at=at) == 1
    assert spends(lab, tool=REFUND, at=resource(name="notes"), subject=Person("b/c", True)) == 100
    lab.broker.webhooks.deliver()
    said = {(one["data"]["level"], one["data"]["id"]) for one in hook.said()}  # type: ignore[index]
    assert said == {
        ("user", None),
        ("per_user", "tickets"),
        ("per_client", "tickets/desk-app"),
        ("tool", "tickets/refund"),
        ("class", "external_write/notes"),
    }


def test_the_rate_of_a_class_at_one_server_is_none_at_another(lab: Lab) -> None:
    assert (passes(lab), passes(lab)) == (120, 0)
    assert passes(lab, at=resource(name="notes")) == 120, "who uses it up at one harms nobody elsewhere"
