"""APPR: several people, other keys and agents, switches, and what notices tell."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from broker.audit.whole import whole
from broker.estate.model import ApprovalRule, Impact, Resource
from broker.identity.users.model import Membership, User
from broker.runtime.database import Transaction
from broker.runtime.mail import Mail, MailServer
from tests.approving import (
    ARGUMENTS,
    answer,
    approved,
    approver,
    granted,
    named,
    page,
    refunds,
    requested,
    roles,
    runs,
    state,
    waiting,
)
from tests.control.hook import SECRET, Hook, reached
from tests.deciding import denied, desk, tool
from tests.lab import CRM, ISSUER, PASSWORD, Browser, Lab, Page, claims, race, resources
from tests.mailbox import Mailbox, mailbox
from tests.people import signed_in
from tests.proofs import Holder


def ruled(lab: Lab, rule: ApprovalRule) -> None:
    """Refunds are allowed by this rule."""
    (desk,) = (one for one in resources() if one.id == "tickets")
    tools = tuple(replace(tool, approval=rule) if tool.name == "refund" else tool for tool in desk.tools)
    changed: Resource = replace(desk, tools=tools)
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, changed))


def colleague(lab: Lab, name: str) -> Browser:
    """One more approver at the tenant, who may be new there."""
    if lab.broker.people.get(name) is None:
        hashed = lab.broker.people.hash(PASSWORD)
        new = User(name, name.title(), None, (Membership("acme", ()),))

        def work(tx: Transaction) -> None:
            lab.broker.people.put(tx, new)
            lab.broker.people.set_password(tx, name, hashed)

        lab.change(work)
    return approver(lab, name)


TWO = ApprovalRule(("approver",), 900, quorum=2)


@pytest.mark.attack("APPR-16")
def test_one_person_counts_once_however_often_they_vote(lab: Lab) -> None:
    ruled(lab, TWO)
    bob, token = colleague(lab, "bob"), refunds(lab)
    approval = requested(lab, token)
    form = Page.of(page(bob, approval))
    for _ in range(3):
        bob.submit(form, decision="approve")
    assert state(lab, approval) == "requested" and not runs(lab, token)
    assert len(lab.facts("approval.voted")) == 1
    assert b"You allowed it. It waits for others." in page(bob, approval).data
    approved(lab, colleague(lab, "both"), approval)
    assert lab.last("approval.granted")["change"] == {"with": 2}
    assert runs(lab, token)


@pytest.mark.attack("APPR-16")
def test_who_lost_the_role_before_the_last_vote_is_not_counted(lab: Lab) -> None:
    ruled(lab, TWO)
    token = refunds(lab)
    approval = requested(lab, token)
    answer(colleague(lab, "bob"), approval)
    roles(lab, "bob", "member")
    both = colleague(lab, "both")
    answer(both, approval)
    assert state(lab, approval) == "requested" and not runs(lab, token)
    assert Page.of(page(both, approval)).action is None, "they voted: only others can add to it"
    approved(lab, colleague(lab, "zoe"), approval)


@pytest.mark.attack("APPR-16")
def test_who_lost_the_role_after_it_was_given_is_not_counted_when_it_is_used(lab: Lab) -> None:
    token = refunds(lab)
    approval = granted(lab, token)
    roles(lab, "bob", "member")
    assert not runs(lab, token) and state(lab, approval) == "approved"
    roles(lab, "bob", "approver")
    assert runs(lab, token)


@pytest.mark.attack("APPR-16")
def test_votes_at_once_are_all_counted(lab: Lab) -> None:
    ruled(lab, TWO)
    people = [colleague(lab, "bob"), colleague(lab, "both")]
    token = refunds(lab)
    for number in range(4):
        approval = requested(lab, token, {"amount": number}, key=f"k{number}")
        forms = [Page.of(page(one, approval)) for one in people]
        race(2, lambda i, forms=forms: people[i].submit(forms[i], decision="approve").status_code)
        assert state(lab, approval) == "approved"
    assert len(lab.facts("approval.granted")) == 4


@pytest.mark.attack("APPR-16")
def test_a_rule_that_asks_for_more_people_by_now_is_not_met_by_what_was_given(lab: Lab) -> None:
    token = refunds(lab)
    granted(lab, token)
    ruled(lab, TWO)
    assert not runs(lab, token)


@pytest.mark.attack("APPR-20")
def test_another_key_and_another_agent_cannot_use_an_approval(lab: Lab) -> None:
    def bound(holder: Holder) -> str:
        proof = holder.proof(f"{ISSUER}/token", lab.clock.now())
        scope = {"scope": "refunds:write"}
        found = lab.redeem(lab.code(**scope), dpop=proof)
        assert found.status_code == 200, found.get_data(as_text=True)
        return str(found.json["access_token"])

    mine, other = Holder(), Holder()
    token = bound(mine)
    approval = granted(lab, token)
    for stranger in (bound(other), refunds(lab)):
        assert named(waiting(lab, stranger, key="k2")) != approval
    assert state(lab, approval) == "approved"
    assert runs(lab, bound(mine)) and state(lab, approval) == "spent"


@pytest.mark.attack("APPR-20")
def test_an_approval_of_a_call_is_none_for_a_server_that_acts_further_on(lab: Lab) -> None:
    """What an agent does with an exchanged token has a chain of its own, and so another digest."""
    crm = next(one for one in resources() if one.id == "crm")
    desk = next(one for one in resources() if one.id == "tickets")
    tool = next(tool for tool in desk.tools if tool.name == "refund")
    tools = (replace(tool, scopes=("crm:write",)),)
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, replace(crm, tools=tools)))
    first = lab.tokens(scope="tickets:write")["access_token"]
    exchanged = [lab.exchange(first, resource=CRM, scope="crm:write").json["access_token"] for _ in range(2)]
    where = {"client_id": "crm-server", "uri": CRM}
    approval = named(waiting(lab, exchanged[0], **where))
    assert claims(exchanged[0])["act"]["act"]["client_id"] == "desk-app"
    assert named(waiting(lab, exchanged[1], key="k2", **where)) == approval, "the same chain is the same act"
    other = lab.tokens("no-refresh", scope="tickets:write")["access_token"]
    through = lab.exchange(other, resource=CRM, scope="crm:write").json["access_token"]
    assert named(waiting(lab, through, key="k3", **where)) != approval


@pytest.mark.attack("APPR-21")
@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("everything", "*"),
        ("tenant", "acme"),
        ("user", "alice"),
        ("client", "desk-app"),
        ("grant", ""),
        ("resource", "tickets"),
        ("tool", "tickets/refund"),
        ("family", "payments"),
    ],
)
def test_a_switch_outranks_an_approval(lab: Lab, kind: str, target: str) -> None:
    desk(lab, tool("refund", "refunds:write", impact=Impact.EXTERNAL_WRITE, family="payments"))
    token = refunds(lab)
    approval = granted(lab, token)
    what = target or str(claims(token)["grant_id"])
    lab.switch(kind, what)
    context = denied(lab, "switched_off", token, "refund", ARGUMENTS, idempotency_key="k1")
    assert context["kind"] == kind and state(lab, approval) == "approved"
    lab.lift(kind, what)
    assert runs(lab, token) and state(lab, approval) == "spent"


@pytest.mark.attack("APPR-23")
def test_a_mail_about_an_approval_tells_little(lab: Lab) -> None:
    approver(lab, "bob")
    with mailbox() as box:
        through(lab, box)
        approval = requested(lab, refunds(lab), {"iban": "DE02 1203 0000"}, intent="pay the iban back")
        lab.broker.approvals.notices.deliver()
        (mail,) = box.mails
        lab.broker.approvals.notices.deliver()
        assert len(box.mails) == 1
    assert mail.to == "bob@example.com" and f"{ISSUER}/approvals/{approval}" in mail.text
    for secret in ("DE02", "iban", "pay the", "eyJ", "binding", "csrf"):
        assert secret not in mail.text, secret
    assert b'name="password"' in lab.browser().get(f"/approvals/{approval}").data
    record = lab.last("approval.notified")
    assert (record["approver"], record["approval"], record["outcome"]) == ("bob", approval, "allowed")


@pytest.mark.attack("APPR-23")
def test_a_mail_server_that_is_away_holds_nothing_up_and_is_tried_again(lab: Lab) -> None:
    approver(lab, "bob")
    with mailbox() as box:
        through(lab, box)
    requested(lab, refunds(lab))
    lab.broker.approvals.notices.deliver()
    assert lab.rows("approval_letter") == 1 and not lab.facts("approval.notified")
    with mailbox() as box:
        through(lab, box)
        lab.broker.approvals.notices.deliver()
        assert box.mails == []
        lab.clock.advance(11)
        lab.broker.approvals.notices.deliver()
        assert len(box.mails) == 1
    assert lab.rows("approval_letter") == 0


@pytest.mark.attack("APPR-23")
def test_no_mail_goes_out_about_what_was_answered_before(lab: Lab) -> None:
    browser = approver(lab, "bob")
    with mailbox() as box:
        through(lab, box)
        approval = requested(lab, refunds(lab))
        answer(browser, approval, "deny", reason="no")
        lab.broker.approvals.notices.deliver()
        assert box.mails == [] and lab.rows("approval_letter") == 0


@pytest.mark.attack("APPR-23")
def test_a_webhook_about_an_approval_tells_little(make_lab: Callable[..., Lab], tmp_path: Path) -> None:
    receiver = Hook()
    try:
        secret = tmp_path / "secret"
        secret.write_bytes(SECRET)
        lab = make_lab(approval_webhook_url=receiver.url, approval_webhook_secret_file=secret)
        reached(lab)
        approval = requested(lab, refunds(lab), {"iban": "DE02 1203 0000"}, intent="pay the iban back")
        lab.broker.webhooks.deliver()
        (sent,) = (one.sent for one in receiver.asked)
        (said,) = receiver.said()
    finally:
        receiver.close()
    assert said["type"] == "approval.requested" and said["data"]["approval"] == approval
    assert set(said["data"]) == {"approval", "resource", "tool", "url", "expires_at"}
    for secret_word in ("DE02", "pay the", "alice", "eyJ"):
        assert secret_word not in sent


def through(lab: Lab, box: Mailbox) -> None:
    """The broker's mail goes to this box."""
    server = MailServer("127.0.0.1", box.port, "broker@as.example", "none")
    lab.broker.approvals.notices._mail = Mail(server, "MCP token broker")


def test_the_page_lays_arguments_out_and_hides_nothing(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    arguments = {
        "to": [{"name": "<b>Eve</b>", "note": "a\u202egnp.exe\u200b"}],
        "long": "x" * 5000,
        "empty": {},
        "odd name.": None,
        "letters": "p\u0430ypal",
    }
    approval = requested(lab, token, arguments, intent="<i>because</i>\u202e")
    text = page(browser, approval).get_data(as_text=True)
    assert "<b>Eve" not in text and "&lt;b&gt;Eve&lt;/b&gt;" in text and "<i>because" not in text
    assert "\u202e" not in text and "\\u202e" in text and "\u200b" not in text
    assert "x" * 5000 in text and "to[0].name" in text and "[&#34;odd name.&#34;]" in text
    assert "p\\u0430ypal" in text, "letters that pose as others are written out"
    assert "empty" in text and "alice" in text and "Desk App" in text
    assert "mcp.external_write.approval" in text


def test_a_user_allows_a_change_that_can_be_undone_by_themselves(lab: Lab) -> None:
    token = lab.tokens(scope="tickets:write")["access_token"]
    offered = waiting(lab, token, {"id": 7}, "close_ticket")
    browser = approver(lab, "alice", "member")
    found = browser.get(offered["form_url"].removeprefix(ISSUER))
    assert state(lab, named(offered)) == "requested", "opening the link asks for it"
    assert b"It can be undone" in found.data
    approved(lab, browser, named(offered))
    assert not signed_in(lab, "bob").get("/approvals").get_data(as_text=True).count("close_ticket")


def test_a_clients_own_work_is_allowed_by_an_approver(lab: Lab) -> None:
    nightly = lab.client("nightly")
    lab.put_client(replace(nightly, scopes=("tickets:read", "tickets:write")))
    token = lab.client_credentials(scope="tickets:write").json["access_token"]
    offered = waiting(lab, token, {"id": 7}, "close_ticket")
    browser = approver(lab, "bob")
    found = page(browser, named(offered))
    assert b"its own work, for no person" in found.data
    approved(lab, browser, named(offered))


def test_a_denial_has_its_reason_told_to_who_asked(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    approval = requested(lab, token)
    answer(browser, approval, "deny", reason="too much money")
    told = lab.last("approval.denied")
    assert told["words"] == "too much money" and "detail" not in told
    bodies = lab.broker.world.database.read(whole)
    assert "too much money" not in str([one.members for one in bodies]), (
        "the record itself only commits to it"
    )
    mine = page(signed_in(lab, "alice"), approval).get_data(as_text=True)
    assert "too much money" in mine and "Refused. The call does not run." in mine
    assert not runs(lab, token)


def test_the_user_of_a_call_withdraws_it(lab: Lab) -> None:
    token = refunds(lab)
    approval = requested(lab, token)
    done = answer(signed_in(lab, "alice"), approval, "withdraw")
    assert b"Withdrawn" in done.data and state(lab, approval) == "withdrawn"
    seen = page(approver(lab), approval)
    assert b"Withdrawn" in seen.data and b'id="primary"' not in seen.data


@pytest.mark.attack("APPR-13")
def test_an_approver_stops_a_client_that_works_for_itself(lab: Lab) -> None:
    lab.put_client(replace(lab.client("nightly"), scopes=("tickets:read", "tickets:write")))
    token = lab.client_credentials(scope="tickets:write").json["access_token"]
    browser = approver(lab, "bob")
    answer(browser, requested(lab, token, {"id": 7}, "close_ticket"), "stop")
    denied(lab, "switched_off", token, "close_ticket", {"id": 7}, idempotency_key="k1")
    assert lab.client_credentials(scope="tickets:write").status_code == 400


@pytest.mark.attack("APPR-09")
@pytest.mark.parametrize(
    ("held", "groups", "may"),
    [
        ((), ["it", "finance"], True),
        ((), "finance", True),
        ((), ["finance-readers"], False),
        ((), [["finance"], 7, None], False),
        (("finance",), None, False),
        (("group:finance",), ["it"], False),
    ],
)
def test_a_group_allows_what_its_rule_names_and_nobody_else(
    lab: Lab, held: tuple[str, ...], groups: object, may: bool
) -> None:
    """A role of the group's name, or one that is spelled like a group, is no group."""
    ruled(lab, ApprovalRule(("group:finance",)))
    token, browser = refunds(lab), approver(lab, "bob")
    approval = requested(lab, token)
    here = Membership("acme", held, {} if groups is None else {"groups": groups})
    lab.change(lambda tx: lab.broker.people.place(tx, "bob", here))
    assert page(browser, approval).status_code == (200 if may else 404)
    if may:
        approved(lab, browser, approval)
        lab.change(lambda tx: lab.broker.people.place(tx, "bob", Membership("acme", ("approver",))))
        assert not runs(lab, token), "who left the group counts no more"
        lab.change(lambda tx: lab.broker.people.place(tx, "bob", here))
    assert runs(lab, token) is may
