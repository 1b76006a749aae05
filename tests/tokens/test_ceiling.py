"""What policy leaves of a token, at every way in: it lowers, never raises, and costs nothing where it is not asked."""

import pytest

from broker.control.policy.policies import Policies
from broker.control.policy.rules import Rules
from tests.lab import Lab, claims

BOTH = "tickets:read customers:read"


def bring(lab: Lab, *policies: str, tenant: str = "") -> None:
    text = "\n".join(f'@id("p{i}") {policy};' for i, policy in enumerate(policies))
    of = f"tenant: {tenant}, " if tenant else ""
    lab.apply(f"policies: [{{{of}text: '{text}'}}]")


def scopes(lab: Lab, **changes: str) -> str:
    return lab.tokens(scope=BOTH, **changes)["scope"]


def test_a_policy_takes_a_scope_from_a_token_and_nothing_else(lab: Lab) -> None:
    assert scopes(lab) == BOTH
    bring(lab, 'forbid (principal == User::"alice", action, resource == Scope::"tickets/customers:read")')
    assert scopes(lab) == "tickets:read"
    assert scopes(lab, user="bob") == BOTH


def test_where_nothing_is_left_there_is_no_token_and_the_record_says_why(lab: Lab) -> None:
    code = lab.code(scope="tickets:read")
    bring(lab, 'forbid (principal, action == Action::"obtain", resource in Resource::"tickets")')
    record = lab.refused(lab.redeem(code), 400, "invalid_target", "policy_denied")
    assert (record["subject"], record["tenant"], record["detail"]) == ("alice", "acme", "for tickets:read")


def test_a_scope_is_not_got_by_another_that_implies_it(lab: Lab) -> None:
    bring(lab, 'forbid (principal, action, resource == Scope::"tickets/tickets:read")')
    record = lab.refused(lab.redeem(lab.code(scope="tickets:write")), 400, "invalid_target", "policy_denied")
    assert record["detail"] == "for tickets:write"
    bring(lab, 'forbid (principal, action, resource == Scope::"tickets/tickets:write")')
    assert lab.tokens(scope="tickets:write")["scope"] == "tickets:read"


def test_every_way_in_asks(lab: Lab) -> None:
    given, code = lab.tokens(), lab.code(user="alice", prompt="consent")
    ways = {
        "redeem": lambda: lab.redeem(code),
        "refresh": lambda: lab.refresh(given["refresh_token"]),
        "exchange": lambda: lab.exchange(given["access_token"]),
        "own work": lab.client_credentials,
    }
    bring(lab, 'forbid (principal, action == Action::"obtain", resource)')
    for way, ask in ways.items():
        if way != "redeem":
            lab.refused(ask(), 400, "invalid_target", "policy_denied")
    lab.refused(ways["redeem"](), 400, "invalid_target", "policy_denied")
    lab.apply("policies: {text: ''}")
    for way in ("refresh", "exchange", "own work"):
        assert ways[way]().status_code == 200, way


LOOKS = {
    "current actor": 'context has actor && context.actor.client_id == "tickets-server"',
    "client": 'context.client == Client::"tickets-server"',
    "role": 'principal is User && principal.roles.contains("member")',
    "server": 'resource in Resource::"crm"',
    "name": 'resource.name == "crm:read"',
    "sign-in": "context has auth_age && context.auth_age >= 100",
}


@pytest.mark.parametrize("looks", LOOKS)
def test_at_an_exchange_a_policy_sees(lab: Lab, looks: str) -> None:
    token = lab.tokens()["access_token"]
    bring(lab, f'forbid (principal, action == Action::"obtain", resource) when {{ !({LOOKS[looks]}) }}')
    lab.clock.advance(101)
    found = lab.exchange(token)
    assert found.status_code == 200, found.json
    bring(lab, f'forbid (principal, action == Action::"obtain", resource) when {{ {LOOKS[looks]} }}')
    lab.refused(lab.exchange(token), 400, "invalid_target", "policy_denied")


def test_a_job_is_a_client_and_no_user(lab: Lab) -> None:
    bring(lab, "forbid (principal is User, action, resource)")
    assert lab.client_credentials().status_code == 200
    bring(lab, 'forbid (principal == Client::"nightly", action, resource)')
    lab.refused(lab.client_credentials(), 400, "invalid_target", "policy_denied")


def test_the_policies_of_a_tenant_touch_no_other(lab: Lab) -> None:
    forbid = 'forbid (principal, action == Action::"obtain", resource)'
    bring(lab, forbid, tenant="globex")
    assert scopes(lab) == BOTH
    bring(lab, forbid, tenant="acme")
    lab.refused(lab.client_credentials(), 400, "invalid_target", "policy_denied")


def test_a_permit_gives_no_scope_that_was_not_asked_for(lab: Lab) -> None:
    bring(lab, "permit (principal, action, resource)")
    assert claims(lab.tokens(scope="tickets:read")["access_token"])["scope"] == "tickets:read"


def test_nobody_is_asked_where_no_policy_is_about_mints(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(lab, 'forbid (principal, action in Action::"call", resource) when { context has acr }')
    monkeypatch.delattr(Rules, "weigh")
    monkeypatch.delattr(Policies, "ceiling")
    assert scopes(lab) == BOTH


def test_every_process_sees_a_change_of_policies(lab: Lab) -> None:
    replica = lab.replica()
    bring(lab, 'forbid (principal, action == Action::"obtain", resource)')
    replica.clock.advance(0.3)
    replica.refused(replica.client_credentials(), 400, "invalid_target", "policy_denied")
    restarted = lab.restarted()
    restarted.refused(restarted.client_credentials(), 400, "invalid_target", "policy_denied")
    for one in (replica, restarted):
        one.broker.close()


def test_policies_that_cannot_be_read_any_more_give_nothing(lab: Lab) -> None:
    bring(lab, 'forbid (principal, action in Action::"call", resource) when { context has acr }')
    lab.sql("UPDATE policy_text SET text = 'nonsense'")
    lab.sql("UPDATE version_stamp SET number = number + 1 WHERE name = 'policies'")
    lab.clock.advance(0.3)
    lab.refused(lab.client_credentials(), 400, "invalid_target", "policy_denied")
