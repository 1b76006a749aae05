"""OWASP ASVS V6.4: a person changes how they sign in, after a fresh sign-in, on pages without scripts but one."""

import re
from collections.abc import Callable

import pyotp
import pytest

from broker.identity.users.credentials.totp import STEP
from tests.account.test_apps import signed_in, words
from tests.lab import ISSUER, PASSWORD, Browser, Lab, Page, assert_page

NEW = "a rather long and quiet sentence"


def code_of(lab: Lab, secret: str) -> str:
    return pyotp.TOTP(secret).at(int(lab.clock.now()))


def enrolled(lab: Lab, browser: Browser) -> tuple[str, list[str]]:
    """The secret of a new app, and the recovery codes that came with it."""
    page = browser.submit(Page.of(browser.get("/account/sign-in/app")), do="begin")
    secret = secret_on(page.get_data(as_text=True))
    page = browser.submit(Page.of(page), do="confirm", code=code_of(lab, secret))
    return secret, codes_on(page.get_data(as_text=True))


def secret_on(text: str) -> str:
    [parts] = re.findall(r'<p class="secret"><code>(.*?)</code>', text, re.DOTALL)
    return re.sub(r"<[^>]+>|\s", "", parts)


def codes_on(text: str) -> list[str]:
    return re.findall(r"<li><code>([a-z0-9-]+)</code></li>", text)


def test_the_page_says_with_what_a_person_can_sign_in(lab: Lab) -> None:
    browser = signed_in(lab)
    page = words(browser.get("/account/sign-in"))
    assert "You have a password." in page and "Add a passkey" in page and "Set up an app" in page
    assert "recovery codes" not in page
    assert "Ways to sign in password" in words(browser.get("/account"))


def test_an_app_is_set_up_with_a_picture_and_a_code_and_is_asked_for_then(lab: Lab) -> None:
    browser = signed_in(lab)
    begun = browser.submit(Page.of(browser.get("/account/sign-in/app")), do="begin")
    text = begun.get_data(as_text=True)
    assert "<svg" in text and "otpauth://totp/" in text and "style=" not in text
    secret = secret_on(text)
    assert secret in text.replace("&amp;", "&") and secret.encode() not in lab.dump()
    wrong = browser.submit(Page.of(begun), do="confirm", code="000000")
    assert (
        "The code is wrong" in assert_page(wrong, 400) and secret_on(wrong.get_data(as_text=True)) == secret
    )
    done = browser.submit(Page.of(wrong), do="confirm", code=code_of(lab, secret))
    codes = codes_on(done.get_data(as_text=True))
    assert len(codes) == 10 and "shown this once" in words(done)
    assert all(code.encode() not in lab.dump() for code in codes)
    other = lab.browser()
    page = other.sign_in(other.get("/account"))
    assert b'name="code"' in page.data
    lab.clock.advance(STEP)
    assert "Your account" in words(other.submit(Page.of(page), code=code_of(lab, secret)))
    page = words(other.get("/account/sign-in"))
    assert "10 recovery codes are left." in page and "An authenticator app was set up." in page


def test_an_app_is_removed_and_asked_for_no_more(lab: Lab) -> None:
    browser = signed_in(lab)
    secret, _ = enrolled(lab, browser)
    lab.clock.advance(STEP)
    again = browser.get("/account/sign-in/app")
    assert b'name="code"' in again.data, "a session with a password alone is too weak now"
    page = browser.submit(Page.of(again), code=code_of(lab, secret))
    assert "An app is set up" in words(page)
    assert "You have no" not in words(browser.submit(Page.of(page), do="remove"))
    other = lab.browser()
    assert "Your account" in words(other.sign_in(other.get("/account")))
    assert "The authenticator app was removed." in words(browser.get("/account/sign-in"))


def test_new_recovery_codes_are_shown_once_and_replace_the_old(lab: Lab) -> None:
    browser = signed_in(lab)
    assert "You have neither." in words(browser.get("/account/sign-in/codes"))
    secret, old = enrolled(lab, browser)
    lab.clock.advance(STEP)
    page = browser.submit(Page.of(browser.get("/account/sign-in/codes")), code=code_of(lab, secret))
    assert "10 recovery codes are left. New codes replace them." in words(page)
    new = codes_on(browser.submit(Page.of(page)).get_data(as_text=True))
    assert len(new) == 10 and not set(new) & set(old)
    assert codes_on(browser.get("/account/sign-in/codes").get_data(as_text=True)) == []
    for code, works in ((old[0], False), (new[0], True), (new[0], False)):
        other = lab.browser()
        answer = other.submit(Page.of(other.sign_in(other.get("/account"))), code=code)
        assert (b"Your account" in answer.data) is works


def test_a_password_is_changed_and_ends_other_sessions(lab: Lab) -> None:
    browser, other = signed_in(lab), signed_in(lab)
    page = Page.of(browser.get("/account/sign-in/password"))
    for old, new, again, said in (
        ("wrong password", NEW, NEW, "The present password is wrong."),
        (PASSWORD, NEW, NEW + "!", "The two passwords are not the same."),
        (PASSWORD, "short", "short", "It is too short."),
        (PASSWORD, "password123", "password123", "because it leaked before."),
        (PASSWORD, "alicealice", "alicealice", "a name that everybody knows"),
    ):
        answer = browser.submit(page, old=old, password=new, again=again)
        assert said in assert_page(answer, 400)
    assert "The password is changed." in words(browser.submit(page, old=PASSWORD, password=NEW, again=NEW))
    assert b'name="password"' in other.get("/account").data
    fresh = lab.browser()
    assert fresh.sign_in(fresh.get("/account")).status_code == 401
    assert "Your account" in words(fresh.sign_in(fresh.get("/account"), password=NEW))
    assert "The password was changed." in words(browser.get("/account/sign-in"))


PAGES = ("passkeys/new", "app", "codes", "password")


@pytest.mark.attack("LOGIN-22")
@pytest.mark.parametrize("page", PAGES)
def test_an_old_session_has_to_sign_in_again_before_it_changes_a_way_in(lab: Lab, page: str) -> None:
    browser = signed_in(lab)
    early = Page.of(browser.get(f"/account/sign-in/{page}"))
    lab.clock.advance(301)
    assert "Ways to sign in" in words(browser.get("/account/sign-in"))
    again = browser.get(f"/account/sign-in/{page}")
    assert b"Show once more that it is you" in again.data and b'value="alice"' in again.data
    if early.action is not None:
        before = lab.state()["user_account"]
        changes = {"do": "begin", "old": PASSWORD, "password": NEW, "again": NEW, "credential": "{}"}
        late = browser.submit(early, **changes)
        assert b"Show once more that it is you" in late.data
        assert lab.state()["user_account"] == before
        assert lab.facts("credential.refused")[-1]["reason"] == "sign_in_stale"
    back = browser.sign_in(again)
    assert back.request.path == f"/account/sign-in/{page}" and back.status_code == 200


def test_passkeys_are_not_offered_where_the_server_has_no_name(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(issuer="http://127.0.0.1:8400")
    http = lab.app.test_client()
    base = "http://127.0.0.1:8400"
    page = Page.of(http.get("/login?to=account", base_url=base))
    form = {**dict(page.fields), "username": "alice", "password": PASSWORD}
    assert http.post("/login", base_url=base, data=form, headers={"Origin": base}).status_code == 303
    text = http.get("/account/sign-in", base_url=base).get_data(as_text=True)
    assert "Not offered here" in text and "passkeys/new" not in text
    assert http.get("/account/sign-in/passkeys/new", base_url=base).status_code == 404


def test_the_script_gets_its_challenge_with_the_pages_form_only(lab: Lab) -> None:
    browser = signed_in(lab)
    page = browser.get("/account/sign-in/passkeys/new")
    assert "script-src 'self'; connect-src 'self'" in page.headers["Content-Security-Policy"]
    [csrf] = Page.of(page).values("csrf")
    path = "/account/sign-in/passkeys/options"
    assert browser.post(path, [("csrf", "wrong")]).status_code == 403
    answer = browser.post(path, [("csrf", csrf)])
    assert answer.status_code == 200 and answer.json["rp"]["id"] == "as.example"
    assert answer.headers["Cache-Control"] == "no-store"
    refused = browser.submit(Page.of(page), credential="{}")
    assert "The passkey could not be made." in assert_page(refused, 400)


def test_a_passkey_of_somebody_else_is_answered_like_one_that_never_was(lab: Lab) -> None:
    browser = signed_in(lab)
    for which in ("pk_never", "pk_00000000000000000000000000"):
        assert_page(browser.get(f"/account/sign-in/passkeys/{which}"), 404)


@pytest.mark.attack("LOGIN-25")
@pytest.mark.attack("CONSENT-05")
@pytest.mark.parametrize("page", ["", "/apps", "/sessions", "/sign-in", *(f"/sign-in/{p}" for p in PAGES)])
def test_no_page_of_an_account_is_cached_or_framed(lab: Lab, page: str) -> None:
    response = signed_in(lab).get(f"/account{page}")
    assert_page(response, 200)
    policy = response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Vary"] == "Cookie" and response.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert ("script-src" in policy) is (page == "/sign-in/passkeys/new")
    head = signed_in(lab).http.head(f"/account{page}", base_url=ISSUER)
    assert head.status_code == 405
