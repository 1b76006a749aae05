"""What became of a call: said once, by the resource's own server, and told to duplicates."""

from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from broker.estate.model import Bounds, Limits
from tests.deciding import ask, denied, desk, permitted, post, problem, scoped, tool
from tests.lab import FILES, Lab

SAID = {
    "downstream_request_id": "crm-7",
    "cost": 2,
    "undo": "reopen 4",
    "result_digest": "ab" * 32,
    "result_size": 12,
    "result": {"closed": True},
}


def report(
    lab: Lab, decision: object, client_id: str = "tickets-server", door: str = "", **said: object
) -> TestResponse:
    return post(lab, "outcomes", {"decision_id": decision, "status": "ok", **said}, client_id, door)


def test_an_outcome_is_recorded_once_and_told_to_duplicates(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    decision = permitted(lab, token, arguments={"text": "a"}, idempotency_key="one")
    context = denied(lab, "in_progress", token, arguments={"text": "a"}, idempotency_key="one")
    assert context["earlier"] == decision and "outcome" not in context
    assert report(lab, decision, **SAID).json == {"decision_id": decision, "recorded": True}
    record = lab.last("outcome.reported")
    assert {
        "decision": decision,
        "downstream_request_id": "crm-7",
        "result_digest": "ab" * 32,
        "result_size": 12,
        "tool": "search_tickets",
        "subject": "alice",
        "client": "desk-app",
        "tenant": "acme",
    }.items() <= record.items()
    assert record["change"] == {"status": "ok", "cost": 2, "undo": "reopen 4"}
    assert record in lab.trace(decision) and record in lab.trace("crm-7")
    assert report(lab, decision, **SAID).json == {"decision_id": decision, "recorded": False}
    problem(report(lab, decision, **{**SAID, "cost": 3}), 409, "invalid_request")
    problem(report(lab, decision, **{**SAID, "status": "failed"}), 409, "invalid_request")
    assert lab.last("decision.refused")["reason"] == "outcome_differs"
    assert len(lab.facts("outcome.reported")) == 1
    context = denied(lab, "duplicate", token, arguments={"text": "a"}, idempotency_key="one")
    assert context["earlier"] == decision and context["outcome"] == {"status": "ok", **SAID}


def test_a_key_is_of_one_call_subject_client_and_tool(lab: Lab) -> None:
    token = scoped(lab, "tickets:read customers:read")
    permitted(lab, token, arguments={"n": 1}, idempotency_key="k")
    denied(lab, "idempotency_mismatch", token, arguments={"n": 2}, idempotency_key="k")
    denied(lab, "in_progress", token, arguments={"n": 1}, idempotency_key="k")
    permitted(lab, token, arguments={"n": 1}, idempotency_key="K")
    permitted(lab, token, "read_customer", {"n": 1}, idempotency_key="k")
    permitted(lab, scoped(lab, "tickets:read", "bob"), arguments={"n": 1}, idempotency_key="k")
    permitted(lab, scoped(lab, "tickets:read", client_id="two-uris"), arguments={"n": 1}, idempotency_key="k")
    again = scoped(lab, "tickets:read")
    denied(lab, "in_progress", again, arguments={"n": 1}, idempotency_key="k")


def test_a_key_is_free_again_when_its_time_is_over(lab: Lab) -> None:
    permitted(lab, scoped(lab, "tickets:read"), idempotency_key="k")
    lab.clock.advance(86_399)
    denied(lab, "in_progress", scoped(lab, "tickets:read"), idempotency_key="k")
    lab.clock.advance(1)
    permitted(lab, scoped(lab, "tickets:read"), idempotency_key="k")


@pytest.mark.parametrize("status", ["ok", "failed", "unknown"])
def test_what_failed_is_a_duplicate_too(lab: Lab, status: str) -> None:
    token = scoped(lab, "tickets:read")
    decision = permitted(lab, token, idempotency_key="k")
    report(lab, decision, status=status)
    assert denied(lab, "duplicate", token, idempotency_key="k")["outcome"] == {"status": status}
    permitted(lab, token, idempotency_key="k2")


def test_a_call_without_a_key_has_an_outcome_too(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    first, second = permitted(lab, token), permitted(lab, token)
    assert report(lab, first).json["recorded"] is True
    assert report(lab, second, status="failed").json["recorded"] is True


def test_only_the_resources_own_server_says_what_became_of_it(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    decision = permitted(lab, token)
    refused = ask(lab, token, "refund", idempotency_key="k")["context"]["decision_id"]
    problem(report(lab, decision, "notes-server"), 404, "invalid_request")
    assert lab.last("decision.refused")["reason"] == "decision_unknown"
    for unknown in ("dec_nothing", "x", refused, "dec_\u00e9", "x" * 200):
        problem(report(lab, unknown), 404, "invalid_request")
    assert report(lab, decision).json["recorded"] is True


def test_a_door_takes_outcomes_of_its_own_tenants(lab: Lab) -> None:
    search = lab.broker.estate().resources["tickets"].tools[0]
    desk(lab, replace(search, scopes=("files:read",)), resource="files")
    token = lab.tokens(resource=FILES, scope="files:read", user="vera")["access_token"]
    decision = permitted(lab, token, uri=FILES, client_id="files-server")
    assert lab.last("decision.made")["tenant"] == "globex"
    problem(report(lab, decision, "files-server", "/t/acme"), 404, "invalid_request")
    assert report(lab, decision, "files-server", "/t/globex").json["recorded"] is True


def test_a_large_result_is_not_kept_and_its_digest_is(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    decision = permitted(lab, token, idempotency_key="k")
    large = {**SAID, "result": {"text": "x" * 5000}}
    assert report(lab, decision, **large).status_code == 200
    outcome = denied(lab, "duplicate", token, idempotency_key="k")["outcome"]
    assert "result" not in outcome and outcome["result_digest"] == SAID["result_digest"]
    assert b"x" * 1000 not in lab.dump()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("status", "fine"),
        ("status", None),
        ("decision_id", ""),
        ("decision_id", "a\u0000b"),
        ("decision_id", 5),
        ("cost", -1),
        ("cost", "1"),
        ("cost", True),
        ("result_size", 1.5),
        ("result_size", -1),
        ("undo", "x" * 501),
        ("undo", {}),
        ("result_digest", ["x"]),
        ("downstream_request_id", "x" * 201),
    ],
)
def test_what_is_no_outcome_is_refused(lab: Lab, member: str, value: object) -> None:
    decision = permitted(lab, scoped(lab, "tickets:read"))
    body = {"decision_id": decision, "status": "ok", **SAID, member: value}
    assert member in str(problem(post(lab, "outcomes", body), 400, "invalid_request")["detail"])
    assert report(lab, decision, **SAID).json["recorded"] is True


def test_an_outcome_frees_the_place_of_its_call(lab: Lab) -> None:
    desk(lab, limits=Limits(concurrent=2))
    token = scoped(lab, "tickets:read")
    first = permitted(lab, token, arguments={"n": 1})
    permitted(lab, token, arguments={"n": 2})
    context = denied(lab, "rate_limited", token, arguments={"n": 3})
    assert context["retry_after"] >= 1
    report(lab, first)
    permitted(lab, token, arguments={"n": 3})
    denied(lab, "rate_limited", token, arguments={"n": 4})


def test_what_is_refused_later_gives_its_place_back(lab: Lab) -> None:
    desk(lab, limits=Limits(concurrent=1))
    token = scoped(lab, "tickets:read refunds:write")
    for number in range(3):
        denied(lab, "approval_required", token, "refund", {"n": number}, idempotency_key=f"k{number}")
    permitted(lab, token)


def test_what_nobody_reported_is_listed_as_open(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    reported, left = permitted(lab, token, arguments={"n": 1}), permitted(lab, token, arguments={"n": 2})
    report(lab, reported)
    keys, database = lab.broker.decisions.keys, lab.broker.world.database
    assert [one.id for one in database.read(lambda tx: keys.listed(tx, only_open=True))] == [left]
    assert {one.id for one in database.read(lambda tx: keys.listed(tx))} == {reported, left}
    assert database.read(lambda tx: keys.listed(tx, resource="notes")) == []
    assert database.read(lambda tx: keys.listed(tx), "globex") == []


def test_what_is_over_is_swept_and_an_open_call_with_a_key_is_kept_longer(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    done, left = permitted(lab, token, idempotency_key="a"), permitted(lab, token, idempotency_key="b")
    permitted(lab, token)
    report(lab, done)
    lab.clock.advance(86_401)
    lab.broker.sweep()
    listed = lab.broker.world.database.read(lambda tx: lab.broker.decisions.keys.listed(tx))
    assert [one.id for one in listed] == [left]
    assert report(lab, left, status="unknown").json["recorded"] is True
    lab.clock.advance(3599)
    lab.broker.sweep()
    assert lab.rows("permit") == 1
    lab.clock.advance(1)
    lab.broker.sweep()
    assert lab.rows("permit") == 0


def test_a_key_is_remembered_for_an_hour_after_a_late_outcome(lab: Lab) -> None:
    decision = permitted(lab, scoped(lab, "tickets:read"), idempotency_key="k")
    lab.clock.advance(86_400)
    report(lab, decision)
    for seconds in (0, 3599):
        lab.clock.advance(seconds)
        assert (
            denied(lab, "duplicate", scoped(lab, "tickets:read"), idempotency_key="k")["earlier"] == decision
        )
    lab.clock.advance(1)
    permitted(lab, scoped(lab, "tickets:read"), idempotency_key="k")


def test_what_is_said_of_an_outcome_is_kept_without_secrets_and_control_characters(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    decision = permitted(lab, token, idempotency_key="k")
    said = {
        "downstream_request_id": f"r {token[:150]}",
        "undo": f"\x1b[2J{token[:400]}",
        "result_digest": "\x9b31m" + token[:124],
        "result": {"a\x07": [f"Bearer {token}", "b\ttab\nline\u0000"]},
    }
    assert report(lab, decision, **said).json["recorded"] is True
    outcome = denied(lab, "duplicate", token, idempotency_key="k")["outcome"]
    assert outcome["result"]["a\ufffd"][1] == "b\ttab\nline\ufffd"
    assert outcome["undo"].startswith("\ufffd[2J***") and outcome["downstream_request_id"].startswith("r ***")
    assert token[:40].encode() not in lab.dump()
    for text in (str(outcome), str(lab.last("outcome.reported"))):
        assert not set(text) & set("\x1b\x9b\x07\x00")
    assert report(lab, decision, **said).json["recorded"] is False, "the same again is the same"


def test_the_cost_of_an_outcome_corrects_the_budgets_of_its_day(lab: Lab) -> None:
    desk(
        lab,
        tool("search_tickets", "tickets:read", cost=5),
        limits=Limits(budget_per_day=20, per_user=Bounds(calls_per_day=9)),
    )
    token = scoped(lab, "tickets:read")

    def spent() -> list[float]:
        return [one.cost for one in lab.broker.budgets.configured.spent_today()]

    first, second = (permitted(lab, token, arguments={"n": n}) for n in range(2))
    third = permitted(lab, token, arguments={"n": 2})
    assert spent() == [15, 15]
    report(lab, first, cost=12)
    assert spent() == [22, 22]
    report(lab, first, cost=12)
    assert spent() == [22, 22], "once"
    denied(lab, "budget_exhausted", token, arguments={"n": 3})
    report(lab, second, cost=0)
    assert spent() == [17, 17]
    report(lab, third)
    assert spent() == [17, 17], "nothing was said"
    lab.clock.advance(86_400)
    report(lab, permitted(lab, scoped(lab, "tickets:read"), arguments={"n": 4}), cost=5)
    assert spent() == [5, 5]
