"""The consent page of a client that is known by its document, in a real browser, light and dark, wide and narrow."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Callback
from tests.browser.test_pages import SCHEMES, WIDTHS, sign_in
from tests.browser.walks import authorize_url
from tests.documents import Site
from tests.live import LiveBroker

pytestmark = pytest.mark.browser


@pytest.fixture
def published(callback: Callback) -> Iterator[str]:
    """A client on loopback beside the broker, which is for development: it calls itself like another one."""
    site = Site()
    yield site.publish(host="localhost", client_name="Claude", redirect_uris=[callback.uri])
    site.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_host_that_asks_is_the_largest_text_and_the_warning_stands_out(
    chromium: Browser, live_broker: LiveBroker, callback: Callback, published: str, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 640}
    with chromium.new_context(java_script_enabled=False, color_scheme=scheme, viewport=size) as context:
        page = context.new_page()
        page.goto(authorize_url(live_broker.issuer, callback.uri, client_id=published))
        sign_in(page)
        host = published.removeprefix("http://").removesuffix("/client.json")
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_have_text(f"{host} wants to use Ticket desk")
        size_of = "e => parseFloat(getComputedStyle(e).fontSize)"
        who = heading.locator("strong")
        expect(who).to_have_text(host)
        others = page.locator("main *:not(.who)").evaluate_all(f"all => all.map({size_of})")
        assert who.evaluate(size_of) > max(others)
        expect(page.get_by_text("calls itself “Claude”. Nobody has checked that name.")).to_be_visible()
        expect(page.get_by_text("unverified app")).to_be_visible()
        note = page.get_by_role("note")
        expect(note).to_contain_text(f"Any program on this computer can ask in the name of {host}")
        paint = "e => getComputedStyle(e).backgroundColor"
        assert note.evaluate(paint) != page.locator("main").evaluate(paint)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide == width
        page.get_by_role("button", name="Allow").click()
        expect(page.get_by_role("heading")).to_have_text("Back at the app")
        assert "code=" in callback.arrivals.get(timeout=15)


def test_an_app_that_cannot_be_told_gets_a_page_that_says_who_can_fix_it(
    chromium: Browser, live_broker: LiveBroker, callback: Callback, published: str
) -> None:
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        gone = published.replace("client.json", "gone.json")
        answer = page.goto(authorize_url(live_broker.issuer, callback.uri, client_id=gone))
        assert answer is not None and answer.status == 400
        expect(page.get_by_role("heading", level=1)).to_have_text("We could not find out which app this is")
        expect(page.locator("main")).to_contain_text("only the maker of the app can fix")
        page.locator("summary").click()
        expect(page.get_by_text("client_document_invalid")).to_be_visible()
        expect(page.get_by_text("it is answered with status 404")).to_be_visible()
