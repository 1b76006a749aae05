"""AuthZEN 1.0 section 7: several questions at once, which advise, use nothing up and leave no record."""

import pytest

from broker.estate.model import Impact, Stage
from tests.deciding import ask, desk, post, problem, question, scoped, tool
from tests.lab import TICKETS, Lab

READ, LACKS, WRITE = "search_tickets", "read_customer", "close_ticket"


def several(
    lab: Lab, token: str, names: list[str], semantic: str | None = None, **more: object
) -> list[object]:
    """The decisions, each with its reason, of one request about these tools."""
    options = {} if semantic is None else {"options": {"evaluations_semantic": semantic}}
    shared = question(token)
    body = {
        "subject": shared["subject"],
        "action": shared["action"],
        "context": shared["context"],
        **options,
        "evaluations": [{"resource": {"type": "tool", "id": name}} for name in names],
        **more,
    }
    answer = post(lab, "evaluations", body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return [found["context"].get("reason", found["decision"]) for found in answer.json["evaluations"]]


@pytest.mark.requirement("AUTHZEN-11")
@pytest.mark.parametrize(
    ("semantic", "expected"),
    [
        (None, [True, "insufficient_scope", True]),
        ("execute_all", [True, "insufficient_scope", True]),
        ("deny_on_first_deny", [True, "insufficient_scope"]),
        ("permit_on_first_permit", [True]),
    ],
)
def test_a_semantic_says_which_are_looked_at(lab: Lab, semantic: str | None, expected: list[object]) -> None:
    assert several(lab, scoped(lab, "tickets:read"), [READ, LACKS, READ], semantic) == expected


def test_the_first_permit_may_come_late(lab: Lab) -> None:
    found = several(lab, scoped(lab, "tickets:read"), [LACKS, "no", READ, READ], "permit_on_first_permit")
    assert found == ["insufficient_scope", "unknown_tool", True]


def test_a_semantic_that_nobody_knows_is_refused(lab: Lab) -> None:
    body = {**question(scoped(lab, "tickets:read")), "options": {"evaluations_semantic": "any"}}
    problem(post(lab, "evaluations", {**body, "evaluations": [{}]}), 400, "invalid_request")


@pytest.mark.requirement("AUTHZEN-12")
def test_advice_uses_nothing_up_and_leaves_no_record(lab: Lab) -> None:
    token = scoped(lab, "tickets:write")
    asked = question(token, WRITE, {"id": 1}, idempotency_key="k")
    before, records = lab.state(), len(lab.facts())
    for _ in range(50):
        assert post(lab, "evaluations", asked).json["context"]["reason"] == "approval_required"
        assert several(lab, token, [READ] * 4) == [True] * 4
    assert lab.state() == before and len(lab.facts()) == records
    assert ask(lab, token)["decision"] is True, "the rate is untouched"


def test_without_evaluations_it_is_one_question(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    for body in (question(token), {**question(token), "evaluations": []}):
        answer = post(lab, "evaluations", body).json
        assert answer["decision"] is True and "decision_id" not in answer["context"]


@pytest.mark.requirement("AUTHZEN-10")
@pytest.mark.requirement("AUTHZEN-09")
@pytest.mark.requirement("AUTHZEN-13")
def test_each_may_be_about_another_subject_and_its_own_words_go_first(lab: Lab) -> None:
    alice, bob = scoped(lab, "tickets:read"), scoped(lab, "customers:read", "bob")
    body = {
        **question(alice, "no-such-tool"),
        "evaluations": [
            {"resource": question(alice)["resource"]},
            {"subject": question(bob)["subject"], "resource": {"type": "tool", "id": LACKS}},
            {},
        ],
    }
    found = post(lab, "evaluations", body).json["evaluations"]
    assert [one["decision"] for one in found] == [True, True, False]
    assert found[2]["context"]["reason"] == "unknown_tool"


def test_what_is_wrong_with_one_is_its_answer(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    other = {"type": "tool", "id": READ, "properties": {"resource": "https://mcp2.example/mcp"}}
    body = {**question(token), "evaluations": [5, {"action": {}}, {"resource": other}, {}]}
    found = post(lab, "evaluations", body).json["evaluations"]
    assert [one["context"].get("error", {}).get("status") for one in found] == [400, 400, 403, None]
    assert [one["decision"] for one in found] == [False, False, False, True]


def test_their_number_is_bounded(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    body = {**question(token), "evaluations": [{}] * 257}
    problem(post(lab, "evaluations", body), 400, "invalid_request")
    problem(post(lab, "evaluations", {**body, "evaluations": {}}), 400, "invalid_request")


def listed(lab: Lab, token: str, **more: str) -> list[str]:
    asked = question(token, TICKETS, method="tools/list", kind="mcp_server", uri=None)
    answer = post(lab, "evaluation", asked, **more).json
    assert answer["decision"] is True, answer
    return answer["context"]["tools"]


def test_the_list_of_tools_is_that_of_those_the_token_may_call(lab: Lab) -> None:
    token = scoped(lab, "tickets:write customers:read")
    assert listed(lab, token) == [READ, LACKS, WRITE]
    records = len(lab.facts())
    desk(lab, tool(LACKS, "customers:read", impact=Impact.SENSITIVE_READ, family="people"))
    lab.switch("tool", f"tickets/{READ}")
    lab.switch("family", "people")
    assert listed(lab, token) == [WRITE]
    lab.lift("tool", f"tickets/{READ}")
    desk(lab, stage=Stage.READ_ONLY)
    assert listed(lab, token) == [READ]
    desk(lab, stage=Stage.BASELINE)
    assert listed(lab, token) == [READ, WRITE], "so that what is missing can be measured"
    assert len(lab.facts("decision.made")) == 0 and len(lab.facts()) == records + 3


@pytest.mark.requirement("COAZ-03")
@pytest.mark.parametrize(
    "method", ["ping", "initialize", "notifications/cancelled", "prompts/list", "resources/list"]
)
def test_what_is_around_calls_is_permitted_with_a_live_token(lab: Lab, method: str) -> None:
    token = scoped(lab, "tickets:read")
    assert ask(lab, token, TICKETS, method=method, kind="mcp_server") == {"decision": True}
    lab.switch("user", "alice")
    answer = ask(lab, token, TICKETS, method=method, kind="mcp_server")
    assert answer["context"]["reason"] == "switched_off"


def test_the_list_of_another_server_is_not_the_callers_to_ask_for(lab: Lab) -> None:
    asked = question(
        scoped(lab, "tickets:read"), "https://mcp2.example/mcp", method="tools/list", kind="mcp_server"
    )
    asked["resource"].pop("properties")
    problem(post(lab, "evaluation", asked), 403, "access_denied")
