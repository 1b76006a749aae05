"""OAuth 2.1 section 4.1 with a real browser that runs no scripts: sign-in, consent, refusal, and how it looks."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Callback
from tests.browser.walks import authorize_url, redeemed
from tests.live import PASSWORD, LiveBroker, arrived

pytestmark = pytest.mark.browser

SCHEMES = ("light", "dark")
WIDTHS = (360, 820)


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def to_sign_in(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_label("Password")).to_be_visible()


def to_consent(page: Page, url: str) -> None:
    to_sign_in(page, url)
    sign_in(page)
    expect(page.get_by_role("button", name="Allow")).to_be_visible()


def to_error(page: Page, url: str) -> None:
    page.goto(url.replace("client_id=desk-app", "client_id=nobody"))
    expect(page.get_by_role("heading", level=1)).to_have_text("This app is not known here")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("visit", [to_sign_in, to_consent, to_error])
def test_a_page_fits_its_window_and_follows_the_scheme(
    chromium: Browser,
    live_broker: LiveBroker,
    callback: Callback,
    visit: Callable[[Page, str], None],
    scheme: str,
    width: int,
) -> None:
    size = {"width": width, "height": 640}
    with chromium.new_context(java_script_enabled=False, color_scheme=scheme, viewport=size) as context:
        page = context.new_page()
        visit(page, authorize_url(live_broker.issuer, callback.uri))
        wide, inside = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert (wide, inside) == (width, width)
        colour = page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).map(Number)"
        )
        assert (sum(colour[:3]) > 3 * 128) == (scheme == "light"), "the style sheet of this scheme applies"


def test_a_wrong_password_is_told_and_the_right_one_goes_on(
    page: Page, live_broker: LiveBroker, callback: Callback
) -> None:
    page.goto(authorize_url(live_broker.issuer, callback.uri))
    sign_in(page, "not the password")
    expect(page.get_by_role("alert")).to_contain_text("The username or the password is wrong.")
    expect(page.get_by_label("Username")).to_have_value("alice")
    expect(page.get_by_label("Password")).to_have_value("")
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Desk App wants to use Ticket desk")


def test_what_the_user_leaves_ticked_is_what_the_client_gets(
    page: Page, live_broker: LiveBroker, callback: Callback
) -> None:
    page.goto(authorize_url(live_broker.issuer, callback.uri))
    sign_in(page)
    page.get_by_role("checkbox", name="Read customer records").uncheck()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading")).to_have_text("Back at the app")
    landed = callback.arrivals.get(timeout=15)
    assert landed == page.url
    found = arrived(landed)
    assert (found["iss"], found["state"]) == (live_broker.issuer, "st4te")
    token = redeemed(live_broker, callback, found["code"])
    assert token["scope"] == "tickets:read tickets:write" and "refresh_token" in token


def test_a_client_that_may_not_stay_connected_gets_no_longer_than_the_page_said(
    page: Page, live_broker: LiveBroker, callback: Callback
) -> None:
    page.goto(authorize_url(live_broker.issuer, callback.uri))
    sign_in(page)
    expect(page.get_by_text("Without the tick below, access lasts 5 minutes")).to_be_visible()
    page.get_by_role("checkbox", name="Stay connected").uncheck()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading")).to_have_text("Back at the app")
    token = redeemed(live_broker, callback, arrived(callback.arrivals.get(timeout=15))["code"])
    assert token["expires_in"] == 300 and "refresh_token" not in token


def test_a_user_who_denies_comes_back_without_a_code(
    page: Page, live_broker: LiveBroker, callback: Callback
) -> None:
    page.goto(authorize_url(live_broker.door("acme"), callback.uri))
    sign_in(page)
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("heading")).to_have_text("Back at the app")
    found = arrived(callback.arrivals.get(timeout=15))
    assert (found["error"], found["iss"]) == ("access_denied", live_broker.door("acme"))
    assert found["state"] == "st4te" and "code" not in found


def test_an_address_that_the_client_did_not_register_is_never_gone_to(
    page: Page, live_broker: LiveBroker, callback: Callback
) -> None:
    url = authorize_url(live_broker.issuer, callback.uri.replace("/callback", "/callback2"))
    answer = page.goto(url)
    assert answer is not None and answer.status == 400
    expect(page.get_by_role("heading", level=1)).to_have_text("We stopped before sending you on")
    assert page.url == url and callback.arrivals.empty()
