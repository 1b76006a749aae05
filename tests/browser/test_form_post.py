"""OAuth 2.0 Form Post Response Mode in a real browser, under the page's own policy, with scripts and without."""

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.conftest import Callback
from tests.browser.test_pages import sign_in
from tests.browser.walks import active, authorize_url, redeemed, somebody
from tests.live import LiveBroker, arrived

pytestmark = pytest.mark.browser


def allowed(page: Page, broker: LiveBroker, callback: Callback) -> list[Request]:
    """Say yes to an app that wants its answer posted; what the browser sends there from now on."""
    sent: list[Request] = []
    page.on("request", lambda one: sent.append(one) if one.url.startswith(callback.uri) else None)
    page.goto(authorize_url(broker.issuer, callback.uri, response_mode="form_post"))
    sign_in(page)
    page.get_by_role("button", name="Allow").click()
    return sent


def received(page: Page, broker: LiveBroker, callback: Callback, sent: list[Request]) -> None:
    """The app has its code, in the body of the one request that came."""
    expect(page.get_by_role("heading")).to_have_text("Back at the app")
    assert [(one.method, one.url) for one in sent] == [("POST", callback.uri)]
    found = arrived(callback.arrivals.get(timeout=15))
    assert (found["iss"], found["state"]) == (broker.issuer, "st4te") and callback.arrivals.empty()
    assert active(broker, redeemed(broker, callback, found["code"])["access_token"])


def test_the_script_presses_the_button_under_the_pages_own_policy(
    chromium: Browser, live_broker: LiveBroker, callback: Callback
) -> None:
    with somebody(chromium, scripts=True) as page:
        complaints: list[str] = []
        page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
        sent = allowed(page, live_broker, callback)
        received(page, live_broker, callback, sent)
        assert not [one for one in complaints if "Content Security Policy" in one]


def test_without_scripts_the_person_presses_it(
    page: Page, live_broker: LiveBroker, callback: Callback
) -> None:
    sent = allowed(page, live_broker, callback)
    button = page.locator("#primary").get_by_role("button")
    expect(button).to_be_focused()
    assert sent == [] and callback.arrivals.empty()
    button.click()
    received(page, live_broker, callback, sent)
