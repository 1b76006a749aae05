"""Law 1: 64 decisions on one approval at once, in one process on SQLite and in two on PostgreSQL: one permit."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from broker.estate.model import ApprovalRule
from broker.identity.users.model import Membership
from tests import deciding
from tests.faults.crowd import MANY, Answer, Crowd
from tests.faults.test_races_many import FEW, counted, sound
from tests.faults.test_races_many import crowd as crowd
from tests.lab import Browser, Lab, Page, resources

pytestmark = pytest.mark.timeout(240)
EVALUATION, TOOL, ARGUMENTS = "/access/v1/evaluation", "search_tickets", {"text": "printer"}


def asking(lab: Lab) -> None:
    """A search, which rates let pass 64 times a minute, has to be allowed by somebody."""
    (desk,) = (one for one in resources() if one.id == "tickets")
    rule = ApprovalRule(("approver",))
    tools = tuple(replace(tool, approval=rule) if tool.name == TOOL else tool for tool in desk.tools)
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, replace(desk, tools=tools)))
    lab.change(lambda tx: lab.broker.people.place(tx, "bob", Membership("acme", ("approver",))))


def decisions(many: Crowd, token: str) -> Counter[str]:
    """64 at once, each under a key of its own: the reasons, and `permit`."""
    calls = [
        (
            "send",
            (
                EVALUATION,
                deciding.question(token, TOOL, ARGUMENTS, idempotency_key=f"k{n}"),
                "tickets-server",
            ),
            {},
        )
        for n in range(MANY)
    ]
    answers = many.race(*calls)
    assert {answer.status for answer in answers} == {200}
    return Counter(said(answer) for answer in answers)


def said(answer: Answer) -> str:
    return "permit" if answer.body["decision"] else str(answer.body["context"]["reason"])


def approve(lab: Lab, browser: Browser) -> str:
    """By the approver, on the page of what waits; the id."""
    waits = lab.broker.world.database.read(
        lambda tx: lab.broker.approvals.asking.listed(tx, 9, only_open=True)
    )
    (one,) = waits
    page = Page.of(browser.get(f"/approvals/{one.id}"))
    assert browser.submit(page, decision="approve").status_code == 200
    return one.id


def test_of_64_decisions_on_one_approval_one_is_permitted(crowd: Callable[..., Crowd]) -> None:
    many = crowd(approval_factor=False, repeats_per_txn=1000)
    lab = many.lab()
    asking(lab)
    browser = lab.browser()
    browser.sign_in(browser.get("/account"), "bob")
    users, approved = ("alice", "both"), []
    for number in range(FEW - 1):
        token = many.ask("tokens", user=users[number % 2], client_id=("desk-app", "no-refresh")[number // 2])
        token = token["access_token"]
        found = decisions(many, token)
        assert found == {"approval_required": MANY}
        approved.append(approve(lab, browser))
        found = decisions(many, token)
        assert found == {"permit": 1, "approval_required": MANY - 1}
        left = lab.broker.world.database.read(
            lambda tx: lab.broker.approvals.asking.listed(tx, 9, only_open=True)
        )
        assert len(left) == 1, "those that came too late ask one question"
        lab.broker.world.database.write(
            lambda tx, left=left: lab.broker.approvals.asking.withdraw(tx, left[0].id, None, None, None)
        )
    lab.broker.close()
    facts = sound(many)
    assert set(counted(facts, "approval.spent", "approval").values()) == {1}
    assert [record["approval"] for record in facts if record["fact"] == "approval.spent"] == approved
