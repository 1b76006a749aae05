"""One question, one answer, one record: each reason with what makes it go away, in the order of the contract."""

import json
from dataclasses import replace

import pytest

from broker.control.model import Refused, Why
from broker.control.policy.model import PolicyText
from broker.decisions.question import one
from broker.decisions.rules import require_tool
from broker.estate.model import Impact, Limits, Stage
from broker.protocol.acr import ORDER as ORDER_OF_ACR
from tests.deciding import REASONS, ask, denied, desk, permitted, post, question, scoped, tool
from tests.lab import ACME, ISSUER, NOTES, TICKETS, Lab, claims

AMOUNT = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 1, "maximum": 100}, "note": {"type": "string"}},
    "required": ["amount"],
    "additionalProperties": False,
}


def test_the_reasons_are_those_of_the_contract_in_its_order() -> None:
    assert tuple(why.value for why in Why) == REASONS


def test_a_read_that_the_token_is_for_is_permitted_and_recorded(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    answer = ask(lab, token, arguments={"text": "printer"}, intent="find it", request_id="rpc-1")
    assert answer["decision"] is True
    limit = {"id": "max_output", "type": "max_output", "properties": {"bytes": 262144}}
    assert answer["context"]["obligations"] == [limit]
    record = lab.last("decision.made")
    said = claims(token)
    assert {
        "subject": "alice",
        "client": "desk-app",
        "tenant": "acme",
        "resource": "tickets",
        "tool": "search_tickets",
        "scope": "tickets:read",
        "intent": "find it",
        "txn": said["txn"],
        "grant_id": said["grant_id"],
        "decision": answer["context"]["decision_id"],
        "issuer": ISSUER,
    }.items() <= record.items()
    assert len(record["arguments_digest"]) == 64 and "arguments" not in record, (
        "a read keeps the digest alone"
    )
    assert record["change"] == {
        "action": "tools/call",
        "impact": "read",
        "policies": ["mcp.read"],
        "request": "rpc-1",
    }
    assert record in lab.trace(answer["context"]["decision_id"]) and record in lab.trace(str(said["txn"]))


def test_a_sensitive_read_keeps_its_arguments_without_what_is_redacted(lab: Lab) -> None:
    desk(
        lab, tool("read_customer", "customers:read", impact=Impact.SENSITIVE_READ, redact=("$.ssn", "$..pin"))
    )
    token = scoped(lab, "customers:read")
    sent = {
        "id": 7,
        "ssn": "123-45",
        "cards": [{"pin": "0000", "name": "v"}],
        "auth": f"Bearer {token}",
        "t": token,
    }
    answer = ask(lab, token, "read_customer", sent)
    kinds = [found["type"] for found in answer["context"]["obligations"]]
    assert kinds == ["max_output", "redact", "log_arguments"]
    assert answer["context"]["obligations"][1]["properties"] == {"paths": ["$.ssn", "$..pin"]}
    kept = lab.last("decision.made")["arguments"]
    assert (
        kept["id"] == 7
        and kept["ssn"] == "[redacted]"
        and kept["cards"] == [{"pin": "[redacted]", "name": "v"}]
    )
    assert token not in str(kept) and kept["t"] == "***"
    assert token.encode() not in lab.dump() and b"123-45" not in lab.dump()


def test_arguments_that_a_record_has_to_keep_are_no_longer_than_it_can(lab: Lab) -> None:
    token = scoped(lab, "customers:read tickets:read")
    fits = 16 * 1024 - len('{"text":""}')
    permitted(lab, token, "read_customer", {"text": "x" * fits})
    assert lab.last("decision.made")["arguments"] == {"text": "x" * fits}
    context = denied(lab, "invalid_arguments", token, "read_customer", {"text": "x" * (fits + 1)})
    assert context["errors"] == [{"pointer": "/arguments", "keyword": "size"}]
    record = lab.last("decision.made")
    assert "arguments" not in record and len(record["arguments_digest"]) == 64
    permitted(lab, token, "search_tickets", {"text": "x" * (fits + 1)})
    desk(lab, tool("read_customer", "customers:read", impact=Impact.SENSITIVE_READ, log_arguments=False))
    permitted(lab, token, "read_customer", {"text": "x" * (fits + 1)})


@pytest.mark.requirement("COAZ-02")
@pytest.mark.parametrize(
    "changes", [{"subject": "bob"}, {"subject": "Alice"}, {"subject": "desk-app"}, {"door": "/t/acme"}]
)
def test_a_token_of_another_subject_or_door_is_invalid(lab: Lab, changes: dict[str, str]) -> None:
    token = scoped(lab, "tickets:read")
    permitted(lab, token)
    denied(lab, "token_invalid", token, **changes)


def test_tokens_of_a_tenants_door_are_decided_there(lab: Lab) -> None:
    token = lab.tokens(door="/t/acme", scope="tickets:read")["access_token"]
    assert claims(token)["iss"] == ACME
    permitted(lab, token, door="/t/acme")
    denied(lab, "token_invalid", token)


def test_a_token_that_is_none_expired_or_for_another_resource_is_invalid(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    for broken in ("x", "a.b.c", token[:-4], token + "\u0000", "é" * 30):
        denied(lab, "token_invalid", broken, subject="alice")
    denied(lab, "token_invalid", None)
    notes = lab.tokens(scope="notes:read", resource=NOTES)["access_token"]
    denied(lab, "token_invalid", notes)
    assert lab.last("decision.made")["detail"] == "audience"
    permitted(lab, token)
    lab.clock.advance(301)
    denied(lab, "token_invalid", token)
    assert lab.last("decision.made")["detail"] == "expired"


def test_the_token_alone_can_be_the_subject(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    asked = {**question(token), "subject": {"type": "token", "id": token}}
    assert post(lab, "evaluation", asked).json["decision"] is True
    identity = question(token)
    identity["subject"]["type"] = "identity"
    assert post(lab, "evaluation", identity).json["decision"] is True


def test_a_client_for_itself_is_its_own_subject(lab: Lab) -> None:
    token = lab.client_credentials().json["access_token"]
    permitted(lab, token, subject="nightly")
    assert lab.last("decision.made")["subject"] == "nightly"


@pytest.mark.attack("RS-04")
def test_what_was_revoked_makes_the_token_invalid(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    permitted(lab, token)
    assert lab.revoke(token).status_code == 200
    assert not lab.active(token)
    denied(lab, "token_invalid", token)


def test_a_sign_in_that_ended_makes_the_token_invalid(lab: Lab) -> None:
    token = scoped(lab, "tickets:read", client_id="no-refresh")
    permitted(lab, token)
    session = lab.broker.sessions.open()[0][0].id
    assert lab.broker.sessions.end_by_id(session)
    assert not lab.active(token)
    denied(lab, "token_invalid", token)


SWITCHES = [
    ("everything", "*"),
    ("tenant", "acme"),
    ("user", "alice"),
    ("client", "desk-app"),
    ("resource", "tickets"),
    ("tool", "tickets/search_tickets"),
    ("family", "lookups"),
]


@pytest.mark.parametrize(("kind", "target"), SWITCHES)
def test_what_is_switched_off_is_refused_until_it_is_on_again(lab: Lab, kind: str, target: str) -> None:
    desk(lab, tool("search_tickets", "tickets:read", family="lookups"), tool("list_tickets", "tickets:read"))
    token = scoped(lab, "tickets:read")
    lab.switch(kind, target)
    context = denied(lab, "switched_off", token)
    assert context["kind"] == kind
    if kind in ("tool", "family"):
        permitted(lab, token, "list_tickets")
    lab.lift(kind, target)
    permitted(lab, token)


def test_a_switch_for_a_grant_is_no_revocation(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    lab.switch("grant", str(claims(token)["grant_id"]))
    denied(lab, "switched_off", token)


@pytest.mark.parametrize(
    ("stage", "open_"),
    [
        (Stage.BASELINE, ()),
        (Stage.READ_ONLY, ("search_tickets", "read_customer")),
        (Stage.REVERSIBLE, ("search_tickets", "read_customer", "close_ticket")),
        (Stage.FULL, ("search_tickets", "read_customer", "close_ticket", "refund")),
    ],
)
def test_a_stage_holds_back_the_tools_above_it(lab: Lab, stage: Stage, open_: tuple[str, ...]) -> None:
    token = scoped(lab, "tickets:read customers:read tickets:write refunds:write")
    desk(lab, stage=stage)
    for name in ("search_tickets", "read_customer", "close_ticket", "refund"):
        reason = ask(lab, token, name, idempotency_key="k")["context"].get("reason")
        assert (reason == "stage") == (name not in open_), (name, reason)


def test_at_baseline_a_call_is_recorded_as_what_it_would_have_needed(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    desk(lab, stage=Stage.BASELINE)
    denied(lab, "stage", token, "refund", {"amount": 1})
    needed = lab.last("decision.made")["change"]["needed"]
    assert needed == {"scope": "refunds:write", "impact": "external_write"}


@pytest.mark.attack("RS-14")
@pytest.mark.parametrize(
    "name",
    [
        "Search_tickets",
        "search_tickets ",
        " search_tickets",
        "\uff53earch_tickets",
        "search\u200b_tickets",
        "se\u0430rch_tickets",
        "search_tickets\u0000",
    ],
)
def test_a_name_that_only_looks_like_a_tools_is_unknown(lab: Lab, name: str) -> None:
    token = scoped(lab, "tickets:read")
    denied(lab, "unknown_tool", token, name)
    permitted(lab, token, "search_tickets")


@pytest.mark.requirement("COAZ-01")
@pytest.mark.parametrize(
    "method", ["tools/calls", "TOOLS/CALL", "sampling/createMessage", "foo", "resources/write"]
)
def test_methods_that_nobody_knows_are_refused(lab: Lab, method: str) -> None:
    denied(lab, "unknown_tool", scoped(lab, "tickets:read"), method=method)


@pytest.mark.requirement("COAZ-04")
def test_a_tool_is_asked_about_as_a_tool(lab: Lab) -> None:
    denied(lab, "unknown_tool", scoped(lab, "tickets:read"), kind="prompt")


def test_resources_and_prompts_are_read_with_any_token_of_the_server(lab: Lab) -> None:
    token = scoped(lab, "tickets:write")
    permitted(lab, token, "file:///a", method="resources/read", kind="resource")
    first = lab.last("decision.made")["arguments_digest"]
    permitted(lab, token, "file:///b", method="resources/read", kind="resource")
    assert lab.last("decision.made")["arguments_digest"] != first
    permitted(lab, token, "summary", {"of": "x"}, method="prompts/get", kind="prompt")
    desk(lab, tool("resources/read", "customers:read", impact=Impact.SENSITIVE_READ))
    denied(lab, "insufficient_scope", token, "file:///a", method="resources/read", kind="resource")


def test_a_tool_that_changed_since_somebody_looked_is_refused(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    desk(lab, tool("search_tickets", "tickets:read", description="Find", schema={"type": "object"}))
    digest = lab.broker.estate().resources["tickets"].tools[0].digest
    assert digest is not None
    permitted(lab, token, schema_digest=digest)
    permitted(lab, token)
    denied(lab, "tool_changed", token, schema_digest="0" * 64)


@pytest.mark.attack("RS-16")
@pytest.mark.parametrize(
    ("arguments", "keyword"),
    [
        ({"amount": 101}, "maximum"),
        ({"amount": "100"}, "type"),
        ({"amount": [100]}, "type"),
        ({"amount": 1.5}, "type"),
        ({"amount": True}, "type"),
        ({}, "required"),
        ({"amount": 5, "more": 1}, "additionalProperties"),
        ([], "type"),
        ("text", "type"),
    ],
)
def test_arguments_that_break_the_schema_are_refused(lab: Lab, arguments: object, keyword: str) -> None:
    desk(lab, tool("search_tickets", "tickets:read", schema=AMOUNT))
    token = scoped(lab, "tickets:read")
    context = denied(lab, "invalid_arguments", token, arguments=arguments)
    assert keyword in [found["keyword"] for found in context["errors"]]
    assert "100" not in str(context["errors"]), "values stay where they are"


def test_arguments_that_fit_the_schema_are_permitted_however_a_number_is_written(lab: Lab) -> None:
    desk(lab, tool("search_tickets", "tickets:read", schema=AMOUNT))
    token = scoped(lab, "tickets:read")
    digests = set()
    for written in (b"100", b"1e2", b"100.0", b"1.0E+2"):
        raw = (
            json.dumps(question(token, arguments={"amount": 0}))
            .encode()
            .replace(b'"amount": 0', b'"amount": ' + written)
        )
        assert post(lab, "evaluation", raw).json["decision"] is True
        digests.add(lab.last("decision.made")["arguments_digest"])
    assert len(digests) == 1, "one act, however it is written"


@pytest.mark.requirement("AUTHZEN-03")
def test_a_class_with_effects_needs_an_idempotency_key(lab: Lab) -> None:
    token = scoped(lab, "tickets:write")
    context = denied(lab, "invalid_arguments", token, "close_ticket", {"id": 1})
    assert context["errors"] == [{"pointer": "/idempotency_key", "keyword": "required"}]
    denied(lab, "approval_required", token, "close_ticket", {"id": 1}, idempotency_key="k")


def test_a_scope_that_lacks_is_named(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    assert denied(lab, "insufficient_scope", token, "read_customer")["scope"] == "customers:read"
    permitted(lab, scoped(lab, "customers:read"), "read_customer")


def test_a_scope_that_implies_the_tools_is_enough(lab: Lab) -> None:
    permitted(lab, scoped(lab, "tickets:write"), "search_tickets")


def test_a_sign_in_that_is_too_old_or_weak_for_a_scope_is_said_so(lab: Lab) -> None:
    token = scoped(lab, "customers:read")
    scopes = lab.broker.estate().resources["tickets"].scopes

    def demand(**what: object) -> None:
        changed = (replace(one, **what) if one.name == "customers:read" else one for one in scopes)
        desk(lab, scopes=tuple(changed))

    demand(max_age=60, acr=ORDER_OF_ACR[0])
    permitted(lab, token, "read_customer")
    lab.clock.advance(61)
    context = denied(lab, "insufficient_scope", token, "read_customer")
    assert (context["scope"], context["max_age"]) == ("customers:read", 60)
    demand(acr=ORDER_OF_ACR[-1])
    context = denied(lab, "insufficient_scope", token, "read_customer")
    assert context["acr_values"] == ORDER_OF_ACR[-1] and "max_age" not in context


def test_of_several_reasons_the_first_is_told(lab: Lab) -> None:
    """Everything is wrong at once; what is told first is mended, and the next is told."""
    token = scoped(lab, "tickets:read")
    desk(
        lab,
        tool(
            "refund",
            "refunds:write",
            impact=Impact.EXTERNAL_WRITE,
            description="d",
            schema=AMOUNT,
            family="pay",
        ),
        stage=Stage.BASELINE,
    )
    lab.switch("family", "pay")
    asked: dict[str, object] = {"subject": "bob", "schema_digest": "f" * 64}
    denied(lab, "token_invalid", token, "refund", {"amount": 0}, **asked)
    asked["subject"] = "alice"
    denied(lab, "switched_off", token, "refund", {"amount": 0}, **asked)
    lab.lift("family", "pay")
    denied(lab, "stage", token, "refund", {"amount": 0}, **asked)
    denied(lab, "stage", token, "refunds", {"amount": 0}, **asked)
    desk(lab, stage=Stage.FULL)
    denied(lab, "unknown_tool", token, "refunds", {"amount": 0}, **asked)
    denied(lab, "tool_changed", token, "refund", {"amount": 0}, **asked)
    del asked["schema_digest"]
    denied(lab, "insufficient_scope", token, "refund", {"amount": 0}, **asked)
    token = scoped(lab, "refunds:write")
    denied(lab, "invalid_arguments", token, "refund", {"amount": 0}, **asked)
    denied(lab, "invalid_arguments", token, "refund", {"amount": 1}, **asked)
    denied(lab, "approval_required", token, "refund", {"amount": 1}, idempotency_key="k", **asked)


def test_an_approval_that_is_asked_leaves_nothing_used_up(lab: Lab) -> None:
    token = scoped(lab, "refunds:write")
    context = denied(lab, "approval_required", token, "refund", {"amount": 5}, idempotency_key="k1")
    offered = context["access_request"]
    assert set(offered) == {"endpoint", "binding_token", "form_url", "expires_at"}
    again = denied(lab, "approval_required", token, "refund", {"amount": 5}, idempotency_key="k1")
    assert again["decision_id"] != context["decision_id"]
    assert lab.rows("permit") == 0
    assert lab.last("decision.made")["approval"], "the question that waits"


def test_a_rate_is_told_after_the_key_was_looked_at(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    decision = permitted(lab, token, idempotency_key="first")
    for number in range(119):
        permitted(lab, token, arguments={"n": number})
    context = denied(lab, "rate_limited", token, arguments={"n": "more"})
    assert 1 <= context["retry_after"] <= 60
    context = denied(lab, "in_progress", token, idempotency_key="first")
    assert context["earlier"] == decision
    lab.clock.advance(60)
    token = scoped(lab, "tickets:read")
    permitted(lab, token, arguments={"n": "more"})


def test_details_in_the_token_narrow_what_its_scopes_allow(lab: Lab) -> None:
    client = replace(lab.client("desk-app"), authorization_details_types=("mcp_tool_call",))
    lab.put_client(client)
    desk(lab, tool("read_customer", "customers:read", impact=Impact.SENSITIVE_READ, schema=AMOUNT))
    bounded = {"name": "read_customer", "arguments": {"amount": {"maximum": 50}}}
    asked = [{"type": "mcp_tool_call", "locations": [TICKETS], "tools": [bounded]}]
    token = scoped(lab, "customers:read tickets:read", authorization_details=json.dumps(asked))
    permitted(lab, token, "read_customer", {"amount": 50})
    context = denied(lab, "insufficient_scope", token, "read_customer", {"amount": 51})
    assert context["authorization_details_types"] == ["mcp_tool_call"]
    denied(lab, "invalid_arguments", token, "read_customer", {"amount": 101})
    wide = scoped(lab, "customers:read tickets:read")
    permitted(lab, wide, "read_customer", {"amount": 51})
    denied(lab, "insufficient_scope", token, "file:///a", method="resources/read", kind="resource")
    listing = question(token, TICKETS, method="tools/list", kind="mcp_server")
    assert post(lab, "evaluation", listing).json["context"]["tools"] == ["read_customer"]


def test_a_tool_that_nobody_looked_at_since_it_changed_is_refused() -> None:
    asked = one(question(None))
    changed = tool("search_tickets", "tickets:read", changed=True)
    with pytest.raises(Refused) as caught:
        require_tool(changed, asked)
    assert caught.value.why is Why.TOOL_CHANGED
    assert require_tool(replace(changed, changed=False), asked).name == "search_tickets"


def test_a_policy_may_forbid_what_everything_else_allows(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    permitted(lab, token, arguments={"n": 1})
    text = '@id("no-search") forbid (principal, action == Action::"tickets/search_tickets", resource);'
    lab.change(lambda tx: lab.broker.policies.put(tx, PolicyText("acme", text)))
    denied(lab, "policy_denied", token, arguments={"n": 2})
    record = lab.last("decision.made")
    assert "no-search" in str(record["change"]["policies"])
    denied(lab, "invalid_arguments", token, arguments=[])
    lab.change(lambda tx: lab.broker.policies.remove(tx, "acme"))
    permitted(lab, token, arguments={"n": 2})


def test_a_budget_that_is_used_up_refuses_and_keeps_the_key_free(lab: Lab) -> None:
    desk(lab, limits=Limits(calls_per_day=1))
    token = scoped(lab, "tickets:read")
    permitted(lab, token, idempotency_key="a")
    context = denied(lab, "budget_exhausted", token, arguments={"n": 1}, idempotency_key="b")
    assert context["retry_after"] > 0
    assert lab.rows("permit") == 1
    denied(lab, "in_progress", token, idempotency_key="a")
