"""Each control that a class of tools has by default: it holds, and with it taken out the same call passes."""

import json
from dataclasses import replace

import pytest

from broker.audit.record import Recorder
from broker.control.approvals import rules as approval_rules
from broker.control.classes import APPROVER, DEFAULTS, SELF
from broker.control.policy import reading
from broker.control.policy.model import SERVER, PolicyText
from broker.estate.model import ApprovalRule, Impact
from broker.tokens import carried
from tests.approving import answer, approved, approver, named, page, requested, roles, state, waiting
from tests.deciding import ask, denied, desk, permitted, scoped, tool
from tests.lab import TICKETS, Lab

CALLS = {
    Impact.READ: ("search_tickets", "tickets:read"),
    Impact.SENSITIVE_READ: ("read_customer", "customers:read"),
    Impact.REVERSIBLE_WRITE: ("close_ticket", "tickets:write"),
    Impact.EXTERNAL_WRITE: ("refund", "refunds:write"),
}
ASKED = [impact for impact, defaults in DEFAULTS.items() if defaults.approval]
every_class = pytest.mark.parametrize("impact", DEFAULTS)
asked_about = pytest.mark.parametrize("impact", ASKED)


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> object:
    """Other defaults for a class."""

    def changed(impact: Impact, **members: object) -> None:
        monkeypatch.setitem(DEFAULTS, impact, replace(DEFAULTS[impact], **members))

    return changed


@pytest.fixture
def without_policy(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> object:
    """Take built-in policies out, in every process from now on."""
    whole = reading.built_in()

    def taken(*names: str) -> None:
        left = tuple(policy for policy in whole if policy.id not in names)
        monkeypatch.setattr(reading, "built_in", lambda: left)
        lab.change(lambda tx: lab.broker.policies.remove(tx, SERVER))

    return taken


@pytest.fixture
def unasked(without_policy: object) -> None:
    """No class asks for an approval: what is left are its other controls."""
    without_policy(*(f"mcp.{impact}.approval" for impact in ASKED))


def held(lab: Lab, impact: Impact, user: str = "alice", **more: str | None) -> str:
    return scoped(lab, CALLS[impact][1], user, **more)


def allowed(lab: Lab, token: str, impact: Impact, number: int) -> str:
    return permitted(lab, token, CALLS[impact][0], {"n": number}, idempotency_key=f"k{number}")


@every_class
@pytest.mark.usefixtures("unasked")
def test_its_calls_of_a_user_in_a_minute_are_bounded(lab: Lab, impact: Impact, change: object) -> None:
    token, most, name = held(lab, impact), DEFAULTS[impact].per_minute, CALLS[impact][0]
    for number in range(most):
        asked = ask(lab, token, name, {"n": number}, idempotency_key=f"k{number}")
        assert asked["decision"], (number, asked)
    context = denied(lab, "rate_limited", token, name, {"n": most}, idempotency_key=f"k{most}")
    assert context["limit"] == "rate-class"
    change(impact, per_minute=None)
    allowed(lab, token, impact, most)


@pytest.mark.parametrize("impact", [impact for impact in DEFAULTS if DEFAULTS[impact].per_day])
@pytest.mark.usefixtures("unasked")
def test_its_calls_of_a_user_in_a_day_are_bounded(lab: Lab, impact: Impact, change: object) -> None:
    change(impact, per_minute=1000)
    token, most, name = held(lab, impact), DEFAULTS[impact].per_day, CALLS[impact][0]
    assert most is not None
    for number in range(most):
        asked = ask(lab, token, name, {"n": number}, idempotency_key=f"k{number}")
        assert asked["decision"], (number, asked)
    context = denied(lab, "budget_exhausted", token, name, {"n": most}, idempotency_key=f"k{most}")
    assert context["limit"] == "class"
    change(impact, per_day=None)
    allowed(lab, token, impact, most)


@every_class
@pytest.mark.usefixtures("unasked")
def test_a_call_needs_an_idempotency_key_where_it_writes(lab: Lab, impact: Impact, change: object) -> None:
    token, name, keyed = held(lab, impact), CALLS[impact][0], DEFAULTS[impact].keyed
    assert keyed == impact.value.endswith("write")
    for needed in (keyed, not keyed):
        change(impact, keyed=needed)
        if needed:
            context = denied(lab, "invalid_arguments", token, name, {})
            assert context["errors"] == [{"pointer": "/idempotency_key", "keyword": "required"}]
        else:
            permitted(lab, token, name, {})


@every_class
@pytest.mark.usefixtures("unasked")
def test_its_arguments_stand_in_the_record(lab: Lab, impact: Impact, change: object) -> None:
    token, kept = held(lab, impact), DEFAULTS[impact].arguments
    assert kept == (impact is not Impact.READ)
    for number, expected in enumerate((kept, not kept)):
        change(impact, arguments=expected)
        allowed(lab, token, impact, number)
        record = lab.last("decision.made")
        assert record.get("arguments") == ({"n": number} if expected else None)
        assert len(record["arguments_digest"]) == 64


@every_class
@pytest.mark.usefixtures("unasked")
def test_its_output_is_bounded(lab: Lab, impact: Impact, change: object) -> None:
    token, most = held(lab, impact), DEFAULTS[impact].max_output
    assert most == (256 if impact is Impact.READ else 64) * 1024
    for number, size in enumerate((most, 10**9)):
        change(impact, max_output=size)
        asked = ask(lab, token, CALLS[impact][0], {"n": number}, idempotency_key=f"k{number}")
        obliged = {found["type"]: found["properties"] for found in asked["context"]["obligations"]}
        assert obliged["max_output"] == {"bytes": size}


@every_class
@pytest.mark.usefixtures("unasked")
def test_it_takes_its_scope(lab: Lab, impact: Impact) -> None:
    other = Impact.SENSITIVE_READ if impact is Impact.READ else Impact.READ
    token, name = held(lab, other), CALLS[impact][0]
    context = denied(lab, "insufficient_scope", token, name, {}, idempotency_key="k1")
    assert context["scope"] == CALLS[impact][1]
    desk(lab, tool(name, impact=impact))
    permitted(lab, token, name, {}, idempotency_key="k2")


@every_class
def test_each_of_its_calls_is_recorded(lab: Lab, impact: Impact, monkeypatch: pytest.MonkeyPatch) -> None:
    token = held(lab, impact)

    def call(number: int) -> list[dict[str, object]]:
        said = ask(lab, token, CALLS[impact][0], {"n": number}, idempotency_key=f"k{number}")
        decision = said["context"]["decision_id"]
        return [record for record in lab.facts("decision.made") if record["decision"] == decision]

    (record,) = call(1)
    assert (record["fact"], record["tool"]) == ("decision.made", CALLS[impact][0])
    assert record["change"]["impact"] == impact.value
    monkeypatch.setattr(Recorder, "record", lambda *_: None)
    assert call(2) == []


@every_class
@pytest.mark.usefixtures("unasked")
def test_without_a_policy_that_permits_it_it_is_refused(
    lab: Lab, impact: Impact, without_policy: object
) -> None:
    token = held(lab, impact)
    allowed(lab, token, impact, 1)
    without_policy(f"mcp.{impact}", f"mcp.{impact}.approval")
    denied(lab, "policy_denied", token, CALLS[impact][0], {"n": 2}, idempotency_key="k2")


def test_a_sensitive_read_is_for_members_with_a_role(lab: Lab) -> None:
    token, name = held(lab, Impact.SENSITIVE_READ), CALLS[Impact.SENSITIVE_READ][0]
    permitted(lab, token, name, {})
    roles(lab, "alice")
    denied(lab, "policy_denied", token, name, {})
    permitted(lab, held(lab, Impact.READ), CALLS[Impact.READ][0], {})
    text = '@id("all") permit (principal, action in Action::"call", resource);'
    lab.change(lambda tx: lab.broker.policies.put(tx, PolicyText(SERVER, text)))
    permitted(lab, token, name, {})


@asked_about
def test_somebody_allows_each_call(lab: Lab, impact: Impact, without_policy: object) -> None:
    token, name = held(lab, impact), CALLS[impact][0]
    waiting(lab, token, {"n": 1}, name)
    without_policy(f"mcp.{impact}.approval")
    allowed(lab, token, impact, 1)


@pytest.mark.parametrize("impact", [impact for impact in DEFAULTS if impact not in ASKED])
def test_reads_wait_for_nobody(lab: Lab, impact: Impact) -> None:
    allowed(lab, held(lab, impact), impact, 1)


@asked_about
def test_its_user_or_another_human_allows_it(lab: Lab, impact: Impact, change: object) -> None:
    """What a rule for another takes out is the user's own yes, and the other way round."""
    token, browser, rule = held(lab, impact), approver(lab, "alice"), DEFAULTS[impact].approval
    mine = (SELF,) if impact is Impact.REVERSIBLE_WRITE else (APPROVER,)
    assert rule == ApprovalRule(mine)
    for number, by in enumerate((mine, (APPROVER,) if mine == (SELF,) else (SELF,))):
        change(impact, approval=ApprovalRule(by))
        approval = requested(lab, token, {"n": number}, CALLS[impact][0], key=f"k{number}")
        if by == (SELF,):
            approved(lab, browser, approval)
            allowed(lab, token, impact, number)
        else:
            assert answer(browser, approval).status_code == 403 and state(lab, approval) == "requested"
            assert lab.last("approval.refused")["reason"] == "approver_not_allowed"


@asked_about
def test_a_clients_own_work_is_allowed_by_an_approver(lab: Lab, impact: Impact, change: object) -> None:
    name, scope = CALLS[impact]
    lab.put_client(replace(lab.client("nightly"), scopes=(scope,)))
    token, browser = lab.client_credentials(scope=scope).json["access_token"], approver(lab)
    assert DEFAULTS[impact].unattended == ApprovalRule((APPROVER,))
    approved(lab, browser, named(waiting(lab, token, {"n": 1}, name)))
    allowed(lab, token, impact, 1)
    change(impact, unattended=ApprovalRule(("operator",)))
    other = named(waiting(lab, token, {"n": 2}, name, key="k2"))
    assert page(browser, other).status_code == 404
    roles(lab, "bob", "operator")
    approved(lab, browser, other)


@asked_about
def test_who_allows_what_acts_on_the_outside_signed_in_freshly(
    lab: Lab, impact: Impact, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, scope = CALLS[impact]
    browser = approver(lab)
    lab.clock.advance(approval_rules.FRESH + 1)
    lab.put_client(replace(lab.client("nightly"), scopes=(scope,)))
    approval = requested(lab, lab.client_credentials(scope=scope).json["access_token"], {"n": 1}, name)
    if impact is Impact.EXTERNAL_WRITE:
        asked = answer(browser, approval)
        assert b'name="password"' in asked.data and state(lab, approval) == "requested"
        assert lab.last("approval.refused")["reason"] == "approver_not_verified"
        monkeypatch.setattr(approval_rules, "FRESH", 86400.0)
    approved(lab, browser, approval)


@asked_about
def test_a_token_that_carries_an_approval_lives_a_minute(
    lab: Lab, impact: Impact, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.put_client(replace(lab.client("desk-app"), authorization_details_types=("mcp_tool_call",)))
    name, scope = CALLS[impact]
    tokens = lab.tokens(scope=f"{scope} offline_access")
    approval = requested(lab, tokens["access_token"], {"n": 1}, name)
    approved(lab, approver(lab, "alice" if impact is Impact.REVERSIBLE_WRITE else "bob"), approval)
    detail = {"type": "mcp_tool_call", "locations": [TICKETS], "tools": [{"name": name}]}
    wish = json.dumps([{**detail, "approval": approval}])

    def carrying(refresh: str) -> dict[str, str]:
        made = lab.refresh(refresh, authorization_details=wish)
        assert made.status_code == 200, made.get_data(as_text=True)
        return made.json

    first = carrying(tokens["refresh_token"])
    assert first["expires_in"] == carried.LIFETIME == 60
    lab.clock.advance(61)
    denied(lab, "token_invalid", first["access_token"], name, {"n": 1}, idempotency_key="k1")
    monkeypatch.setattr(carried, "LIFETIME", 300.0)
    second = carrying(first["refresh_token"])
    lab.clock.advance(61)
    permitted(lab, second["access_token"], name, {"n": 1}, idempotency_key="k1")
    assert state(lab, approval) == "spent"
