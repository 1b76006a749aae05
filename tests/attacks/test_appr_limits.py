"""APPR: one person with two accounts, other doors and classes, floods, what is off, and what is no longer wanted."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from broker.control.approvals import rules, store
from broker.control.approvals.model import State
from broker.estate.model import ApprovalRule, Impact
from broker.identity.federation import store as links
from broker.identity.federation.links import link_id
from broker.identity.federation.model import Link
from broker.runtime.database import Transaction
from tests.approving import (
    ARGUMENTS,
    answer,
    approved,
    approver,
    granted,
    named,
    page,
    refunds,
    request,
    requested,
    roles,
    runs,
    state,
    waiting,
)
from tests.attacks.test_appr_people import TWO, colleague, ruled, through
from tests.deciding import denied, desk, post, tool
from tests.lab import ACME, FILES, ISSUER, Lab, Page, basic, claims, race
from tests.mailbox import mailbox
from tests.people import signed_in

IDP = "https://idp.example"


def same_mail(lab: Lab, *names: str) -> None:
    def work(tx: Transaction) -> None:
        for number, name in enumerate(names):
            mail = "One@Example.com" if number else "one@example.com"
            lab.broker.people.put(tx, replace(lab.broker.people.within(tx, name), email=mail))

    lab.change(work)


def linked(lab: Lab, *places: tuple[str | None, str]) -> None:
    """Each (tenant of the provider, account) is linked to the same subject of the same issuer."""

    def work(tx: Transaction) -> None:
        for tenant, who in places:
            links.link(tx, Link(link_id(tenant, IDP, "s1"), tenant, IDP, "s1", who, "idp", 1.0, 1.0))

    lab.change(work)


ONE_PERSON: dict[str, Callable[[Lab], None]] = {
    "mail": lambda lab: same_mail(lab, "bob", "both"),
    "link": lambda lab: linked(lab, (None, "bob"), ("acme", "both")),
    "link of another tenant": lambda lab: linked(lab, ("globex", "bob"), ("acme", "both")),
}


@pytest.mark.attack("APPR-16")
@pytest.mark.parametrize("how", ONE_PERSON)
def test_two_accounts_of_one_person_are_one_vote(lab: Lab, how: str) -> None:
    ruled(lab, TWO)
    bob, both = colleague(lab, "bob"), colleague(lab, "both")
    token = refunds(lab)
    ONE_PERSON[how](lab)
    approval = requested(lab, token)
    answer(bob, approval)
    assert answer(both, approval).status_code == 403
    assert lab.last("approval.refused")["reason"] == "approver_not_allowed"
    assert state(lab, approval) == "requested" and not runs(lab, token)
    approved(lab, colleague(lab, "zoe"), approval)
    assert runs(lab, token)


@pytest.mark.attack("APPR-16")
@pytest.mark.parametrize("how", ONE_PERSON)
def test_two_accounts_that_turn_out_to_be_one_person_are_not_enough_when_it_is_used(
    lab: Lab, how: str
) -> None:
    ruled(lab, TWO)
    bob, both = colleague(lab, "bob"), colleague(lab, "both")
    token = refunds(lab)
    approval = requested(lab, token)
    answer(bob, approval)
    approved(lab, both, approval)
    ONE_PERSON[how](lab)
    assert not runs(lab, token) and state(lab, approval) == "approved"


@pytest.mark.attack("APPR-09")
def test_an_account_that_another_tenant_links_to_who_asks_is_no_other_person(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    approval = requested(lab, token)
    linked(lab, ("globex", "bob"), ("acme", "alice"))
    assert page(browser, approval).status_code == 404
    approved(lab, approver(lab, "both"), approval)


@pytest.mark.attack("APPR-09")
def test_a_role_with_a_space_in_its_name_is_one_role(lab: Lab) -> None:
    ruled(lab, ApprovalRule(("not self",)))
    token = refunds(lab)
    approval = requested(lab, token)
    alice = approver(lab, "alice", "member")
    assert b'value="approve"' not in page(alice, approval).data
    assert page(approver(lab, "both", "not"), approval).status_code == 404
    approved(lab, approver(lab, "bob", "not self"), approval)
    assert runs(lab, token)


@pytest.mark.attack("APPR-08")
def test_what_was_allowed_as_undoable_is_not_allowed_when_it_cannot_be_undone(lab: Lab) -> None:
    rule = ApprovalRule(("approver",))
    desk(lab, tool("refund", "refunds:write", impact=Impact.REVERSIBLE_WRITE, approval=rule))
    token = refunds(lab)
    before, offered = granted(lab, token), waiting(lab, token, {"amount": 7}, key="k7")
    asked = requested(lab, token, {"amount": 8}, key="k8")
    desk(lab, tool("refund", "refunds:write", impact=Impact.EXTERNAL_WRITE, approval=rule))
    assert not runs(lab, token) and state(lab, before) == "approved"
    assert named(waiting(lab, token, {"amount": 7}, key="k7")) != named(offered)
    assert named(waiting(lab, token, {"amount": 8}, key="k8")) != asked
    assert state(lab, named(offered)) == state(lab, asked) == "expired"
    expired = [record["approval"] for record in lab.facts("approval.expired")]
    assert expired == [asked], "of what nobody asked for there is no record"


@pytest.mark.attack("APPR-13")
def test_who_asks_too_much_holds_up_no_other_user_and_no_other_server(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(approvals_per_minute=3, approvals_waiting=2)
    desk(lab, tool("erase", "files:read", impact=Impact.EXTERNAL_WRITE), resource="files")
    files = lab.tokens(user="alice", scope="files:read", resource=FILES)["access_token"]
    where = {"client_id": "files-server", "uri": FILES}
    for number in range(2):
        waiting(lab, files, {"n": number}, "erase", key=f"k{number}", **where)
    denied(lab, "rate_limited", files, "erase", {"n": 2}, idempotency_key="k2", **where)
    alices, others = refunds(lab), refunds(lab, "both")
    for number in range(3):
        offered = waiting(lab, alices, {"n": number}, key=f"a{number}")
        post(lab, f"requests/{named(offered)}/cancel", {})
    denied(lab, "rate_limited", alices, "refund", {"n": 4}, idempotency_key="a4")
    waiting(lab, others, key="b1")


@pytest.mark.attack("APPR-13")
def test_a_flood_of_offers_hides_nothing_in_the_list(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    real, done = requested(lab, token), requested(lab, token, {"amount": 6}, key="k6")
    answer(browser, done, "deny")
    asking = lab.broker.approvals.asking
    one = lab.broker.world.database.read(lambda tx: asking.one(tx, real))
    assert one is not None

    def flood(tx: Transaction) -> None:
        for number in range(120):
            more = replace(
                one, id=f"apr_flood{number}", digest=f"{number:064d}", client_id=f"dyn{number}", grant_id=None
            )
            store.add(tx, replace(more, state=State.OFFERED, created_at=lab.clock.now() + 1))

    lab.change(flood)
    listed = browser.get("/approvals").data
    assert real.encode() in listed and done.encode() in listed and b"apr_flood" not in listed


@pytest.mark.attack("APPR-03")
@pytest.mark.parametrize("arguments", [{"x": "a" * 17_000}, {"items": [1] * 201}, {"items": [{}] * 201}])
def test_nobody_is_asked_to_look_through_too_much(lab: Lab, arguments: dict[str, object]) -> None:
    unlogged = tool("refund", "refunds:write", impact=Impact.EXTERNAL_WRITE, log_arguments=False)
    desk(lab, unlogged)
    token = refunds(lab)
    context = denied(lab, "invalid_arguments", token, "refund", arguments, idempotency_key="k1")
    assert context["errors"] == [{"pointer": "/arguments", "keyword": "approvable"}]
    assert context["approvable"] == {"bytes": 16384, "values": 200}
    assert lab.rows("approval") == 0
    waiting(lab, token, {"x": "a" * 15_000, "items": [1] * 199})


def test_what_was_asked_and_is_over_loses_its_arguments_and_what_nobody_asked_is_gone(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    unasked = named(waiting(lab, token, {"secret": "unasked"}, key="k0"))
    refused = requested(lab, token, {"secret": "refused"}, key="k1")
    answer(browser, refused, "deny")
    used = granted(lab, token, browser, {"secret": "used"})
    assert runs(lab, token, {"secret": "used"}, key="k2")
    lab.broker.sweep()
    assert b"refused" in page(browser, refused).data and state(lab, unasked) == "offered"
    lab.clock.advance(901)
    lab.broker.sweep()
    assert lab.broker.world.database.read(lambda tx: lab.broker.approvals.asking.one(tx, unasked)) is None
    kept = str(lab.table("approval"))
    assert refused in kept and used in kept
    assert all(f'"{word}"' not in kept for word in ("unasked", "refused", "used"))
    assert not lab.facts("approval.expired")
    again = signed_in(lab, "alice")
    assert b"is not kept any longer" in page(again, used).data


@pytest.mark.attack("APPR-22")
@pytest.mark.parametrize("odd", ["%00", "apr_%00", "apr_x%0a", "x" * 3000, "%F0%9F%92%A9", "apr_A", "'--"])
def test_what_is_no_id_is_not_there(lab: Lab, odd: str) -> None:
    browser = approver(lab)
    assert lab.get(f"/access/v1/requests/{odd}", **basic("tickets-server")).status_code == 404
    assert post(lab, f"requests/{odd}/cancel", {}).status_code == 404
    assert browser.get(f"/approvals/{odd}").status_code == 404
    assert browser.post(f"/approvals/{odd}", [("csrf", "x"), ("decision", "deny")]).status_code == 404


@pytest.mark.attack("APPR-13")
def test_stopping_an_app_takes_the_sign_in_that_allowing_takes(lab: Lab) -> None:
    roles(lab, "bob", "member", "approver")
    weak, token = signed_in(lab, "bob"), refunds(lab)
    approval = requested(lab, token)
    form = Page.of(page(weak, approval))
    weak.submit(form, decision="stop")
    assert lab.last("approval.refused")["reason"] == "approver_not_verified"
    assert state(lab, approval) == "requested" and not lab.facts("switch.thrown")
    strong = approver(lab, "bob")
    answer(strong, approval, "stop")
    assert state(lab, approval) == "denied" and len(lab.facts("switch.thrown")) == 1
    second = requested(lab, refunds(lab), {"amount": 6}, key="k2")
    seen = Page.of(page(strong, second))
    answer(strong, second, "deny")
    strong.submit(seen, decision="stop")
    assert len(lab.facts("switch.thrown")) == 1, "what is over stops nothing"


@pytest.mark.attack("APPR-14")
@pytest.mark.parametrize("who", ["approver", "user", "server"])
def test_what_was_allowed_and_has_not_run_is_taken_back(lab: Lab, who: str) -> None:
    bob, token = approver(lab), refunds(lab)
    approval = granted(lab, token, bob)
    if who == "server":
        assert post(lab, f"requests/{approval}/cancel", {}).json["task"]["status"] == "cancelled"
    else:
        browser = bob if who == "approver" else signed_in(lab, "alice")
        found = page(browser, approval)
        assert b"Take it back" in found.data
        browser.submit(Page.of(found), decision="deny" if who == "approver" else "withdraw")
    assert state(lab, approval) == ("denied" if who == "approver" else "withdrawn")
    assert not runs(lab, token)
    assert b"Take it back" not in page(bob, approval).data


@pytest.mark.attack("APPR-14")
def test_taking_back_and_using_at_once_ends_in_one_of_them(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    for number in range(4):
        arguments = {"amount": number}
        approval = granted(lab, token, browser, arguments)

        def act(
            index: int, approval: str = approval, said: object = arguments, key: str = f"r{number}"
        ) -> bool:
            if index == 0:
                return runs(lab, token, said, key=key)
            return post(lab, f"requests/{approval}/cancel", {}).status_code == 200

        ran, taken = race(2, act)
        assert ran is not taken and state(lab, approval) == ("spent" if ran else "withdrawn")


@pytest.mark.attack("APPR-21")
@pytest.mark.parametrize("kind", ["server", "client", "user", "grant", "resource", "tenant", "everything"])
def test_nothing_is_asked_for_what_is_off(lab: Lab, kind: str) -> None:
    token = refunds(lab)
    offered = waiting(lab, token)
    target = {
        "server": ("client", "tickets-server"),
        "client": ("client", "desk-app"),
        "user": ("user", "alice"),
        "grant": ("grant", str(claims(token)["grant_id"])),
        "resource": ("resource", "tickets"),
        "tenant": ("tenant", "acme"),
        "everything": ("everything", "*"),
    }[kind]
    lab.switch(*target)
    follow = f"/access/v1/requests/{named(offered)}"
    for refused in (
        request(lab, offered),
        lab.get(follow, **basic("tickets-server")),
        post(lab, f"requests/{named(offered)}/cancel", {}),
    ):
        assert refused.status_code >= 400 and "switched off" in refused.get_data(as_text=True), kind
    assert state(lab, named(offered)) == "offered"
    lab.lift(*target)
    assert request(lab, offered).status_code == 202


@pytest.mark.attack("APPR-01")
def test_an_approval_is_used_at_the_door_where_it_was_asked(lab: Lab) -> None:
    token = refunds(lab)
    approval = granted(lab, token)
    other = lab.tokens(scope="refunds:write", door="/t/acme")["access_token"]
    there = waiting(lab, other, key="k2", door="/t/acme")
    assert there["form_url"].startswith(ACME) and named(there) != approval
    assert state(lab, approval) == "approved" and runs(lab, token)
    here = waiting(lab, token, key="k3")
    assert here["form_url"].startswith(f"{ISSUER}/approvals") and named(here) != named(there)


@pytest.mark.attack("APPR-21")
def test_an_approval_that_was_asked_under_a_grant_that_is_off_is_not_used(lab: Lab) -> None:
    token = refunds(lab)
    approval = granted(lab, token)
    grant = str(claims(token)["grant_id"])
    lab.switch("grant", grant)
    other = refunds(lab)
    assert claims(other)["grant_id"] != grant
    assert not runs(lab, other) and state(lab, approval) == "approved"
    lab.lift("grant", grant)
    assert runs(lab, other)


@pytest.mark.attack("APPR-13")
def test_what_was_refused_is_not_asked_again_at_once(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    approval = requested(lab, token)
    answer(browser, approval, "deny", reason="no")
    context = denied(lab, "rate_limited", token, "refund", ARGUMENTS, idempotency_key="k2")
    assert 299 <= context["retry_after"] <= 301 and "access_request" not in context
    assert lab.last("decision.made")["detail"] == "denied"
    waiting(lab, token, {"amount": 6}, key="k3")
    lab.clock.advance(301)
    assert named(waiting(lab, refunds(lab), key="k4")) != approval


@pytest.mark.attack("APPR-13")
def test_a_person_is_sent_so_many_mails_an_hour(lab: Lab) -> None:
    approver(lab, "bob")
    token = refunds(lab)
    with mailbox() as box:
        through(lab, box)
        for number in range(62):
            if number % 4 == 0:
                lab.clock.advance(61 if number < 40 else 31)
                token = refunds(lab)
            approval = requested(lab, token, {"amount": number}, key=f"k{number}")
            lab.broker.approvals.notices.deliver()
            post(lab, f"requests/{approval}/cancel", {})
        assert len(box.mails) == 60
        assert lab.last("approval.notified")["detail"] == "too many within an hour"
        lab.clock.advance(3601)
        requested(lab, refunds(lab), {"amount": 99}, key="k99")
        lab.broker.approvals.notices.deliver()
        assert len(box.mails) == 61


@pytest.mark.attack("APPR-08")
def test_a_sign_in_after_an_old_question_does_not_stay_fresh(lab: Lab) -> None:
    approval = requested(lab, refunds(lab))
    found = lab.broker.world.database.read(lambda tx: lab.broker.approvals.asking.one(tx, approval))
    assert found is not None
    at = found.created_at
    for age, since in ((0, at - 300), (400, at), (3599, at), (3600, at + 3300), (9000, at + 8700)):
        assert rules.sign_in(found, at + age, factor=True).since == since, age
    can_be_undone = replace(found, question=replace(found.question, impact=Impact.REVERSIBLE_WRITE))
    assert rules.sign_in(can_be_undone, at, factor=True).since is None
