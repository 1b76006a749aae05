"""One question, one answer, one record."""

from tests.deciding import denied, permitted, scoped
from tests.lab import Lab


def test_a_read_that_the_token_is_for_is_permitted_and_recorded(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    decision = permitted(lab, token, arguments={"text": "printer"}, intent="find the printer ticket")
    record = lab.last("decision.made")
    assert record["tool"] == "search_tickets" and record["subject"] == "alice"
    assert record["client"] == "desk-app" and record["resource"] == "tickets"
    assert decision in [found.get("decision") for found in lab.trace(decision)]


def test_a_call_beyond_the_tokens_scope_is_refused_with_the_scope_to_ask_for(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    context = denied(lab, "insufficient_scope", token, "read_customer")
    assert context["scope"] == "customers:read"


def test_an_external_write_waits_for_an_approval_and_leaves_its_key_free(lab: Lab) -> None:
    token = scoped(lab, "refunds:write")
    context = denied(lab, "approval_required", token, "refund", {"amount": 5}, idempotency_key="k1")
    offered = context["access_request"]
    assert set(offered) == {"endpoint", "binding_token", "form_url", "expires_at"}
    again = denied(lab, "approval_required", token, "refund", {"amount": 5}, idempotency_key="k1")
    assert again["decision_id"] != context["decision_id"]
    assert lab.rows("permit") == 0
