"""Policies of an estate at a decision: what they refuse and ask for, and what the record says of that."""

from collections.abc import Callable

import pytest

from broker.control.approvals.model import State
from broker.control.policy.model import PolicyText
from broker.estate.model import ApprovalRule, Impact, Stage
from tests.attacks.test_exch_foreign import spoken, trusting
from tests.deciding import ask, denied, desk, permitted, scoped, tool
from tests.lab import CRM, Lab
from tests.vouching import Vouchers

SCHEMA = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
LIMIT = """
@id("limit")
forbid (principal, action == Action::"tickets/search_tickets", resource)
when { context.arguments.amount > 100 };
"""


def bring(lab: Lab, text: str) -> None:
    indented = text.replace("\n", "\n    ")
    lab.apply(f"policies:\n  text: |\n    {indented}\n")


@pytest.mark.attack("RS-16")
def test_a_value_beyond_what_policy_allows_is_refused_and_recorded_with_the_policy(lab: Lab) -> None:
    desk(lab, tool("search_tickets", "tickets:read", schema=SCHEMA))
    token = scoped(lab, "tickets:read")
    permitted(lab, token, arguments={"amount": 101})
    bring(lab, LIMIT)
    for amount in (100, 1e2, -5):
        permitted(lab, token, arguments={"amount": amount})
    denied(lab, "policy_denied", token, arguments={"amount": 101})
    record = lab.last("decision.made")
    assert record["change"]["policies"] == ["limit"] and record["detail"] == "limit"
    denied(lab, "invalid_arguments", token, arguments={"amount": "100"})


def test_what_policy_cannot_judge_is_refused_and_the_record_says_why_without_the_value(lab: Lab) -> None:
    desk(lab, tool("search_tickets", "tickets:read", schema=SCHEMA))
    token = scoped(lab, "tickets:read")
    bring(lab, LIMIT.replace("> 100", "* 9223372036854775807 > 100"))
    context = denied(lab, "policy_denied", token, arguments={"amount": 77})
    record = lab.last("decision.made")
    assert record["detail"] == "failed: limit" and "77" not in str(record["detail"])
    assert "limit" not in str(context), "who asks is not told of policies"


def test_who_reads_sensitive_data_has_a_role_in_the_tenant(lab: Lab) -> None:
    desk(lab, tool("read_customer", "customers:read", impact=Impact.SENSITIVE_READ))
    token = scoped(lab, "customers:read")
    permitted(lab, token, "read_customer", {})
    lab.apply("users: [{id: alice, name: Alice, email: alice@example.com, tenants: [{id: acme}]}]")
    denied(lab, "policy_denied", token, "read_customer", {})


def test_an_estate_may_ask_for_an_approval_and_the_record_names_the_policy(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    permitted(lab, token)
    bring(
        lab,
        """
        @id("careful") @asks("approval")
        forbid (principal, action in Action::"call", resource) unless { context.approved };
        """,
    )
    answer = ask(lab, token)
    assert answer["decision"] is False and answer["context"]["reason"] == "approval_required"
    assert lab.last("decision.made")["change"]["policies"] == ["mcp.read", "careful"]


@pytest.mark.parametrize(("method", "kind"), [("resources/read", "resource"), ("prompts/get", "prompt")])
def test_policies_see_what_is_read_beside_tools(lab: Lab, method: str, kind: str) -> None:
    token = scoped(lab, "tickets:read")
    permitted(lab, token, "file:///secret", method=method, kind=kind)
    bring(
        lab,
        """
        @id("secret")
        forbid (principal, action in [Action::"read", Action::"get"], resource == Resource::"tickets")
        when { context.name like "*secret*" };
        """,
    )
    denied(lab, "policy_denied", token, "file:///secret", method=method, kind=kind)
    permitted(lab, token, "file:///open", method=method, kind=kind)


def test_who_has_no_account_here_is_not_asked_to_allow_what_is_done_for_them(lab: Lab) -> None:
    idp = Vouchers(lab)
    trusting(lab, (idp, {}))
    desk(lab, tool("close", "crm:read", impact=Impact.REVERSIBLE_WRITE), resource="crm")
    foreign = lab.exchange(spoken(idp)).json["access_token"]
    ours = lab.exchange(scoped(lab, "tickets:read")).json["access_token"]
    asking, asked = lab.broker.approvals.asking, []
    for token in (foreign, ours):
        how = {"uri": CRM, "client_id": "crm-server", "idempotency_key": "k"}
        denied(lab, "approval_required", token, "close", {}, **how)
        offered = lab.last("decision.made")["approval"]
        assert lab.last("decision.made") in lab.trace(str(offered))
        found = lab.broker.world.database.read(lambda tx, offered=offered: asking.one(tx, str(offered)))
        assert found is not None and found.user
        asked.append((found.rule.by, found.state))
    assert asked == [(("approver",), State.REQUESTED), (("self",), State.OFFERED)], (
        "who cannot sign in never could"
    )


METHODS = [("resources/read", "resource"), ("resources/subscribe", "resource"), ("prompts/get", "prompt")]


@pytest.mark.parametrize(("method", "kind"), METHODS)
def test_a_method_with_an_entry_in_the_catalogue_is_held_to_its_class(
    lab: Lab, method: str, kind: str
) -> None:
    token = scoped(lab, "tickets:read")
    how = {"method": method, "kind": kind, "idempotency_key": "k"}
    for impact in (Impact.EXTERNAL_WRITE, Impact.REVERSIBLE_WRITE):
        desk(lab, tool(method, "tickets:read", impact=impact))
        assert "access_request" in denied(lab, "approval_required", token, "file:///a", **how)
        said = lab.last("decision.made")["change"]["policies"]
        assert said == [f"mcp.{impact}", "mcp.documents", f"mcp.{impact}.approval"]
    desk(lab, tool(method, "tickets:read", approval=ApprovalRule(("approver",))))
    denied(lab, "approval_required", token, "file:///a", **how)
    desk(lab, tool(method, "tickets:read", impact=Impact.SENSITIVE_READ))
    permitted(lab, token, "file:///a", **how)
    demote(lab)
    denied(lab, "policy_denied", token, "file:///a", **{**how, "idempotency_key": "l"})
    desk(lab, tool(method, "tickets:read"))
    permitted(lab, token, "file:///a", **{**how, "idempotency_key": "l"})


@pytest.mark.parametrize("action", ["read", "call"])
def test_what_forbids_the_method_or_the_call_forbids_both(lab: Lab, action: str) -> None:
    desk(lab, tool("resources/read", "tickets:read"))
    token, how = scoped(lab, "tickets:read"), {"method": "resources/read", "kind": "resource"}
    permitted(lab, token, "file:///a", **how)
    bring(lab, f'@id("no") forbid (principal, action in Action::"{action}", resource);')
    denied(lab, "policy_denied", token, "file:///a", **how)
    assert lab.last("decision.made")["detail"] == "no"


URIS = [
    ("file:///a/../secret", "file:///secret"),
    ("file:///./a", "file:///a"),
    ("file:///a/%2e%2E/b", "file:///a%2Fb"),
    ("file:///%73ecret", "file:///secret"),
    ("FILE:///a", "file:///a"),
    ("https://CRM.example/a", "https://crm.example/A"),
    ("https://crm.example:443/a", "https://crm.example:444/a"),
    ("https://crm.example:/a", "https://crm.example/a:"),
    ("https://\uff43rm.example/a", "https://crm.example/\uff43"),
    ("file:///a\\..\\b", "file:///a/b"),
    ("file:///se\tcret", "file:///se%09cret"),
    (" file:///a", "file:///a b"),
    ("note:..", "note:a..b"),
    ("https://crm.example/..", "https://crm.example/...?x=/../"),
]


@pytest.mark.parametrize("method", ["resources/read", "resources/subscribe"])
@pytest.mark.parametrize(("other", "plain"), URIS)
def test_a_resource_is_named_in_one_way(lab: Lab, method: str, other: str, plain: str) -> None:
    token, how = scoped(lab, "tickets:read"), {"method": method, "kind": "resource"}
    permitted(lab, token, plain, **how)
    context = denied(lab, "invalid_arguments", token, other, **how)
    assert context["errors"] == [{"pointer": "/arguments/uri", "keyword": "format"}]


def demote(lab: Lab) -> None:
    lab.apply("users: [{id: alice, name: Alice, email: alice@example.com, tenants: [{id: acme}]}]")


def forbid(lab: Lab) -> None:
    text = '@id("no") forbid (principal, action in Action::"call", resource);'
    lab.change(lambda tx: lab.broker.policies.put(tx, PolicyText("acme", text)))


def ask_somebody(lab: Lab) -> None:
    text = """@id("ask") @asks("approval")
        forbid (principal, action in Action::"call", resource) unless { context.approved };"""
    lab.change(lambda tx: lab.broker.policies.put(tx, PolicyText("acme", text)))


def lower(lab: Lab) -> None:
    desk(lab, stage=Stage.BASELINE)


def demand(lab: Lab) -> None:
    desk(lab, tool("read_customer", "tickets:write", impact=Impact.SENSITIVE_READ))


def leave(lab: Lab) -> None:
    desk(lab, tenants=("globex",))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (demote, "policy_denied"),
        (forbid, "policy_denied"),
        (ask_somebody, "approval_required"),
        (lower, "stage"),
        (demand, "insufficient_scope"),
        (leave, "token_invalid"),
        (lambda lab: desk(lab, name="Desk"), None),
    ],
)
def test_what_is_permitted_is_what_holds_at_the_end(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, change: Callable[[Lab], None], reason: str | None
) -> None:
    """Something changes between the judgement and the transaction that uses it up."""
    desk(lab, tool("read_customer", "customers:read", impact=Impact.SENSITIVE_READ))
    token = scoped(lab, "customers:read")
    budgets = lab.broker.budgets.budgets
    enter = budgets.enter
    changed: list[object] = []

    def meanwhile(*given: object) -> object:
        if not changed:
            changed.append(change(lab))
            lab.broker.world.snapshots.refresh()
        return enter(*given)

    monkeypatch.setattr(budgets, "enter", meanwhile)
    if reason is None:
        permitted(lab, token, "read_customer", {})
    else:
        denied(lab, reason, token, "read_customer", {})
        assert lab.rows("permit") == 0
    assert changed
