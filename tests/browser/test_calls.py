"""RFC 9396 section 4 with a real browser: single calls on the consent page, as people see them."""

import json

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Callback
from tests.browser.test_pages import sign_in
from tests.browser.walks import RESOURCE, VERIFIER, authorize_url
from tests.live import LiveBroker, arrived

pytestmark = pytest.mark.browser

TRICKY = "EUR\u202e 001"
CALLS = [
    "search_tickets",
    {
        "name": "close_ticket",
        "arguments": {
            "number": {"enum": ["T-17", "T-18"]},
            "hours": {"minimum": 0, "maximum": 7.5},
            "reason": {"const": f"Paid {TRICKY}, p\u0430ypal  " + "x" * 200},
            "note": {"maxLength": 80},
            "notify": {},
        },
    },
]


def asking(live_broker: LiveBroker, callback: Callback) -> str:
    details = [{"type": "mcp_tool_call", "locations": [RESOURCE], "tools": CALLS}]
    return authorize_url(
        live_broker.issuer,
        callback.uri,
        client_id="calls-app",
        scope="tickets:read tickets:write",
        authorization_details=json.dumps(details),
    )


def test_a_person_sees_each_call_and_leaves_out_those_of_a_permission(
    page: Page, live_broker: LiveBroker, callback: Callback
) -> None:
    page.goto(asking(live_broker, callback))
    sign_in(page)
    section = page.get_by_role("region", name="Only these calls")
    expect(section).to_contain_text("search_tickets")
    expect(section).to_contain_text("a number from 0 to 7.5")
    expect(section).to_contain_text(r"EUR\u202e 001")
    expect(section).to_contain_text(r"p\u0430ypal")
    page.get_by_role("checkbox", name="Change tickets").uncheck()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading")).to_have_text("Back at the app")
    form = {
        "grant_type": "authorization_code",
        "client_id": "calls-app",
        "code": arrived(callback.arrivals.get(timeout=15))["code"],
        "redirect_uri": callback.uri,
        "code_verifier": VERIFIER,
    }
    token = httpx2.post(f"{live_broker.issuer}/token", data=form, trust_env=False).json()
    assert [detail["tools"] for detail in token["authorization_details"]] == [[{"name": "search_tickets"}]]
    assert token["scope"] == "tickets:read"


@pytest.mark.parametrize("width", [360, 820])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_calls_fit_the_window_and_no_value_is_cut(
    chromium: Browser, live_broker: LiveBroker, callback: Callback, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 640}
    with chromium.new_context(java_script_enabled=False, color_scheme=scheme, viewport=size) as context:
        page = context.new_page()
        page.goto(asking(live_broker, callback))
        sign_in(page)
        expect(page.get_by_role("button", name="Allow")).to_be_visible()
        wide, inside = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert (wide, inside) == (width, width)
        cut = page.evaluate(
            "[...document.querySelectorAll('.calls *')].filter(e => e.scrollWidth > e.clientWidth + 1 &&"
            " getComputedStyle(e).display !== 'inline').length"
        )
        assert cut == 0
