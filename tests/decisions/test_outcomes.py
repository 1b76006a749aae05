"""What became of a call: said once, by the resource's own server, and told to duplicates."""

from tests.deciding import denied, permitted, post, scoped
from tests.lab import Lab


def report(
    lab: Lab, decision: str, client_id: str = "tickets-server", door: str = "", **said: object
) -> object:
    return post(lab, "outcomes", {"decision_id": decision, "status": "ok", **said}, client_id, door)


def test_an_outcome_is_recorded_once_and_told_to_duplicates(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    decision = permitted(lab, token, arguments={"text": "a"}, idempotency_key="one")
    context = denied(lab, "in_progress", token, arguments={"text": "a"}, idempotency_key="one")
    assert context["earlier"] == decision
    said = {
        "downstream_request_id": "crm-7",
        "cost": 2,
        "undo": "reopen 4",
        "result_digest": "ab" * 32,
        "result_size": 12,
        "result": {"closed": True},
    }
    first = report(lab, decision, **said)
    assert (first.status_code, first.json["recorded"]) == (200, True), first.get_data(as_text=True)
    record = lab.last("outcome.reported")
    assert (record["decision"], record["downstream_request_id"]) == (decision, "crm-7")
    assert record["change"] == {"status": "ok", "cost": 2, "undo": "reopen 4"}
    again = report(lab, decision, **said)
    assert (again.status_code, again.json["recorded"]) == (200, False)
    other = report(lab, decision, **{**said, "cost": 3})
    assert other.status_code == 409 and other.mimetype == "application/problem+json"
    assert len(lab.facts("outcome.reported")) == 1
    context = denied(lab, "duplicate", token, arguments={"text": "a"}, idempotency_key="one")
    assert context["outcome"]["result"] == {"closed": True} and context["earlier"] == decision
    assert lab.trace(decision)[-1]["fact"] == "decision.made"
