"""Rates, places and budgets as a server's questions meet them: what is refused, what it costs, what comes back."""

from broker.control.budgets.model import Budget, Level
from broker.estate.model import Bounds, Impact, Isolation, Limits
from tests.deciding import denied, desk, permitted, post, question, scoped, tool
from tests.lab import Lab

READS = "tickets:read"


def calls(number: int) -> dict[str, object]:
    return {"text": f"printer {number}"}


def permits(lab: Lab, token: str, most: int = 200) -> int:
    """How many different calls are permitted until one is not."""
    for number in range(most):
        answer = post(lab, "evaluation", question(token, arguments=calls(number))).json
        if not answer["decision"]:
            return number
    return most


def test_the_rate_of_the_class_refuses_with_when_to_come_again(lab: Lab) -> None:
    token = scoped(lab, READS)
    assert permits(lab, token) == 120
    context = denied(lab, "rate_limited", token, arguments=calls(999))
    assert (context["limit"], context["retry_after"]) == ("rate-class", 1)
    assert lab.last("decision.made")["detail"] == "rate-class"
    permitted(lab, scoped(lab, READS, user="both", tenant="acme"), arguments=calls(0))
    lab.clock.advance(1)
    permitted(lab, token, arguments=calls(999))


def test_a_place_is_freed_by_the_outcome_and_by_time(lab: Lab) -> None:
    desk(lab, limits=Limits(concurrent=2), isolation=Isolation(timeout=30))
    token = scoped(lab, READS)
    first = permitted(lab, token, arguments=calls(0))
    permitted(lab, token, arguments=calls(1))
    assert denied(lab, "rate_limited", token, arguments=calls(2))["limit"] == "places-resource"
    assert post(lab, "outcomes", {"decision_id": first, "status": "ok"}).status_code in (200, 201, 204)
    permitted(lab, token, arguments=calls(2))
    denied(lab, "rate_limited", token, arguments=calls(3))
    lab.clock.advance(30)
    permitted(lab, token, arguments=calls(3))


def test_the_budget_of_a_day_refuses_until_tomorrow_and_what_is_refused_costs_nothing(lab: Lab) -> None:
    desk(lab, tool("search_tickets", READS, cost=5), limits=Limits(budget_per_day=10))
    token = scoped(lab, READS)
    assert permits(lab, token) == 2
    for number in range(3):
        context = denied(lab, "budget_exhausted", token, arguments=calls(100 + number))
    assert context["limit"] == "resource" and 0 < int(str(context["retry_after"])) <= 86401
    [spent] = lab.broker.budgets.configured.spent_today()
    assert (spent.calls, spent.cost) == (2, 10)
    assert permits(lab, token) == 0, "and no rate was lost either"


def test_the_same_call_again_and_again_under_one_transaction_is_refused(lab: Lab) -> None:
    token = scoped(lab, READS)
    for _ in range(20):
        permitted(lab, token, arguments=calls(0))
    assert denied(lab, "rate_limited", token, arguments=calls(0))["limit"] == "repeated"
    permitted(lab, token, arguments=calls(1))
    permitted(lab, scoped(lab, READS), arguments=calls(0))


def test_what_waits_for_an_approval_takes_neither_rate_nor_budget(lab: Lab) -> None:
    pay = tool("refund", "refunds:write", impact=Impact.EXTERNAL_WRITE)
    desk(lab, pay, limits=Limits(per_tool={"refund": Bounds(per_minute=1, calls_per_day=1, concurrent=1)}))
    token = scoped(lab, "refunds:write")
    for _ in range(12):
        denied(lab, "approval_required", token, "refund", {"n": 1}, idempotency_key="k")
    assert all(spent.calls == 0 for spent in lab.broker.budgets.configured.spent_today())


def test_a_key_that_was_used_is_a_duplicate_even_where_no_rate_is_left(lab: Lab) -> None:
    desk(lab, limits=Limits(per_minute=1))
    token = scoped(lab, READS)
    first = permitted(lab, token, arguments=calls(0), idempotency_key="k")
    denied(lab, "in_progress", token, arguments=calls(0), idempotency_key="k")
    denied(lab, "rate_limited", token, arguments=calls(1), idempotency_key="other")
    assert post(lab, "outcomes", {"decision_id": first, "status": "ok"}).status_code in (200, 201, 204)
    denied(lab, "duplicate", token, arguments=calls(0), idempotency_key="k")


def test_a_question_in_advance_takes_nothing(lab: Lab) -> None:
    desk(lab, limits=Limits(per_minute=1))
    token = scoped(lab, READS)
    body = {"evaluations": [question(token, arguments=calls(0))] * 5}
    assert post(lab, "evaluations", body).status_code == 200
    permitted(lab, token, arguments=calls(0))


def test_a_budget_that_an_administrator_sets_bounds_calls_at_once(lab: Lab) -> None:
    token = scoped(lab, READS)
    permitted(lab, token, arguments=calls(0))
    budget = Budget(Level.CLIENT, "desk-app", "acme", Bounds(per_minute=1))
    lab.change(lambda tx: lab.broker.budgets.configured.put(tx, budget))
    lab.clock.advance(1)
    permitted(lab, token, arguments=calls(1))
    assert denied(lab, "rate_limited", token, arguments=calls(2))["limit"] == "rate-client"
