"""APPR: approvals of one exact act, and who may give them."""

import json
from dataclasses import replace

import pytest

from broker.control import acts
from broker.control.model import Actor
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
from tests.deciding import denied, post, question
from tests.lab import GLOBEX, ISSUER, PASSWORD, TICKETS, Browser, Lab, Page, basic, race
from tests.people import code, signed_in, with_app

PARTS = {
    "subject": "alice",
    "tenant": "acme",
    "client_id": "desk-app",
    "actors": (Actor(ISSUER, "s", "tickets-server"),),
    "confirmation": {"jkt": "a"},
    "resource": TICKETS,
    "tool": "refund",
    "schema_digest": "d" * 64,
    "arguments": {"amount": 5, "to": ["x", {"y": None}]},
}
OTHERS = {
    "subject": "alicf",
    "tenant": "acmf",
    "client_id": "desk-apq",
    "actors": (Actor(ISSUER, "s", "tickets-serves"),),
    "confirmation": {"jkt": "b"},
    "resource": TICKETS + "/",
    "tool": "refunds",
    "schema_digest": "e" + "d" * 63,
    "arguments": {"amount": 5, "to": ["x", {"y": 0}]},
}


@pytest.mark.attack("APPR-01")
@pytest.mark.parametrize(
    "arguments",
    [
        {"amount": 6, "customer": {"id": "c-1"}},
        {"amount": 5, "customer": {"id": "c-2"}},
        {"amount": "5", "customer": {"id": "c-1"}},
        {"amount": 5, "customer": {"id": "c-1", "note": None}},
        {"amount": 5, "customer": {"id": "c-1 "}},
        {},
    ],
)
def test_one_byte_of_the_arguments_changed_is_another_act(lab: Lab, arguments: dict[str, object]) -> None:
    token = refunds(lab)
    approval = granted(lab, token)
    offered = waiting(lab, token, arguments, key="k2")
    assert named(offered) != approval and state(lab, approval) == "approved"
    assert runs(lab, token) and state(lab, approval) == "spent"


@pytest.mark.attack("APPR-01")
def test_the_same_arguments_in_another_order_are_the_same_act_and_run_once(lab: Lab) -> None:
    token = refunds(lab)
    approval = granted(lab, token)
    swapped = json.loads(json.dumps(dict(reversed(ARGUMENTS.items()))))
    assert runs(lab, token, swapped)
    record = lab.last("approval.spent")
    assert (record["approval"], record["approver"], record["tool"]) == (approval, "bob", "refund")
    assert record["decision"] == lab.last("decision.made")["decision"]
    waiting(lab, token, key="k2")


@pytest.mark.attack("APPR-01", "APPR-18")
@pytest.mark.parametrize("part", sorted(PARTS))
def test_each_part_of_an_act_is_in_what_an_approval_is_bound_to(part: str) -> None:
    """No rule approves beforehand: nothing but this digest is ever compared."""
    assert acts.digest(**PARTS) == acts.digest(**{**PARTS, part: PARTS[part]})
    assert acts.digest(**PARTS) != acts.digest(**{**PARTS, part: OTHERS[part]})


@pytest.mark.attack("APPR-18")
@pytest.mark.parametrize("path", ["/a/../b", "/A", "/a/./x", "%2Fa%2Fx", "/a//x", "/a/x "])
def test_an_approval_of_one_path_is_of_no_other_that_may_mean_the_same(lab: Lab, path: str) -> None:
    token = refunds(lab)
    granted(lab, token, arguments={"path": "/a/x"})
    waiting(lab, token, {"path": path}, key="k2")
    assert runs(lab, token, {"path": "/a/x"})


@pytest.mark.attack("APPR-01", "APPR-20")
@pytest.mark.requirement("ARAP-02")
def test_another_clients_and_another_users_same_call_is_not_approved(lab: Lab) -> None:
    token = refunds(lab)
    approval = granted(lab, token)
    for other in (refunds(lab, client_id="no-refresh"), refunds(lab, "both")):
        assert named(waiting(lab, other, key="k2")) != approval
        assert state(lab, approval) == "approved"
    assert runs(lab, refunds(lab)), "another token of the same user and client is the same"


AMBIGUOUS = {
    "a repeated member": b'{"amount": 5, "amount": 6}',
    "NaN": b'{"amount": NaN}',
    "more than 2**53": b'{"amount": 9007199254740993}',
    "a lone surrogate": b'{"note": "\\ud800"}',
    "too deep": b'{"a":' * 200 + b"1" + b"}" * 200,
    "too large": b'{"note": "' + b"x" * 1_000_000 + b'"}',
}


@pytest.mark.attack("APPR-03")
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_json_with_two_readings_reaches_no_approver(lab: Lab, name: str) -> None:
    token = refunds(lab)
    asked = json.dumps(question(token, "refund", {"MARK": 1}, idempotency_key="k1")).encode()
    refused = post(lab, "evaluation", asked.replace(b'{"MARK": 1}', AMBIGUOUS[name]))
    assert refused.status_code in (400, 413) and lab.rows("approval") == 0
    assert post(lab, "evaluation", asked.replace(b'{"MARK": 1}', b'{"amount": 5}')).json["decision"] is False
    assert lab.rows("approval") == 1


@pytest.mark.attack("APPR-06")
def test_an_approval_that_was_not_used_in_time_is_worth_nothing(lab: Lab) -> None:
    token = refunds(lab)
    approval = granted(lab, token)
    lab.clock.advance(901)
    token = refunds(lab)
    assert not runs(lab, token) and state(lab, approval) == "approved"
    lab.broker.sweep()
    assert state(lab, approval) == "expired"
    assert lab.last("approval.expired")["approval"] == approval
    assert not runs(lab, token)


@pytest.mark.attack("APPR-06")
def test_a_question_that_nobody_answered_in_time_is_over(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    approval = requested(lab, token)
    form = Page.of(page(browser, approval))
    lab.clock.advance(901)
    late = browser.submit(form, decision="approve")
    assert late.status_code == 409 and b"This was over before your answer came" in late.data
    assert state(lab, approval) == "requested" and not lab.facts("approval.granted")
    lab.broker.sweep()
    assert state(lab, approval) == "expired"


@pytest.mark.attack("APPR-08")
def test_no_token_and_no_secret_of_a_program_answers(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    approval = requested(lab, token)
    form = Page.of(page(browser, approval))
    own = lab.client_credentials().json["access_token"]
    acting = lab.exchange(lab.tokens()["access_token"]).json["access_token"]
    bobs = lab.tokens(user="both")["access_token"]
    for headers in (
        *({"Authorization": f"Bearer {program}"} for program in (own, acting, bobs, token)),
        basic("tickets-server"),
        basic("web-app"),
    ):
        fields = [*form.fields, ("decision", "approve")]
        refused = lab.browser().post(f"/approvals/{approval}", fields, **headers)
        assert refused.status_code == 403, refused.get_data(as_text=True)[:500]
        assert lab.last("authorization.refused")["reason"] == "approver_no_person"
        with_cookie = browser.post(f"/approvals/{approval}", fields, **headers)
        assert with_cookie.status_code == 403
    assert state(lab, approval) == "requested"
    approved(lab, browser, approval)


@pytest.mark.attack("APPR-08")
def test_nobody_answers_without_signing_in_nor_from_another_page(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    approval = requested(lab, token)
    form = Page.of(page(browser, approval))
    stranger = lab.browser().post(f"/approvals/{approval}", [*form.fields, ("decision", "approve")])
    assert b'name="password"' in stranger.data
    fields = [("csrf", "f" * 64), ("decision", "approve")]
    assert browser.post(f"/approvals/{approval}", fields).status_code == 403
    sent = browser.submit(form, {"Sec-Fetch-Site": "cross-site"}, decision="approve")
    assert sent.status_code == 403
    assert browser.get(f"/approvals/{approval}?decision=approve").status_code == 200
    assert state(lab, approval) == "requested"


@pytest.mark.attack("APPR-08")
def test_a_password_alone_is_too_little_and_the_page_says_what_is_missing(lab: Lab) -> None:
    roles(lab, "bob", "member", "approver")
    browser, token = signed_in(lab, "bob"), refunds(lab)
    approval = requested(lab, token)
    found = page(browser, approval)
    assert b"you need a passkey or an authenticator app" in found.data
    assert b'value="approve"' not in found.data
    refused = browser.submit(Page.of(found), decision="approve")
    assert b"Allowed" not in refused.data and state(lab, approval) == "requested"
    assert lab.last("approval.refused")["reason"] == "approver_not_verified"


def as_though_allowed(lab: Lab, browser: Browser, user: str, approval: str) -> Page:
    """The form of an approval with a token that is good for this member, who lost the role since."""
    roles(lab, user, "member", "approver")
    found = Page.of(page(browser, approval))
    roles(lab, user, "member")
    return found


@pytest.mark.attack("APPR-09")
def test_only_who_holds_the_role_when_they_answer_can(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    approval = requested(lab, token)
    form = Page.of(page(browser, approval))
    other = approver(lab, "vera", tenant="globex")
    fields = [*form.fields, ("decision", "approve")]
    assert other.post(f"/approvals/{approval}", fields).status_code == 404
    member = signed_in(lab, "both")
    assert page(member, approval).status_code == 404
    assert member.post(f"/approvals/{approval}", fields).status_code == 403
    asked = as_though_allowed(lab, member, "both", approval)
    for decision in ("approve", "deny"):
        refused = member.submit(asked, decision=decision)
        assert refused.status_code == 403 and b"You cannot answer this" in refused.data
        record = lab.last("approval.refused")
        assert (record["approver"], record["reason"]) == ("both", "approver_not_allowed")
    roles(lab, "bob", "member")
    late = browser.submit(form, decision="approve")
    assert late.status_code == 403 and b"You cannot answer this" in late.data
    assert lab.last("approval.refused")["reason"] == "approver_not_allowed"
    roles(lab, "bob", "member", "approver")
    approved(lab, browser, approval)


@pytest.mark.attack("APPR-09")
def test_who_asks_cannot_allow_what_takes_another_person(lab: Lab) -> None:
    token = refunds(lab)
    browser = approver(lab, "alice")
    approval = requested(lab, token)
    found = page(browser, approval)
    assert found.status_code == 200 and b'value="approve"' not in found.data
    assert b'value="withdraw"' in found.data
    assert browser.submit(Page.of(found), decision="approve").status_code == 403
    record = lab.last("approval.refused")
    assert (record["approver"], record["reason"]) == ("alice", "approver_not_allowed")
    assert state(lab, approval) == "requested"
    approved(lab, approver(lab, "bob"), approval)


@pytest.mark.attack("APPR-09")
def test_a_second_account_of_who_asks_is_no_other_person(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    approval = requested(lab, token)

    def same_mail(tx: object) -> None:
        bob = lab.broker.people.within(tx, "bob")
        lab.broker.people.put(tx, replace(bob, email="Alice@Example.com"))

    form = Page.of(page(browser, approval))
    lab.change(same_mail)
    assert page(browser, approval).status_code == 404
    assert browser.submit(form, decision="approve").status_code == 403
    assert lab.last("approval.refused")["reason"] == "approver_not_allowed"
    lab.change(lambda tx: lab.broker.people.put(tx, replace(lab.broker.people.within(tx, "bob"), email=None)))
    approved(lab, browser, approval)


@pytest.mark.attack("APPR-13")
def test_a_flood_of_calls_is_merged_and_limited(lab: Lab) -> None:
    token = refunds(lab)
    first = named(waiting(lab, token))
    for number in range(20):
        assert named(waiting(lab, token, key=f"again{number}")) == first
    assert lab.rows("approval") == 1
    most = lab.broker.settings.approvals_waiting
    for number in range(most - 1):
        waiting(lab, token, {"amount": number}, key=f"k{number}")
    for number in range(50):
        context = denied(lab, "rate_limited", token, "refund", {"more": number}, idempotency_key="z")
        assert context["retry_after"] >= 1
    assert lab.rows("approval") == most
    assert named(waiting(lab, refunds(lab, "both"), key="other")) != first, "others are not held up"


@pytest.mark.attack("APPR-13")
def test_an_agent_that_withdraws_and_asks_again_is_limited_too(make_lab: object) -> None:
    lab = make_lab(approvals_per_minute=3)
    token = refunds(lab)
    for number in range(3):
        offered = waiting(lab, token, {"amount": number}, key=f"k{number}")
        lab.clock.advance(1)
        address = f"requests/{named(offered)}/cancel"
        assert post(lab, address, {}).status_code == 200
    context = denied(lab, "rate_limited", token, "refund", {"amount": 9}, idempotency_key="k9")
    assert context["retry_after"] <= 60
    lab.clock.advance(61)
    waiting(lab, token, {"amount": 9}, key="k9")


@pytest.mark.attack("APPR-13")
def test_an_approver_stops_the_agent_from_the_page(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    approval = requested(lab, token)
    stopped = answer(browser, approval, "stop", reason="it goes wild")
    assert stopped.status_code == 200 and state(lab, approval) == "denied"
    assert lab.last("switch.thrown")["change"]["kind"] == "grant"
    denied(lab, "switched_off", token, "refund", ARGUMENTS, idempotency_key="k1")
    assert lab.last("approval.denied")["approver"] == "bob"
    member = signed_in(lab, "both")
    other = requested(lab, refunds(lab, client_id="no-refresh"))
    asked = as_though_allowed(lab, member, "both", other)
    assert member.submit(asked, decision="stop").status_code == 403
    record = lab.last("approval.refused")
    assert (record["approver"], record["reason"]) == ("both", "approver_not_allowed")
    assert len(lab.facts("switch.thrown")) == 1 and state(lab, other) == "requested"


@pytest.mark.attack("APPR-14")
def test_withdrawing_and_approving_at_once_ends_in_one_state(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    for number in range(5):
        approval = requested(lab, token, {"amount": number}, key=f"k{number}")
        form = Page.of(page(browser, approval))

        def act(index: int, form: Page = form, approval: str = approval) -> int:
            if index == 0:
                return browser.submit(form, decision="approve").status_code
            return post(lab, f"requests/{approval}/cancel", {}).status_code

        found = race(2, act)
        ended = state(lab, approval)
        assert found in ([200, 200], [409, 200], [403, 200]), found
        assert ended == "withdrawn", "before it was approved, or after"
        facts = [
            record["fact"]
            for record in lab.facts()
            if record.get("approval") == approval and record["outcome"] == "allowed"
        ]
        granted = ["approval.granted"] if found[0] == 200 else []
        assert facts == ["approval.requested", *granted, "approval.withdrawn"]


@pytest.mark.attack("APPR-22")
def test_approvals_are_neither_guessed_nor_browsed_by_others(lab: Lab) -> None:
    browser, token = approver(lab), refunds(lab)
    approval = requested(lab, token)
    other = approver(lab, "vera", tenant="globex")
    for door in ("", "/t/globex"):
        seen = page(other, approval, door)
        assert seen.status_code == 404 and b"refund" not in seen.data
    elsewhere = page(browser, approval, "/t/globex")
    assert elsewhere.status_code == 200 and b'name="password"' in elsewhere.data, "a sign-in of that door"
    assert b"refund" not in elsewhere.data
    assert approval.encode() not in other.get("/approvals").data
    for last in set("0123") - {approval[-1]}:
        assert page(browser, approval[:-1] + last).status_code == 404
    address = f"requests/{approval}"
    for client in ("notes-server", "web-app", "nightly", "files-server"):
        assert get(lab, address, basic(client)).status_code == 404
        assert post(lab, f"{address}/cancel", {}, client).status_code == 404
        assert delete(lab, address, basic(client)).status_code == 404
    assert get(lab, address, {}).status_code == 401
    assert get(lab, address, {}, "/t/globex").status_code == 401
    assert get(lab, address, basic("tickets-server"), "/t/globex").status_code == 401
    assert get(lab, address, basic("tickets-server")).json["task"]["status"] == "pending"
    assert approval.encode() in browser.get("/approvals?after=forged&cursor=x").data
    assert state(lab, approval) == "requested"


@pytest.mark.attack("APPR-24")
def test_a_waiting_call_is_not_resumed_with_made_up_state(lab: Lab) -> None:
    token, others = refunds(lab), refunds(lab, "both", client_id="web-app")
    mine, theirs = waiting(lab, token), waiting(lab, others, key="k2")
    claims = {"iss": ISSUER, "aud": ISSUER, "exp": int(lab.clock.now()) + 60, "offer": named(mine)}
    forged = {
        "another type": lab.signed({**claims, "digest": "x"}),
        "another digest": lab.signed({**claims, "digest": "x" * 64}, typ="access-request+jwt"),
        "a byte": mine["binding_token"][:-6] + "AAAAAA",
        "another door": lab.signed({**claims, "digest": "x"}, issuer=GLOBEX, typ="access-request+jwt"),
        "nothing": "",
        "an id": named(mine),
        "an access token": token,
    }
    for name, value in forged.items():
        refused = request(lab, {"binding_token": value})
        assert refused.status_code == 400, name
    swapped = request(lab, theirs, "web-app", denial={"binding_token": mine["binding_token"]})
    assert (swapped.status_code, state(lab, named(mine))) == (400, "offered")
    assert request(lab, mine, "notes-server").status_code == 400
    wrong = request(lab, mine, resource={"type": "tool", "id": "close_ticket"})
    assert wrong.status_code == 400
    assert request(lab, theirs, "web-app").status_code == 202
    assert request(lab, mine, resource={"type": "tool", "id": "refund"}).status_code == 202
    assert request(lab, mine).status_code == 202, "asking again while it waits is the same request"
    assert len(lab.facts("approval.requested")) == 2
    browser = approver(lab)
    approved(lab, browser, named(mine))
    assert runs(lab, refunds(lab))
    replayed = request(lab, mine)
    assert replayed.status_code == 400 and state(lab, named(mine)) == "spent"


def get(lab: Lab, path: str, headers: dict[str, str], door: str = "") -> object:
    return lab.get(f"{door}/access/v1/{path}", **headers)


def delete(lab: Lab, path: str, headers: dict[str, str]) -> object:
    return lab.http().delete(f"/access/v1/{path}", base_url=ISSUER, headers=headers)


@pytest.mark.attack("APPR-08")
def test_what_cannot_be_undone_takes_a_fresh_sign_in_and_the_page_leads_there_and_back(lab: Lab) -> None:
    roles(lab, "bob", "member", "approver")
    secret, _ = with_app(lab, "bob")
    browser = lab.browser()
    first = browser.sign_in(browser.get("/account"), "bob")
    browser.submit(Page.of(first), code=code(lab, secret))
    lab.clock.advance(400)
    approval = requested(lab, refunds(lab))
    found = page(browser, approval)
    assert b"Sign in again to allow" in found.data
    asked = browser.submit(Page.of(found), decision="approve", reason="fine")
    assert b'name="password"' in asked.data and state(lab, approval) == "requested"
    assert lab.last("approval.refused")["reason"] == "approver_not_verified"
    back = browser.submit(Page.of(browser.submit(Page.of(asked), password=PASSWORD)), code=code(lab, secret))
    assert b"Allow this one call of" in back.data and state(lab, approval) == "requested"
    assert browser.submit(Page.of(back), decision="approve").status_code == 200
    assert state(lab, approval) == "approved"


def test_what_can_be_undone_takes_a_second_factor_and_no_fresh_sign_in(lab: Lab) -> None:
    browser = approver(lab)
    lab.clock.advance(400)
    nightly = lab.client("nightly")
    lab.put_client(replace(nightly, scopes=("tickets:write",)))
    token = lab.client_credentials(scope="tickets:write").json["access_token"]
    approval = requested(lab, token, {"id": 7}, "close_ticket")
    assert b"Sign in again" not in page(browser, approval).data
    approved(lab, browser, approval)


def test_who_comes_second_is_told_what_became_of_it(lab: Lab) -> None:
    bob, both, token = approver(lab, "bob"), approver(lab, "both"), refunds(lab)
    approval = requested(lab, token)
    form = Page.of(page(both, approval))
    approved(lab, bob, approval)
    late = both.submit(form, decision="approve")
    assert late.status_code == 409 and b"allowed, not used yet" in late.data and b"Bob" in late.data
    assert lab.last("approval.refused")["reason"] == "approval_over" and state(lab, approval) == "approved"
    assert approval.encode() in bob.get("/approvals").data
    assert approval.encode() not in both.get("/approvals").data
