"""A call that somebody allowed: it runs once, its record names who allowed it, and its key tells what became of it."""

from tests.approving import ARGUMENTS, approver, granted, refunds
from tests.deciding import denied, permitted, post
from tests.lab import Lab


def test_it_runs_once_under_its_key_and_again_only_if_somebody_allows_it_again(lab: Lab) -> None:
    token, bob = refunds(lab), approver(lab)
    approval = granted(lab, token, bob)
    decision = permitted(lab, token, "refund", ARGUMENTS, idempotency_key="k1")
    record = lab.last("decision.made")
    assert (record["approval"], record["approver"], record["subject"]) == (approval, "bob", "alice")
    assert record["arguments"] == ARGUMENTS
    assert record["arguments_digest"] == lab.last("approval.spent")["arguments_digest"]
    assert denied(lab, "in_progress", token, "refund", ARGUMENTS, idempotency_key="k1")["earlier"] == decision
    post(lab, "outcomes", {"decision_id": decision, "status": "ok", "downstream_request_id": "pay-1"})
    told = denied(lab, "duplicate", token, "refund", ARGUMENTS, idempotency_key="k1")
    assert told["outcome"] == {"status": "ok", "downstream_request_id": "pay-1"}
    denied(lab, "approval_required", token, "refund", ARGUMENTS, idempotency_key="k2")
    denied(lab, "idempotency_mismatch", token, "refund", {**ARGUMENTS, "amount": 6}, idempotency_key="k1")
    story = [found["fact"] for found in lab.trace(decision)]
    for fact in ("consent.granted", "token.issued", "approval.granted", "decision.made", "outcome.reported"):
        assert fact in story, story


def test_what_was_allowed_does_not_run_once_it_is_switched_off(lab: Lab) -> None:
    token = refunds(lab)
    granted(lab, token)
    lab.switch("tool", "tickets/refund")
    denied(lab, "switched_off", token, "refund", ARGUMENTS, idempotency_key="k1")
    lab.lift("tool", "tickets/refund")
    permitted(lab, token, "refund", ARGUMENTS, idempotency_key="k1")


def test_another_byte_is_another_act(lab: Lab) -> None:
    token = refunds(lab)
    granted(lab, token)
    denied(lab, "approval_required", token, "refund", {**ARGUMENTS, "amount": 6}, idempotency_key="k1")
    permitted(lab, token, "refund", ARGUMENTS, idempotency_key="k1")
