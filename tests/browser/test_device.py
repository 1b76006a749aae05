"""RFC 8628 section 3.3 in a real browser without scripts: a code typed, compared, allowed; a link that is refused."""

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_pages import sign_in
from tests.live import LiveBroker

pytestmark = pytest.mark.browser

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def begun(broker: LiveBroker) -> dict[str, object]:
    form = {"client_id": "tv-app", "scope": "tickets:read", "resource": "https://tickets.example/mcp"}
    answer = httpx2.post(f"{broker.issuer}/device_authorization", data=form, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def polled(broker: LiveBroker, device: dict[str, object]) -> dict[str, object]:
    form = {"client_id": "tv-app", "grant_type": GRANT, "device_code": device["device_code"]}
    return httpx2.post(f"{broker.issuer}/token", data=form, trust_env=False).json()


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def test_a_person_types_what_the_device_shows_compares_and_allows(
    page: Page, live_broker: LiveBroker
) -> None:
    device = begun(live_broker)
    page.goto(str(device["verification_uri"]))
    expect(page.get_by_label("Code")).to_be_focused()
    page.get_by_label("Code").fill("bbbbbbbbbb")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    page.get_by_label("Code").fill(str(device["user_code"]).replace("-", "").lower())
    page.get_by_role("button", name="Continue").click()
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("TV App")
    notice = page.get_by_role("region", name="Credentials will be sent to")
    for words in (
        str(device["user_code"]),
        "127.0.0.1",
        "did you start this yourself, just now?",
        "python-httpx",
    ):
        expect(notice).to_contain_text(words)
    assert polled(live_broker, device)["error"] == "authorization_pending"
    page.get_by_role("button", name="Allow").click()
    assert heading(page) == "The device is connected"
    assert "access_token" in polled(live_broker, device)


def test_a_link_with_the_code_asks_and_can_be_refused(page: Page, live_broker: LiveBroker) -> None:
    device = begun(live_broker)
    page.goto(str(device["verification_uri_complete"]))
    sign_in(page)
    expect(page.get_by_text(str(device["user_code"]))).to_be_visible()
    page.get_by_role("button", name="Deny").click()
    assert heading(page) == "The device is not connected"
    assert polled(live_broker, device)["error"] == "access_denied"


@pytest.mark.parametrize("width", [320, 820])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_their_window(
    chromium: Browser, live_broker: LiveBroker, scheme: str, width: int
) -> None:
    device = begun(live_broker)
    size = {"width": width, "height": 640}
    with chromium.new_context(java_script_enabled=False, color_scheme=scheme, viewport=size) as context:
        page = context.new_page()
        page.goto(str(device["verification_uri"]))
        widths = [page.evaluate("document.documentElement.scrollWidth")]
        page.goto(str(device["verification_uri_complete"]))
        sign_in(page)
        expect(page.get_by_text(str(device["user_code"]))).to_be_visible()
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
    assert widths == [width, width]
