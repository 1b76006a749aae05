"""OAuth 2.1 section 7.9, OWASP ASVS V7.5: people see and take back what is theirs, in a real browser."""

import re
import time

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Callback
from tests.browser.walks import (
    active,
    allow,
    asked,
    authenticator,
    authorize_url,
    connect,
    redeemed,
    sign_in,
    somebody,
    to_account,
)
from tests.live import LiveBroker

pytestmark = pytest.mark.browser
REFUSING = """() => {
  navigator.credentials.create = () => Promise.reject(new DOMException("", "NotAllowedError"));
}"""


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def test_a_connected_app_is_removed_and_its_tokens_die(
    page: Page, named_broker: LiveBroker, callback: Callback
) -> None:
    tokens = connect(page, named_broker, callback, "rita")
    renewed = asked(named_broker, grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()
    assert active(named_broker, renewed["access_token"])
    page.goto(f"{named_broker.issuer}/account")
    page.get_by_role("navigation").get_by_role("link", name="Apps", exact=True).click()
    expect(page.get_by_text("an app on a computer of yours")).to_be_visible()
    page.get_by_role("link", name="Desk App").click()
    expect(page.get_by_text("Read customer records")).to_be_visible()
    page.get_by_role("button", name="Remove access").click()
    heading(page, "Desk App has no access to Ticket desk")
    assert not active(named_broker, renewed["access_token"])
    refused = asked(named_broker, grant_type="refresh_token", refresh_token=renewed["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    page.get_by_role("link", name="Back to your connected apps").click()
    expect(page.get_by_text("No app may act for you.")).to_be_visible()


def test_a_session_is_ended_and_that_browser_is_signed_out(
    chromium: Browser, named_broker: LiveBroker
) -> None:
    with somebody(chromium) as phone, somebody(chromium) as desk:
        to_account(phone, named_broker, "sam")
        to_account(desk, named_broker, "sam", "/sessions")
        expect(desk.get_by_text("this browser")).to_have_count(1)
        desk.get_by_role("button", name="End this session").click()
        expect(desk.get_by_role("status")).to_have_text("1 session was ended.")
        phone.reload()
        expect(phone.get_by_label("Password")).to_be_visible()
        desk.reload()
        heading(desk, "Where you are signed in")
        desk.get_by_role("button", name="Sign out").click()
        heading(desk, "You are signed out")
        desk.goto(f"{named_broker.issuer}/account")
        expect(desk.get_by_label("Password")).to_be_visible()


def test_an_authenticator_app_is_set_up_and_asked_for_at_the_next_sign_in(
    chromium: Browser, named_broker: LiveBroker
) -> None:
    with somebody(chromium) as page, somebody(chromium) as later:
        to_account(page, named_broker, "otto", "/sign-in/app")
        page.get_by_role("button", name="Set up an app").click()
        expect(page.get_by_role("img", name="A QR code")).to_be_visible()
        page.get_by_text("Type it by hand instead").click()
        totp = pyotp.TOTP(page.locator(".secret").inner_text().replace(" ", ""))
        began = int(time.time())
        page.get_by_label("Then type the code").fill(totp.at(began))
        page.get_by_role("button", name="Turn it on").click()
        heading(page, "Your recovery codes")
        codes = page.locator(".codes code").all_inner_texts()
        assert len(codes) == 10
        page.get_by_role("link", name="I have kept them").click()
        expect(page.get_by_text("10 recovery codes are left.")).to_be_visible()
        later.goto(f"{named_broker.issuer}/account")
        sign_in(later, "otto")
        heading(later, "Show that it is you")
        later.get_by_label("Code").fill(totp.at(began))
        later.get_by_role("button", name="Continue").click()
        expect(later.get_by_role("alert")).to_be_visible()
        later.get_by_label("Code").fill(totp.at(began + totp.interval))  # a step early is in time
        later.get_by_role("button", name="Continue").click()
        heading(later, "Your account")
        later.goto(f"{named_broker.issuer}/account/sessions")
        expect(later.get_by_text("password and a second step")).to_have_count(1)


def test_a_passkey_is_made_named_used_and_removed(chromium: Browser, named_broker: LiveBroker) -> None:
    with somebody(chromium, scripts=True) as page:
        authenticator(page)
        to_account(page, named_broker, "paula", "/sign-in")
        page.get_by_role("link", name="Add a passkey").click()
        page.get_by_label("Name of the passkey").fill("Paula's laptop")
        page.get_by_role("button", name="Make the passkey").click()
        heading(page, "Ways to sign in")
        expect(page.get_by_role("link", name="Paula's laptop")).to_contain_text("Never used.")
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"{named_broker.issuer}/account/sign-in")
        page.get_by_role("button", name="Sign in with a passkey").click()
        heading(page, "Ways to sign in")
        expect(page.get_by_role("link", name="Paula's laptop")).to_contain_text("Last used")
        page.get_by_role("link", name="Paula's laptop").click()
        page.get_by_label("Name of the passkey").fill("Old laptop")
        page.get_by_role("button", name="Rename").click()
        page.get_by_role("link", name="Old laptop").click()
        page.get_by_role("button", name="Remove the passkey").click()
        heading(page, "Ways to sign in")
        expect(page.get_by_role("link", name="Old laptop")).to_have_count(0)
        expect(page.get_by_text("The passkey “Old laptop” was removed.")).to_be_visible()


def test_without_scripts_the_page_says_that_a_passkey_needs_one(page: Page, named_broker: LiveBroker) -> None:
    to_account(page, named_broker, "nora", "/sign-in/passkeys/new")
    said = page.locator("noscript").inner_text()  # shown where scripts are off for good, not by a debugger
    assert "the one thing here that needs JavaScript" in said
    expect(page.get_by_role("button", name="Make the passkey")).to_have_count(0)


def test_a_device_without_passkeys_leads_back_to_the_page(
    chromium: Browser, named_broker: LiveBroker
) -> None:
    with somebody(chromium, scripts=True) as page:
        to_account(page, named_broker, "nora", "/sign-in/passkeys/new")
        button = page.get_by_role("button", name="Make the passkey")
        page.evaluate(REFUSING)
        button.click()
        expect(page.get_by_text("No passkey was made: it was cancelled")).to_be_visible()
        expect(button).to_be_enabled()


def test_what_is_asked_more_than_before_is_marked_and_the_rest_is_kept(
    page: Page, named_broker: LiveBroker, callback: Callback
) -> None:
    first = connect(page, named_broker, callback, "wanda", scope="tickets:read")
    assert first["scope"] == "tickets:read"
    page.goto(authorize_url(named_broker.issuer, callback.uri, scope="tickets:read tickets:write"))
    expect(page.get_by_text("Adds 1 permission to what you allowed on")).to_be_visible()
    before = page.get_by_role("listitem").filter(has_text="Read tickets")
    expect(before).to_contain_text("allowed before")
    expect(before.get_by_text("new", exact=True)).to_have_count(0)
    added = page.get_by_role("listitem").filter(has_text="Change tickets")
    expect(added.get_by_text("new", exact=True)).to_be_visible()
    expect(page.get_by_text("new", exact=True)).to_have_count(1)
    wider = redeemed(named_broker, callback, allow(page, callback))
    assert set(wider["scope"].split()) == {"tickets:read", "tickets:write"}


def test_everything_can_be_done_with_the_keyboard_alone(
    page: Page, named_broker: LiveBroker, callback: Callback
) -> None:
    def to(name: str) -> None:
        """Press Tab until what has this name has the focus, which has to show."""
        wanted = page.get_by_label(name, exact=True).or_(page.get_by_role("button", name=name, exact=True))
        wanted = wanted.or_(page.get_by_role("link", name=name, exact=True))
        wanted = wanted.or_(page.get_by_role("checkbox", name=name)).first
        for _ in range(40):
            if wanted.evaluate("e => e === document.activeElement"):
                outline = wanted.evaluate("e => getComputedStyle(e).outlineStyle")
                assert outline != "none", f"the focus on {name} does not show"
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach {name}")

    page.goto(authorize_url(named_broker.issuer, callback.uri))
    to("Username")
    page.keyboard.type("kim")
    to("Password")
    page.keyboard.type("correct horse battery staple")
    page.keyboard.press("Enter")
    heading(page, "Desk App wants to use Ticket desk")
    to("Read customer records")
    page.keyboard.press("Space")
    to("Allow")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading")).to_have_text("Back at the app")
    page.goto(f"{named_broker.issuer}/account")
    to("Apps")
    page.keyboard.press("Enter")
    to("Desk App")
    page.keyboard.press("Enter")
    to("Remove access")
    page.keyboard.press("Enter")
    heading(page, "Desk App has no access to Ticket desk")
    to("Sign out")
    page.keyboard.press("Enter")
    heading(page, "You are signed out")
