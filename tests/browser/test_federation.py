"""Signing in at an upstream provider with a real browser that runs no scripts: there, back, and as whom."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Callback
from tests.browser.test_pages import sign_in
from tests.browser.walks import authorize_url, redeemed
from tests.federation.real import Pair, pair
from tests.lab import claims
from tests.live import arrived

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("upstream")) as found:
        yield found


def at_the_provider(page: Page, both: Pair, person: str) -> None:
    """Sign in there, and let it tell."""
    page.wait_for_url(f"{both.issuer}/**")
    page.locator("input[name=login]").fill(person)
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button").first.click()
    page.get_by_role("button", name="Continue").click()


def test_a_person_signs_in_elsewhere_and_allows_here(page: Page, both: Pair, callback: Callback) -> None:
    page.goto(authorize_url(both.broker.issuer, callback.uri))
    page.get_by_role("link", name="Corporate account").click()
    at_the_provider(page, both, "erin")
    expect(page.get_by_text("erin of the company")).to_be_visible()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading")).to_have_text("Back at the app")
    code = arrived(callback.arrivals.get(timeout=15))["code"]
    token = claims(str(redeemed(both.broker, callback, code)["access_token"]))
    assert (token["sub"], token["tenant"], token["amr"]) == ("erin", "acme", ["fed"])


def test_a_person_who_says_no_there_signs_in_here_instead(page: Page, both: Pair, callback: Callback) -> None:
    page.goto(authorize_url(both.broker.issuer, callback.uri))
    page.get_by_role("link", name="Corporate account").click()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You were not signed in there")
    page.get_by_role("link", name="Back to sign-in").click()
    sign_in(page)
    page.get_by_role("button", name="Allow").click()
    assert "code" in arrived(callback.arrivals.get(timeout=15))


@pytest.mark.parametrize("width", [360, 820])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_way_there_is_a_button_that_fits(
    chromium: Browser, both: Pair, callback: Callback, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 640}
    with chromium.new_context(java_script_enabled=False, color_scheme=scheme, viewport=size) as context:
        page = context.new_page()
        page.goto(authorize_url(both.broker.issuer, callback.uri))
        link = page.get_by_role("link", name="Corporate account")
        expect(link).to_be_visible()
        assert link.evaluate("e => e.getBoundingClientRect().height") >= 44
        assert page.evaluate("document.documentElement.scrollWidth") == width
