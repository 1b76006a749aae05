"""WCAG 2.2 AA, checked by axe-core: every page, light and dark, wide and narrow; and how each of them looks."""

import json
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import httpx2
import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from broker.web import texts
from tests.browser.conftest import Callback, patient
from tests.browser.test_approvals import ARGUMENTS
from tests.browser.test_connections import vault
from tests.browser.test_documents import published
from tests.browser.test_federation import at_the_provider, both
from tests.browser.walks import (
    RESOURCE,
    active,
    allow,
    asked,
    authenticator,
    authorize_url,
    called,
    connect,
    redeemed,
    reset_link,
    sign_in,
    to_account,
)
from tests.clients import installed
from tests.federation.real import Pair
from tests.lab import claims
from tests.live import LiveBroker, arrived
from tests.vault.real import Pair as Vault

__all__ = ["both", "published", "vault"]  # fixtures

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parent.parent.parent / "docs" / "screenshots"
WIDE, NARROW = {"width": 820, "height": 640}, {"width": 360, "height": 640}
FORMS = (("light", WIDE, ""), ("dark", WIDE, "-dark"), ("light", NARROW, "-narrow"), ("dark", NARROW, None))
RULES = """async () => {
  const kinds = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await axe.run(document, {runOnly: {type: "tag", values: kinds}});
  return {
    checked: found.passes.length,
    wrong: found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.html).join(" | ")}`),
    open: found.incomplete.filter(one => one.impact === "critical").map(one => one.id),
  };
}"""
Look = Callable[[str], None]


@cache
def axe() -> Path:
    return installed.packages(Path(__file__).parent) / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """At a browser that runs scripts, those of the checks too."""
    with chromium.new_context(bypass_csp=True, viewport=WIDE) as context:
        context.set_default_timeout(20_000)
        yield patient(context.new_page())


@pytest.fixture
def look(page: Page, retake: bool) -> Look:
    """Look at the page as it is now, in every form; `name` is the picture's."""

    def checked(name: str) -> None:
        page.add_script_tag(path=axe())
        for scheme, size, suffix in FORMS:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(size)
            where = f"{name}, {scheme}, {size['width']} wide"
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], where
            found = page.evaluate(RULES)
            assert found["wrong"] == [] and found["open"] == [], where
            assert found["checked"] > 10, where
            small = page.evaluate(TARGETS)
            assert small == [], where
            assert page.evaluate(TOUCHING) == [], where
            if retake and suffix is not None:
                page.screenshot(path=SCREENSHOTS / f"{name}{suffix}.png", full_page=True)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(WIDE)

    return checked


TARGETS = """() => [...document.querySelectorAll("button, a.button, nav a, input:not([type=hidden]), select, summary")]
  .filter(one => one.checkVisibility())
  .map(one => [one.closest("label") ?? one, one])
  .filter(([area]) => area.getBoundingClientRect().height < 24 || area.getBoundingClientRect().width < 24)
  .map(([, one]) => one.outerHTML)"""
"""WCAG 2.2 success criterion 2.5.8: what can be pressed measures 24 by 24 pixels at least."""

TOUCHING = """() => [...document.querySelectorAll("main button, main a.button")]
  .filter(one => one.checkVisibility())
  .flatMap(one => [...document.querySelectorAll(".destination, .fix, .alert, .warning, .done, .codes")]
    .filter(box => Math.abs(one.getBoundingClientRect().top - box.getBoundingClientRect().bottom) < 8)
    .map(() => one.outerHTML))"""
"""Buttons that stick to the box above them."""


def test_signing_in_and_allowing(
    page: Page, look: Look, named_broker: LiveBroker, callback: Callback
) -> None:
    page.goto(named_broker.door("acme"))
    look("home")
    page.goto(authorize_url(named_broker.issuer, callback.uri))
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
    look("sign-in")
    sign_in(page, "axel", "not the password")
    look("sign-in-wrong")
    sign_in(page, "axel")
    look("consent")
    page.get_by_role("checkbox", name="Read customer records").uncheck()
    page.get_by_role("checkbox", name="Change tickets").uncheck()
    allow(page, callback)
    page.goto(authorize_url(named_broker.issuer, callback.uri))
    look("consent-wider")
    page.goto(authorize_url(named_broker.issuer, callback.uri, client_id="nobody"))
    look("error")
    page.goto(f"{named_broker.issuer}/logout")
    look("sign-out")
    page.get_by_role("button", name="Stay signed in").click()
    look("still-signed-in")
    page.goto(f"{named_broker.issuer}/logout")
    page.get_by_role("button", name="Sign out").click()
    look("signed-out")


def test_connecting_a_device(page: Page, look: Look, named_broker: LiveBroker) -> None:
    begun = httpx2.post(
        f"{named_broker.issuer}/device_authorization",
        data={"client_id": "tv-app", "resource": RESOURCE, "scope": "tickets:read"},
        headers={"User-Agent": "TV/1.0"},
        trust_env=False,
    ).json()
    page.goto(begun["verification_uri"])
    page.get_by_label("Code").fill("BDFG-HJKL")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look("device")
    page.get_by_label("Code").fill(begun["user_code"].replace("-", " ").lower())
    page.get_by_role("button", name="Continue").click()
    sign_in(page, "tina")
    expect(page.get_by_text(begun["user_code"])).to_be_visible()
    look("consent-device")
    page.get_by_role("button", name="Allow").click()
    look("device-connected")
    polled = {"client_id": "tv-app", "device_code": begun["device_code"]}
    grant_type = "urn:ietf:params:oauth:grant-type:device_code"
    answer = asked(named_broker, grant_type=grant_type, **polled)
    assert answer.status_code == 200 and active(named_broker, answer.json()["access_token"])
    other = httpx2.post(
        f"{named_broker.issuer}/device_authorization", data={"client_id": "tv-app"}, trust_env=False
    ).json()
    page.goto(other["verification_uri"])
    page.get_by_label("Code").fill(other["user_code"])
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(texts.say("done.refused.title"))
    look("device-refused")


def test_allowing_single_calls(page: Page, look: Look, named_broker: LiveBroker, callback: Callback) -> None:
    calls = [
        {"name": "read_customer", "arguments": {"id": {"enum": ["c-17", "c-18"]}}},
        {"name": "search_tickets"},
    ]
    details = json.dumps([{"type": "mcp_tool_call", "locations": [RESOURCE], "tools": calls}])
    asking = {"client_id": "calls-app", "authorization_details": details}
    page.goto(authorize_url(named_broker.issuer, callback.uri, **asking))
    sign_in(page, "tina")
    expect(page.get_by_role("heading", name="Only these calls")).to_be_visible()
    look("consent-calls")
    allow(page, callback)
    page.goto(f"{named_broker.issuer}/account/apps")
    page.get_by_role("link", name="Calls App").click()
    expect(page.get_by_role("heading", name="Only these calls")).to_be_visible()
    look("account-app-calls")


def test_allowing_one_exact_call(
    page: Page, look: Look, named_broker: LiveBroker, callback: Callback, chromium: Browser
) -> None:
    token = connect(page, named_broker, callback, "nora", scope="credits:write tickets:write")["access_token"]
    for number, amount in enumerate((250, 7)):
        said = {**ARGUMENTS, "amount": amount}
        intent = "The customer was charged twice in October and asks for the second payment."
        asked_for = called(named_broker, token, "issue_credit", said, f"k{number}", intent=intent)
        page.goto(asked_for["context"]["access_request"]["form_url"])
    look("approval-asked")
    with chromium.new_context(bypass_csp=True) as context:
        other = context.new_page()
        other.goto(page.url)
        sign_in(other, "ada")
        other.get_by_label("Reason").fill("Too small to bother")
        other.get_by_role("button", name="Refuse", exact=True).click()
        expect(other.get_by_role("status")).to_be_visible()
    page.reload()
    look("approval-refused")
    page.goto(f"{named_broker.issuer}/logout")
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{named_broker.issuer}/approvals")
    sign_in(page, "ada")
    look("approvals")
    page.get_by_role("listitem").filter(has_text="Nora Narrow").get_by_role("link").first.click()
    look("approval")
    page.get_by_text("502 characters, all of them:").click()
    page.get_by_text("Exactly which call").click()
    look("approval-unfolded")
    page.get_by_role("button", name="Allow once").click()
    expect(page.get_by_role("status")).to_be_visible()
    look("approval-allowed")


def test_the_account(page: Page, look: Look, named_broker: LiveBroker, callback: Callback) -> None:
    page.goto(authorize_url(named_broker.issuer, callback.uri))
    sign_in(page, "alice")
    allow(page, callback)
    page.goto(f"{named_broker.issuer}/account")
    look("account")
    page.goto(f"{named_broker.issuer}/account/apps")
    look("account-apps")
    page.get_by_role("link", name="Desk App").click()
    look("account-app")
    page.get_by_role("button", name="Remove access").click()
    look("account-app-removed")
    page.get_by_role("link", name="Back to your connected apps").click()
    look("account-no-apps")
    with page.context.browser.new_context() as context:  # type: ignore[union-attr]  # it has one
        other = context.new_page()
        to_account(other, named_broker, "alice")
    page.goto(f"{named_broker.issuer}/account/sessions")
    look("account-sessions")
    page.get_by_role("button", name="End all other sessions").click()
    look("account-sessions-ended")


def test_the_ways_to_sign_in(page: Page, look: Look, named_broker: LiveBroker) -> None:
    to_account(page, named_broker, "dora", "/sign-in")
    look("account-ways")
    page.get_by_role("link", name="Change the password").click()
    look("account-password")
    page.goto(f"{named_broker.issuer}/account/sign-in/passkeys/new")
    look("account-passkey-new")
    page.goto(f"{named_broker.issuer}/account/sign-in/app")
    look("account-app-code")
    page.get_by_role("button", name="Set up an app").click()
    look("account-app-code-new")
    page.get_by_text("Type it by hand instead").click()
    totp = pyotp.TOTP(page.locator(".secret").inner_text().replace(" ", ""))
    began = int(time.time())
    page.get_by_label("Then type the code").fill(totp.at(began))
    page.get_by_role("button", name="Turn it on").click()
    look("account-recovery-codes")
    page.goto(f"{named_broker.issuer}/account/sign-in")
    look("account-ways-more")
    page.get_by_role("link", name="Replace or remove").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Show that it is you")
    look("sign-in-second-step")
    page.get_by_label("Code").fill(totp.at(began + totp.interval))
    page.get_by_role("button", name="Continue").click()
    look("account-app-code-on")


def test_one_passkey(page: Page, look: Look, named_broker: LiveBroker) -> None:
    authenticator(page)
    to_account(page, named_broker, "mira", "/sign-in/passkeys/new")
    page.get_by_label("Name of the passkey").fill("Mira's laptop")
    page.get_by_role("button", name="Make the passkey").click()
    page.get_by_role("link", name="Mira's laptop").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Show that it is you")
    look("sign-in-second-step-passkey")
    page.get_by_role("button", name="passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mira's laptop")
    look("account-passkey")


def test_a_new_password_by_a_link(page: Page, look: Look, named_broker: LiveBroker) -> None:
    page.goto(reset_link(named_broker, "lena"))
    look("password-reset")
    page.get_by_label("New password", exact=True).fill("short")
    page.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look("password-reset-wrong")
    page.get_by_label("New password", exact=True).fill("a quite new battery staple")
    page.get_by_role("button").click()
    look("password-reset-done")
    page.goto(f"{named_broker.issuer}/account")
    sign_in(page, "lena", "a quite new battery staple")
    expect(page.get_by_role("navigation", name="Your account")).to_be_visible()


def test_ways_in_that_others_vouch_for(page: Page, look: Look, named_broker: LiveBroker) -> None:
    page.goto(f"{named_broker.door('initech')}/account")
    expect(page.get_by_role("link", name="Corporate account")).to_be_visible()
    expect(page.get_by_role("link", name="Partner network")).to_be_visible()
    look("sign-in-providers")


def test_allowing_for_one_of_two_organizations(
    page: Page, look: Look, named_broker: LiveBroker, callback: Callback
) -> None:
    page.goto(authorize_url(named_broker.issuer, callback.uri))
    sign_in(page, "toni")
    look("consent-organizations")
    page.get_by_role("radio", name="Globex Consulting").check()
    token = claims(redeemed(named_broker, callback, allow(page, callback))["access_token"])
    assert (token["sub"], token["tenant"]) == ("toni", "globex")
    page.goto(authorize_url(named_broker.issuer, callback.uri))
    expect(page.get_by_role("link", name="Choose another organization")).to_be_visible()
    look("consent-organization-known")
    page.goto(f"{named_broker.issuer}/account/apps")
    page.get_by_role("link", name="Desk App").click()
    page.get_by_role("link", name="Change the organization").click()
    look("account-app-organization")
    page.get_by_role("radio", name="Ask me the next time").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("you will be asked for which organization")).to_be_visible()
    page.goto(authorize_url(named_broker.issuer, callback.uri))
    expect(page.get_by_role("radio", name="Acme Corporation")).not_to_be_checked()


def test_accounts_elsewhere(page: Page, look: Look, vault: Vault, callback: Callback) -> None:
    call = connect(page, vault.broker, callback, "axel", scope="tickets:read")["access_token"]
    there, to_forge = f"{vault.forge.origin}/authorize?*", page.get_by_role("button", name="Go to 127.0.0.1")
    page.goto(f"{vault.broker.issuer}/account")
    look("account-connections")
    page.get_by_role("navigation").get_by_role("link", name="Connections").click()
    look("connections")
    page.get_by_role("link", name="Forge").click()
    look("connect")
    page.get_by_role("checkbox", name="Read your repositories").uncheck()
    to_forge.click()
    expect(page.get_by_role("alert")).to_be_visible()
    look("connect-nothing")
    page.get_by_role("checkbox", name="Read your repositories").check()
    page.route(there, lambda route: route.fulfill(status=204))  # a browser stays where it is for that
    to_forge.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("On the way to Forge")
    look("connect-leaving")
    page.unroute(there)
    page.locator("main").get_by_text("Go to 127.0.0.1").click()
    page.get_by_role("button", name="Refuse there").click()
    look("connect-refused")
    vault.forge.lifetime, vault.forge.wider = 30, "repo:admin"  # renewed at each use
    page.goto(f"{vault.broker.issuer}/connections/forge")
    to_forge.click()
    page.get_by_role("button", name="Allow there").click()
    expect(page.get_by_role("status")).to_be_visible()
    look("connected")
    vault.forge.wider = ""
    page.goto(f"{vault.broker.issuer}/connections/forge")
    to_forge.click()
    page.get_by_role("button", name="Allow there").click()
    expect(page.get_by_role("status")).to_be_visible()
    vault.forge.forget()
    assert vault.released(call).json()["error"] == "interaction_required"
    page.goto(f"{vault.broker.issuer}/connections")
    look("connections-again")
    page.get_by_role("link", name="Forge").click()
    look("connect-again")
    page.get_by_role("button", name="Disconnect Forge").click()
    look("disconnected")


def test_going_back_to_the_app_by_a_form(
    page: Page, look: Look, named_broker: LiveBroker, callback: Callback
) -> None:
    page.route("**/form_post.js", lambda route: route.abort())  # it would go on before anybody looked
    page.goto(authorize_url(named_broker.issuer, callback.uri, response_mode="form_post"))
    sign_in(page, "fiona")
    page.get_by_role("button", name="Allow").click()
    look("form-post")
    page.get_by_role("button").click()
    expect(page.get_by_role("heading")).to_have_text("Back at the app")
    code = arrived(callback.arrivals.get(timeout=15))["code"]
    assert active(named_broker, redeemed(named_broker, callback, code)["access_token"])


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_leaving_for_an_app_that_nobody_vouches_for(
    page: Page, look: Look, named_broker: LiveBroker, mode: str
) -> None:
    back = "https://notes.example/oauth/callback"
    asked_for = {"client_name": "Notes", "redirect_uris": [back], "token_endpoint_auth_method": "none"}
    client = httpx2.post(f"{named_broker.issuer}/register", json=asked_for, trust_env=False).json()
    asking = {"client_id": client["client_id"], "scope": "no:such", "response_mode": mode}
    page.route("https://notes.example/**", lambda route: route.fulfill(body="Notes"))
    with page.expect_request("https://notes.example/**") as left:
        page.goto(authorize_url(named_broker.issuer, back, **asking))
        expect(page.get_by_role("heading", level=1)).to_have_text("This app could not connect")
        look("leaving" if mode == "query" else "leaving-by-form")
        page.locator("main").get_by_text("Go to notes.example").click()
    if mode == "form_post":
        assert (left.value.method, left.value.url) == ("POST", back)
        assert "error=invalid_scope" in (left.value.post_data or "")
    else:
        assert left.value.url.startswith(f"{back}?error=invalid_scope&")


def test_allowing_a_client_that_is_known_by_its_document(
    page: Page, look: Look, live_broker: LiveBroker, callback: Callback, published: str
) -> None:
    page.goto(authorize_url(live_broker.issuer, callback.uri, client_id=published))
    look("sign-in-document")
    sign_in(page, "alice")
    expect(page.get_by_text("unverified app")).to_be_visible()
    look("consent-document")
    gone = published.replace("client.json", "gone.json")
    page.goto(authorize_url(live_broker.issuer, callback.uri, client_id=gone))
    expect(page.get_by_role("heading", level=1)).to_have_text("We could not find out which app this is")
    look("error-document")


def test_a_provider_that_says_no_and_one_that_is_linked(page: Page, look: Look, both: Pair) -> None:
    page.goto(f"{both.broker.issuer}/account/sign-in")
    page.get_by_role("link", name="Corporate account").click()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You were not signed in there")
    look("error-provider")
    page.get_by_role("link", name="Back to sign-in").click()
    page.get_by_role("link", name="Corporate account").click()
    at_the_provider(page, both, "erin")
    page.goto(f"{both.broker.issuer}/account/sign-in")
    expect(page.get_by_role("heading", level=3, name="Corporate account")).to_be_visible()
    look("account-ways-linked")
