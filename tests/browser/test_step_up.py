"""RFC 9470: what demands a second factor asks for it alone, in a real browser, and the token says that it was shown."""

import pytest
from playwright.sync_api import Page, expect

from broker.protocol import acr
from tests.browser.conftest import Callback
from tests.browser.walks import allow, authorize_url, connect, redeemed, second_factor
from tests.lab import claims
from tests.live import LiveBroker

pytestmark = pytest.mark.browser


def test_a_scope_that_demands_a_second_factor_leads_to_it_and_then_says_what_is_added(
    page: Page, named_broker: LiveBroker, callback: Callback
) -> None:
    first = claims(connect(page, named_broker, callback, "stella", scope="tickets:read")["access_token"])
    assert (first["acr"], first["scope"]) == (acr.PASSWORD, "tickets:read")
    totp, began = second_factor(page, named_broker)

    page.goto(authorize_url(named_broker.issuer, callback.uri, scope="tickets:read"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Desk App wants to use Ticket desk")
    page.goto(authorize_url(named_broker.issuer, callback.uri, scope="tickets:read refunds:approve"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Show that it is you")
    expect(page.get_by_label("Password")).to_have_count(0)
    page.get_by_label("Code").fill(totp.at(began + totp.interval))  # a step early is in time
    page.get_by_role("button", name="Continue").click()

    expect(page.get_by_text("Adds 1 permission to what you allowed on")).to_be_visible()
    added = page.get_by_role("listitem").filter(has_text="Approve refunds")
    expect(added.get_by_text("new", exact=True)).to_be_visible()
    kept = page.get_by_role("listitem").filter(has_text="Read tickets")
    expect(kept.get_by_text("allowed before", exact=True)).to_be_visible()
    token = claims(redeemed(named_broker, callback, allow(page, callback))["access_token"])
    assert (token["acr"], token["sub"]) == (acr.MFA, "stella")
    assert set(token["amr"]) == {"pwd", "otp", "mfa"}
    assert set(token["scope"].split()) == {"tickets:read", "refunds:approve"}
