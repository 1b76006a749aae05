"""CONSENT, LOGIN: the pages beside the way to a consent are neither framed nor cached."""

from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from broker.protocol.origin import Origin
from tests.lab import CALLBACK, ISSUER, Browser, Lab, Page, assert_page

Visit = Callable[[Lab, Browser], TestResponse]


def reset_link(lab: Lab, browser: Browser) -> TestResponse:
    origin = Origin("test", "192.0.2.1", ISSUER)
    secret = lab.broker.signing_in.new_passwords.offer_reset("alice", origin)
    return browser.get(f"/login/reset?token={secret}")


def form_post(lab: Lab, browser: Browser) -> TestResponse:
    asked = browser.get(lab.authorize_url(response_mode="form_post"))
    return browser.submit(Page.of(browser.sign_in(asked)), decision="allow")


def leaving(lab: Lab, browser: Browser, mode: str = "query") -> TestResponse:
    client = str(lab.register().json["client_id"])
    return browser.get(lab.authorize_url(client, scope="no:such", response_mode=mode))


def device_question(lab: Lab, browser: Browser) -> TestResponse:
    return lab.device_question(lab.device().json["user_code"], browser=browser)


def sign_out(lab: Lab, browser: Browser) -> TestResponse:
    lab.consent_page(browser=browser)
    return browser.get("/logout")


VISITS: dict[str, tuple[Visit, str, bool]] = {
    "device": (lambda lab, browser: browser.get("/device"), "", False),
    "device, asked": (device_question, "", False),
    "sign out": (sign_out, "", False),
    "reset": (reset_link, "", False),
    "form post": (form_post, CALLBACK, True),
    "leaving": (leaving, CALLBACK, False),
    "leaving by form": (
        lambda lab, browser: leaving(lab, browser, "form_post"),
        CALLBACK,
        False,
    ),
}
"""The page; where its form leads alone, if not to this server; whether a script is on it."""


@pytest.mark.attack("CONSENT-05")
@pytest.mark.attack("LOGIN-25")
@pytest.mark.parametrize("name", VISITS)
def test_no_page_beside_the_way_is_framed_or_cached(lab: Lab, name: str) -> None:
    visit, leads_to, scripted = VISITS[name]
    page = visit(lab, lab.browser())
    assert_page(page, 200)
    policy = [one.strip() for one in page.headers["Content-Security-Policy"].split(";")]
    assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert not [one for one in policy if "unsafe" in one or "*" in one]
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cache-Control"] == "no-store" and page.headers["Vary"] == "Cookie"
    assert "ETag" not in page.headers
    (form_action,) = [one for one in policy if one.startswith("form-action")]
    assert form_action == f"form-action {leads_to or chr(39) + 'self' + chr(39)}"
    assert (b"<script" in page.data) is scripted
