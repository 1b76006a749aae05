"""Reads that a guard decided from the catalogue, told afterwards: who they were for is said by the token's making."""

import pytest

from broker.control.policy.model import PolicyText
from broker.denials.model import Kind, Target
from broker.estate.model import ApprovalRule, Recording
from broker.protocol.origin import Origin
from tests.deciding import desk, post, problem, scoped, tool
from tests.lab import FILES, ISSUER, Lab, claims

ORIGIN = Origin("req_test", "cli", ISSUER)


def call(token: str, tool: str = "search_tickets", **members: object) -> dict[str, object]:
    return {"jti": claims(token)["jti"], "tool": tool, "status": "ok", **members}


def told(lab: Lab, *calls: dict[str, object], client_id: str = "tickets-server", door: str = "") -> list[int]:
    """The places of those that were not taken."""
    answer = post(lab, "outcomes", {"calls": list(calls)}, client_id, door)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.json["unknown"]


@pytest.fixture
def after(lab: Lab) -> Lab:
    desk(lab, record=Recording.AFTER)
    return lab


def test_a_read_is_recorded_as_its_tokens(after: Lab) -> None:
    lab, token = after, scoped(after, "tickets:read")
    said = {
        "id": "c1",
        "at": lab.clock.now() - 1,
        "request_id": "rpc-1",
        "arguments_digest": "cd" * 32,
        "downstream_request_id": "d-1",
        "intent": "look",
        "result_digest": "ab" * 32,
        "result_size": 5,
    }
    assert told(lab, call(token, **said)) == []
    record, about = lab.last("call.reported"), claims(token)
    assert {
        "outcome": "allowed",
        "subject": "alice",
        "client": "desk-app",
        "tenant": "acme",
        "resource": "tickets",
        "tool": "search_tickets",
        "txn": about["txn"],
        "grant_id": about["grant_id"],
        "arguments_digest": "cd" * 32,
        "downstream_request_id": "d-1",
        "result_size": 5,
        "intent": "look",
    }.items() <= record.items()
    assert record["change"] == {"status": "ok", "at": "2027-01-15T07:59:59.000Z", "request": "rpc-1"}
    assert record in lab.trace(str(about["txn"]))
    assert lab.rows("permit") == 0


def test_a_call_that_was_told_of_before_is_not_recorded_again(after: Lab) -> None:
    token = scoped(after, "tickets:read")
    first, second = call(token, id="a"), call(token, id="b")
    assert told(after, first) == [] and told(after, first, second) == [] and told(after, second) == []
    assert len(after.facts("call.reported")) == 2
    told(after, call(token), call(token))
    assert len(after.facts("call.reported")) == 4, "without an id nobody can tell"


def test_a_token_that_is_none_of_the_resources_is_not_taken(after: Lab) -> None:
    lab, token = after, scoped(after, "tickets:read")
    notes = lab.tokens(scope="notes:read", resource="https://mcp2.example/mcp")["access_token"]
    calls = [call(token), {**call(token), "jti": "nobody"}, call(notes)]
    assert told(lab, *calls) == [1, 2]
    assert len(lab.facts("call.reported")) == 1
    assert told(lab, call(token), client_id="notes-server") == [0]
    assert told(lab, call(token), door="/t/acme") == []


def test_a_door_takes_calls_of_its_own_tenants_tokens(lab: Lab) -> None:
    token = lab.tokens(resource=FILES, scope="files:read", user="vera")["access_token"]
    assert told(lab, call(token), client_id="files-server", door="/t/acme") == [0]
    assert told(lab, call(token), client_id="files-server", door="/t/globex") == []
    assert told(lab, call(token), client_id="files-server") == []


def test_a_call_that_had_to_be_asked_for_is_recorded_as_that(after: Lab) -> None:
    lab, token = after, scoped(after, "tickets:read")
    for name in ("refund", "read_customer", "nothing"):
        assert told(lab, call(token, name)) == []
        record = lab.last("call.reported")
        assert (record["outcome"], record["reason"]) == ("denied", "not_asked")
    desk(lab, record=Recording.EACH)
    told(lab, call(token))
    assert lab.last("call.reported")["outcome"] == "denied"


def test_a_call_that_policy_is_about_or_that_takes_an_approval_had_to_be_asked_for(after: Lab) -> None:
    lab, token = after, scoped(after, "tickets:read")

    def recorded() -> tuple[object, object]:
        told(lab, call(token))
        record = lab.last("call.reported")
        return record["outcome"], record.get("reason")

    assert recorded() == ("allowed", None)
    text = '@id("x") forbid (principal, action, resource) when { principal == Client::"lost" };'
    lab.change(lambda tx: lab.broker.policies.put(tx, PolicyText("acme", text)))
    assert recorded() == ("denied", "not_asked")
    lab.change(lambda tx: lab.broker.policies.remove(tx, "acme"))
    assert recorded() == ("allowed", None)
    desk(lab, tool("search_tickets", "tickets:read", approval=ApprovalRule(("approver",))))
    assert recorded() == ("denied", "not_asked")


@pytest.mark.parametrize(
    "target",
    [
        Target(Kind.TOOL, "tickets/search_tickets"),
        Target(Kind.FAMILY, "lists"),
        Target(Kind.RESOURCE, "tickets"),
        Target(Kind.EVERYTHING, "*"),
    ],
)
def test_a_call_of_what_is_switched_off_is_recorded_as_that(after: Lab, target: Target) -> None:
    lab, token = after, scoped(after, "tickets:read")
    desk(lab, tool("search_tickets", "tickets:read", family="lists"), tool("tags", "tickets:read"))
    lab.broker.switches.throw(target, "stolen", ORIGIN)
    told(lab, call(token))
    record = lab.last("call.reported")
    assert (record["outcome"], record["reason"]) == ("denied", "switched_off")
    told(lab, call(token, "tags"))
    only = target.kind in (Kind.TOOL, Kind.FAMILY)
    assert lab.last("call.reported")["outcome"] == ("allowed" if only else "denied")
    lab.broker.switches.lift(target, "found", ORIGIN)
    told(lab, call(token))
    assert lab.last("call.reported")["outcome"] == "allowed"


def test_an_exchanged_tokens_call_names_the_whole_chain(lab: Lab) -> None:
    token = lab.exchange(scoped(lab, "tickets:read")).json["access_token"]
    assert told(lab, call(token), client_id="crm-server") == []
    record = lab.last("call.reported")
    assert record["actors"] and record["subject"] == "alice" and record["client"] == "tickets-server"


def test_a_thousand_calls_are_one_batch(after: Lab) -> None:
    token = scoped(after, "tickets:read")
    calls = [call(token, id=f"c{number}") for number in range(1000)]
    assert told(after, *calls) == []
    assert len(after.facts("call.reported")) == 1000
    problem(post(after, "outcomes", {"calls": [*calls, calls[0]]}), 400, "invalid_request")


@pytest.mark.parametrize(
    ("member", "value"),
    [("jti", None), ("tool", 5), ("status", "x"), ("at", "now"), ("at", -1), ("id", ""), ("intent", {})],
)
def test_what_is_no_call_is_refused_with_the_whole_batch(after: Lab, member: str, value: object) -> None:
    token = scoped(after, "tickets:read")
    body = {"calls": [call(token), call(token, **{member: value})]}
    detail = problem(post(after, "outcomes", body), 400, "invalid_request")["detail"]
    assert f"calls[1].{member}" in str(detail)
    assert after.facts("call.reported") == []
    for none in ([], {}, [5], "x"):
        problem(post(after, "outcomes", {"calls": none}), 400, "invalid_request")


def test_a_far_time_is_left_out(after: Lab) -> None:
    told(after, call(scoped(after, "tickets:read"), at=9e15))
    assert "at" not in after.last("call.reported")["change"]
