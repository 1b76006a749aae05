"""Allowing one exact call with a real browser that runs no scripts: asked, seen, allowed, used, and nothing else."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Callback
from tests.browser.walks import called, connect, sign_in, somebody
from tests.live import LiveBroker

pytestmark = pytest.mark.browser

TRICKY = "p\u0430yments@example.com\u202e"
ARGUMENTS = {
    "amount": 250,
    "currency": "EUR",
    "to": {"name": "Eve <script>alert(1)</script>", "mail": TRICKY},
    "note": "long " * 100,
}


def test_a_call_is_asked_seen_allowed_and_used_once(
    page: Page, chromium: Browser, named_broker: LiveBroker, callback: Callback
) -> None:
    token = connect(page, named_broker, callback, "carla", scope="credits:write")["access_token"]
    asked = called(named_broker, token, "issue_credit", ARGUMENTS, "k1", intent="the customer asked for it")
    link = asked["context"]["access_request"]["form_url"]
    page.goto(link)
    expect(page.get_by_text("It waits for somebody who may allow it.")).to_be_visible()
    expect(page.get_by_role("button", name="Allow once")).to_have_count(0)
    with somebody(chromium) as approver:
        approver.goto(link)
        sign_in(approver, "ada")
        expect(approver.get_by_role("heading", level=1)).to_have_text("Allow this one call of issue_credit?")
        expect(approver.get_by_role("row", name="amount 250")).to_be_visible()
        expect(approver.get_by_role("table")).to_contain_text("Eve <script>alert(1)</script>")
        expect(approver.get_by_role("table")).to_contain_text("p\\u0430yments@example.com\\u202e")
        expect(approver.get_by_text("502 characters, all of them:")).to_be_visible()
        approver.get_by_text("502 characters, all of them:").click()
        approver.get_by_label("Reason").fill("fine with me")
        approver.get_by_role("button", name="Allow once").click()
        expect(approver.get_by_role("status")).to_contain_text("Allowed. It can run once until")
        approver.get_by_role("link", name="Back to your approvals").click()
        expect(approver.get_by_role("heading", name="Answered by you")).to_be_visible()
    page.reload()
    expect(page.get_by_text("fine with me")).to_be_visible()
    other = called(named_broker, token, "issue_credit", {**ARGUMENTS, "amount": 251}, "k2")
    assert other["decision"] is False and other["context"]["access_request"]["form_url"] != link
    assert called(named_broker, token, "issue_credit", ARGUMENTS, "k1")["decision"] is True
    page.reload()
    expect(page.get_by_role("status")).to_have_text("This call was allowed, and it was used.")
    assert called(named_broker, token, "issue_credit", ARGUMENTS, "k3")["decision"] is False


def test_an_approver_refuses_and_stops_the_app(
    page: Page, chromium: Browser, named_broker: LiveBroker, callback: Callback
) -> None:
    token = connect(page, named_broker, callback, "connie", scope="credits:write")["access_token"]
    asked = called(named_broker, token, "issue_credit", {"amount": 1}, "k1")
    page.goto(asked["context"]["access_request"]["form_url"])
    with somebody(chromium) as approver:
        approver.goto(f"{named_broker.issuer}/approvals")
        sign_in(approver, "bea")
        approver.get_by_role("listitem").filter(has_text="Connie Credits").get_by_role("link").click()
        approver.get_by_role("button", name="Refuse and stop the app").click()
        expect(approver.get_by_role("status")).to_have_text("Refused. The call does not run.")
    answer = called(named_broker, token, "issue_credit", {"amount": 2}, "k2")
    assert answer["context"]["reason"] == "switched_off"
