"""OWASP ASVS V7.5.2: where a person is signed in, listed and ended."""

import re

import pytest

from tests.account.test_apps import signed_in, words
from tests.lab import ISSUER, Browser, Lab, Page, assert_page

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 Version/19.0 Safari/604.1"


def is_sign_in(browser: Browser, path: str = "/account/sessions") -> bool:
    return b'name="password"' in browser.get(path).data


def on_a_phone(lab: Lab) -> Browser:
    browser = lab.browser("198.51.100.9")
    browser.http.environ_base["HTTP_USER_AGENT"] = PHONE
    browser.sign_in(browser.get("/account"))
    return browser


def buttons(browser: Browser) -> list[str]:
    return re.findall(r'name="end" value="([^"]+)"', assert_page(browser.get("/account/sessions"), 200))


def end(browser: Browser, which: str) -> str:
    return words(browser.submit(Page.of(browser.get("/account/sessions")), end=which))


def test_sessions_are_listed_with_browser_source_and_times_and_this_one_is_marked(lab: Lab) -> None:
    on_a_phone(lab)
    lab.clock.advance(900)
    browser = signed_in(lab)
    page = words(browser.get("/account/sessions"))
    mine, other = page.split("this browser")
    assert "Safari on iPhone" in other and "Safari on iPhone" not in mine
    for fact in ("198.51.100.9", "15 January 2027, 08:00 UTC", "password", PHONE):
        assert fact in other
    assert "203.0.113.7" in other.split("Safari")[0] and "08:15 UTC" in other.split("Safari")[0]
    assert "You are signed in in 2 browsers." in words(browser.get("/account"))


def test_one_session_is_ended_and_that_browser_is_signed_out(lab: Lab) -> None:
    phone, browser = on_a_phone(lab), signed_in(lab)
    [which, others] = buttons(browser)
    assert others == "others" and not is_sign_in(phone)
    page = end(browser, which)
    assert "1 session was ended." in page and "Safari" not in page
    assert is_sign_in(phone) and not is_sign_in(browser)
    record = lab.facts("session.ended")[-1]
    assert record["subject"] == "alice" and record["change"] == {"session": which}
    assert record["source"] == "203.0.113.7"
    assert "That session was over already." in end(browser, which)
    assert buttons(browser) == []


def test_all_other_sessions_end_together_and_this_one_and_those_of_others_stay(lab: Lab) -> None:
    others, theirs, browser = [on_a_phone(lab) for _ in range(3)], signed_in(lab, "bob"), signed_in(lab)
    assert "3 sessions were ended." in end(browser, "others")
    assert all(is_sign_in(other) for other in others)
    assert not is_sign_in(browser) and not is_sign_in(theirs)


def test_apps_stay_connected_when_sessions_end(lab: Lab) -> None:
    tokens = lab.tokens(browser=on_a_phone(lab))
    browser = signed_in(lab)
    end(browser, "others")
    assert lab.active(tokens["access_token"]) and "refresh_token" in lab.refresh(tokens["refresh_token"]).json


def test_a_session_of_somebody_else_is_answered_like_one_that_never_was(lab: Lab) -> None:
    theirs, browser = signed_in(lab, "bob"), signed_in(lab)
    [[session, _]] = [item for item in lab.broker.sessions.open() if item[0].user_id == "bob"]
    assert end(browser, session.id) == end(browser, "ses_never")
    assert not is_sign_in(theirs) and lab.facts("session.ended") == []


def test_ending_this_session_signs_out(lab: Lab) -> None:
    browser = signed_in(lab)
    [(session, _)] = lab.broker.sessions.open()
    answer = browser.submit(Page.of(browser.get("/account/sessions")), end=session.id)
    assert b'name="password"' in answer.data and is_sign_in(browser)


def test_what_is_idle_or_too_old_is_not_listed(lab: Lab) -> None:
    on_a_phone(lab)
    lab.clock.advance(lab.broker.settings.session_idle + 1)
    browser = signed_in(lab)
    assert buttons(browser) == []
    on_a_phone(lab)
    assert len(buttons(browser)) == 2


@pytest.mark.parametrize(
    "path", ["/account", "/account/apps", "/account/sessions", "/account/apps/gra_never"]
)
@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_who_is_not_signed_in_signs_in_first(lab: Lab, path: str, door: str) -> None:
    browser = lab.browser()
    answer = browser.http.get(door + path, base_url=ISSUER, headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{ISSUER}{door}/login?to=account")
    page = browser.sign_in(browser.get(door + path))
    assert page.request.path.startswith(f"{door}/account") and page.status_code == 200


def test_signing_in_leads_back_to_the_page_that_was_asked_for(lab: Lab) -> None:
    browser = lab.browser()
    page = browser.sign_in(browser.get("/account/sessions"))
    assert page.request.path == "/account/sessions"


def test_a_member_of_another_tenant_is_nobody_at_a_tenants_door(lab: Lab) -> None:
    browser = signed_in(lab, "vera")
    assert is_sign_in(browser, "/t/acme/account") and not is_sign_in(browser, "/t/globex/account")


@pytest.mark.parametrize(("kind", "target"), [("user", "alice"), ("tenant", "acme"), ("everything", "*")])
def test_what_is_switched_off_has_no_account(lab: Lab, kind: str, target: str) -> None:
    browser = signed_in(lab, door="/t/acme")
    lab.switch(kind, target)
    text = assert_page(browser.get("/t/acme/account"), 403)
    assert "Alice" not in text and lab.facts("authorization.refused")[-1]["reason"] == f"{kind}_off"
    lab.lift(kind, target)
    assert_page(browser.get("/t/acme/account"), 200)


def test_the_button_on_every_page_signs_out_at_once(lab: Lab) -> None:
    browser, other = signed_in(lab), signed_in(lab)
    page = browser.get("/account/sessions").get_data(as_text=True)
    [form] = re.findall(r'<form id="sign-out".*?</form>', page, re.DOTALL)
    fields = re.findall(r'name="(\w+)" value="([^"]+)"', form)
    for wrong in ([("csrf", "0" * 64), ("decision", "sign_out")], [("decision", "sign_out")]):
        browser.post("/logout", wrong)
        assert not is_sign_in(browser)
    text = assert_page(browser.post("/logout", fields), 200)
    assert "You are signed out" in text and is_sign_in(browser) and not is_sign_in(other)


def test_a_form_with_the_token_of_another_session_changes_nothing(lab: Lab) -> None:
    phone, browser = on_a_phone(lab), signed_in(lab)
    theirs = Page.of(phone.get("/account/sessions"))
    [which, _] = buttons(browser)
    for fields in (theirs.fields, [("csrf", "")], []):
        assert_page(browser.post("/account/sessions", [*fields, ("end", which)]), 403)
        assert lab.facts("authorization.refused")[-1]["reason"] == "csrf"
    assert not is_sign_in(phone) and "1 session was ended." in end(browser, which)
