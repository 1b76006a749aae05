"""An approval in a token: of one exact act, for a minute, and used up by one decision."""

import json
from dataclasses import replace

import pytest

from tests.approving import ARGUMENTS, approved, approver, named, refunds, requested, runs, state, waiting
from tests.deciding import denied, permitted
from tests.lab import CRM, TICKETS, Lab, claims, resources

TYPE = "mcp_tool_call"


@pytest.fixture
def given(lab: Lab) -> tuple[dict[str, str], str]:
    """Alice's tokens, and the id of an approval that was given for one of her calls."""
    lab.put_client(replace(lab.client("desk-app"), authorization_details_types=(TYPE,)))
    tokens = lab.tokens(scope="refunds:write offline_access")
    approval = requested(lab, tokens["access_token"])
    approved(lab, approver(lab), approval)
    return tokens, approval


def detail(approval: str, tool: str = "refund", **more: object) -> str:
    said = {"type": TYPE, "locations": [TICKETS], "tools": [{"name": tool}], "approval": approval, **more}
    return json.dumps([said])


def test_a_refresh_after_the_approval_gives_a_token_for_that_act_alone(
    lab: Lab, given: tuple[dict[str, str], str]
) -> None:
    tokens, approval = given
    answer = lab.refresh(tokens["refresh_token"], authorization_details=detail(approval))
    assert answer.status_code == 200, answer.get_data(as_text=True)
    token = answer.json["access_token"]
    found = claims(token)
    (said,) = found["authorization_details"]
    digest = lab.last("approval.granted")["arguments_digest"]
    assert (said["approval"], said["digest"], said["tools"]) == (approval, digest, [{"name": "refund"}])
    assert answer.json["expires_in"] == found["exp"] - found["iat"] <= 60
    record = lab.last("token.issued")
    assert record["change"]["authorization_details"]["approval"] == approval
    other = denied(lab, "approval_required", token, "refund", {"amount": 6}, idempotency_key="k2")
    assert named(other["access_request"]) != approval
    denied(lab, "insufficient_scope", token, "search_tickets")
    permitted(lab, token, "refund", ARGUMENTS, idempotency_key="k1")
    assert state(lab, approval) == "spent"
    denied(lab, "approval_required", token, "refund", ARGUMENTS, idempotency_key="k3")
    lab.refused(
        lab.refresh(answer.json["refresh_token"], authorization_details=detail(approval)),
        400,
        "invalid_authorization_details",
        "approval_unknown",
    )


def test_what_a_token_carries_can_be_used_by_the_same_act_with_another_token_and_only_once(
    lab: Lab, given: tuple[dict[str, str], str]
) -> None:
    tokens, approval = given
    token = lab.refresh(tokens["refresh_token"], authorization_details=detail(approval)).json["access_token"]
    assert runs(lab, refunds(lab)) and state(lab, approval) == "spent"
    denied(lab, "approval_required", token, "refund", ARGUMENTS, idempotency_key="k9")


@pytest.mark.parametrize(
    "wrong",
    [
        {"approval": "apr_01mcc5rm00bada6geasn5apgwb"},
        {"tool": "close_ticket"},
        {"digest": "0" * 64},
    ],
    ids=["unknown", "another tool", "another act"],
)
def test_only_an_approval_of_this_tool_and_act_can_be_carried(
    lab: Lab, given: tuple[dict[str, str], str], wrong: dict[str, str]
) -> None:
    tokens, approval = given
    before = lab.state()
    asked = detail(**{"approval": approval, **wrong})
    refused = lab.refresh(tokens["refresh_token"], authorization_details=asked)
    assert refused.status_code == 400 and refused.json["error"] == "invalid_authorization_details"
    assert lab.last("token.refused")["outcome"] == "denied" and lab.state() == before
    assert lab.refresh(tokens["refresh_token"], authorization_details=detail(approval)).status_code == 200


def test_neither_another_user_nor_another_client_nor_who_waits_gets_such_a_token(
    lab: Lab, given: tuple[dict[str, str], str]
) -> None:
    _, approval = given
    for client, user in (("desk-app", "both"), ("two-uris", "alice")):
        lab.put_client(replace(lab.client(client), authorization_details_types=(TYPE,)))
        changes = {"redirect_uri": "https://client.example/cb"} if client == "two-uris" else {}
        found = lab.tokens(client, user, scope="refunds:write offline_access", **changes)
        lab.refused(
            lab.refresh(found["refresh_token"], client, authorization_details=detail(approval)),
            400,
            "invalid_authorization_details",
            "approval_unknown",
        )
    mine = lab.tokens(scope="refunds:write offline_access")
    offered = named(waiting(lab, mine["access_token"], {"amount": 9}, key="k9"))
    lab.refused(
        lab.refresh(mine["refresh_token"], authorization_details=detail(offered)),
        400,
        "invalid_authorization_details",
        "approval_unknown",
    )


def test_an_approval_that_ended_is_carried_no_more_and_none_is_consented_to(
    lab: Lab, given: tuple[dict[str, str], str]
) -> None:
    tokens, approval = given
    page = lab.browser().get(lab.authorize_url(scope="refunds:write", authorization_details=detail(approval)))
    assert page.status_code == 303 and "invalid_authorization_details" in page.headers["Location"]
    lab.clock.advance(901)
    lab.refused(
        lab.refresh(tokens["refresh_token"], authorization_details=detail(approval)),
        400,
        "invalid_authorization_details",
        "approval_unknown",
    )


def test_a_server_carries_the_approval_of_its_own_call_further_on(lab: Lab) -> None:
    by_id = {one.id: one for one in resources()}
    tool = next(tool for tool in by_id["tickets"].tools if tool.name == "refund")
    crm = replace(by_id["crm"], tools=(replace(tool, scopes=("crm:write",)),))
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, crm))
    lab.put_client(replace(lab.client("tickets-server"), authorization_details_types=(TYPE,)))
    subject = lab.tokens(scope="tickets:write")["access_token"]
    where = {"client_id": "crm-server", "uri": CRM}

    def exchanged(**more: str) -> dict[str, object]:
        answer = lab.exchange(subject, scope="crm:write", **more)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        found: dict[str, object] = answer.json
        return found

    offered = named(waiting(lab, str(exchanged()["access_token"]), **where))
    approved(lab, approver(lab), offered)
    said = [{"type": TYPE, "locations": [CRM], "tools": ["refund"], "approval": offered}]
    answer = exchanged(authorization_details=json.dumps(said))
    assert "refresh_token" not in answer and answer["expires_in"] <= 60
    permitted(lab, str(answer["access_token"]), "refund", ARGUMENTS, idempotency_key="k1", **where)
    assert state(lab, offered) == "spent"


@pytest.mark.requirement("ARAP-03")
def test_no_token_outlives_the_approval_that_it_carries(lab: Lab, given: tuple[dict[str, str], str]) -> None:
    tokens, approval = given
    lab.clock.advance(870)
    answer = lab.refresh(tokens["refresh_token"], authorization_details=detail(approval))
    assert answer.json["expires_in"] == 30
