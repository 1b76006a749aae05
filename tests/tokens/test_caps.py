"""How much one grant makes in a minute, and one transaction by exchange; and that a spent budget makes nothing."""

from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from broker.control.budgets.model import Budget, Level
from broker.control.budgets.rules import TXN_SECONDS
from broker.estate.model import Bounds
from tests.lab import Lab, assert_refused, claims, race

LIMIT = 10
Make = Callable[..., Lab]


def too_many(response: TestResponse, lab: Lab, reason: str, within: float = 61) -> None:
    assert_refused(response, 429, "temporarily_unavailable")
    assert 0 < int(response.headers["Retry-After"]) <= within
    assert lab.last("token.refused")["reason"] == reason


def counts(answers: list[object]) -> tuple[int, int]:
    """(made, refused as too many)"""
    found = [answer.status_code for answer in answers]  # type: ignore[attr-defined]
    assert set(found) <= {200, 429}
    return found.count(200), found.count(429)


def test_exchanges_of_one_transaction_are_so_many_and_no_more(make_lab: Make) -> None:
    lab = make_lab(exchanges_per_txn=LIMIT)
    token, other = (lab.tokens()["access_token"] for _ in range(2))
    assert counts(race(64, lambda _: lab.exchange(token))) == (LIMIT, 54)
    too_many(lab.exchange(token), lab, "fan_out", TXN_SECONDS + 1)
    refused = lab.last("token.refused")
    assert (refused["txn"], refused["grant_id"]) == (claims(token)["txn"], claims(token)["grant_id"])
    assert lab.exchange(other).status_code == 200


def test_a_refused_exchange_is_none(make_lab: Make) -> None:
    lab = make_lab(exchanges_per_txn=1)
    token = lab.tokens()["access_token"]
    lab.switch("resource", "crm")
    for _ in range(3):
        assert_refused(lab.exchange(token), 400, "invalid_target")
    lab.lift("resource", "crm")
    assert lab.exchange(token).status_code == 200 and lab.exchange(token).status_code == 429


def test_without_the_cap_nothing_stops_a_fan_out(make_lab: Make) -> None:
    lab = make_lab(exchanges_per_txn=1000)
    token = lab.tokens()["access_token"]
    assert counts([lab.exchange(token) for _ in range(LIMIT + 5)]) == (LIMIT + 5, 0)


def test_tokens_of_a_clients_own_work_are_so_many_in_a_minute(make_lab: Make) -> None:
    lab = make_lab(tokens_per_grant_per_minute=LIMIT)
    assert counts(race(64, lambda _: lab.client_credentials())) == (LIMIT, 54)
    too_many(lab.client_credentials(), lab, "rate_limited")
    lab.clock.advance(60)
    assert lab.client_credentials().status_code == 200


def test_refreshes_of_a_grant_are_so_many_in_a_minute(make_lab: Make) -> None:
    lab = make_lab(tokens_per_grant_per_minute=3)
    first, other = lab.tokens(), lab.tokens(user="bob")
    held = first["refresh_token"]
    for _ in range(2):
        held = lab.refresh(held).json["refresh_token"]
    too_many(lab.refresh(held), lab, "rate_limited")
    assert lab.refresh(other["refresh_token"]).status_code == 200, "another grant"
    lab.clock.advance(60)
    assert lab.refresh(held).status_code == 200, "what was refused spent nothing"


def test_an_exchange_counts_for_its_grant_too(make_lab: Make) -> None:
    lab = make_lab(tokens_per_grant_per_minute=3)
    token = lab.tokens()["access_token"]
    assert counts([lab.exchange(token) for _ in range(4)]) == (2, 2)
    too_many(lab.exchange(token), lab, "rate_limited")


def test_a_budget_that_is_used_up_makes_no_token_until_tomorrow(lab: Lab) -> None:
    budget = Budget(Level.USER, "alice", "acme", Bounds(calls_per_day=0))
    held, code = lab.tokens(), lab.code()
    lab.change(lambda tx: lab.broker.budgets.configured.put(tx, budget))
    lab.broker.world.snapshots.refresh()
    for refused in (lab.redeem(code), lab.refresh(held["refresh_token"]), lab.exchange(held["access_token"])):
        too_many(refused, lab, "budget_exhausted", 86401)
    assert lab.last("token.refused")["detail"] == "user"
    assert lab.tokens(user="bob")["access_token"] and lab.client_credentials().status_code == 200
    lab.change(lambda tx: lab.broker.budgets.configured.remove(tx, budget.key))
    lab.broker.world.snapshots.refresh()
    assert lab.refresh(held["refresh_token"]).status_code == 200


def test_where_no_budget_is_set_a_token_costs_no_look_at_budgets(lab: Lab) -> None:
    with lab.without_table("budget_spent"):
        assert lab.client_credentials().status_code == 200


@pytest.mark.parametrize("limit", [0, -1])
def test_a_cap_of_none_is_no_setting(make_lab: Make, limit: int) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        make_lab(exchanges_per_txn=limit)
