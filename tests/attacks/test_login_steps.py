"""LOGIN: more than a password: codes of an app, recovery codes, and no way around the step between."""

import re

import pytest
from werkzeug.test import TestResponse

from tests.lab import PASSWORD, Browser, Lab, Page, assert_page, claims, landed, race
from tests.people import (
    MFA,
    ONE,
    SIGN_IN,
    app_secret,
    by_password,
    code,
    is_code_page,
    is_password_page,
    recovery_codes,
    signed_in,
    with_app,
)


def answered(browser: Browser, page: TestResponse, value: str) -> TestResponse:
    return browser.submit(Page.of(page), code=value)


def is_consent(page: TestResponse) -> bool:
    return b'value="allow"' in page.data


def reason(lab: Lab) -> object:
    return lab.last("session.refused")["reason"]


def sessions(lab: Lab) -> int:
    return len(lab.broker.sessions.open())


@pytest.mark.attack("LOGIN-13")
def test_who_has_an_app_is_asked_for_its_code_and_the_token_says_so(lab: Lab) -> None:
    secret, _ = with_app(lab)
    proved = lab.clock.now()
    browser, page = by_password(lab)
    assert is_code_page(page) and lab.last("password.accepted")["subject"] == "alice"
    lab.clock.advance(40)
    question = answered(browser, page, code(lab, secret))
    found = claims(lab.redeem(landed(browser.allow(question))["code"]).json["access_token"])
    assert found["acr"] == MFA and found["amr"] == ["pwd", "otp", "mfa"]
    assert found["auth_time"] == int(proved)  # as old as the older of the two


@pytest.mark.attack("LOGIN-13")
def test_nobody_is_signed_in_between_the_steps(lab: Lab) -> None:
    secret, _ = with_app(lab)
    before = sessions(lab)
    browser, page = by_password(lab)
    assert sessions(lab) == before
    assert is_password_page(browser.get("/account")) and is_password_page(browser.get(SIGN_IN))
    assert is_password_page(browser.get(lab.authorize_url()))
    request = Page.of(page).values("request")[0]
    again = browser.get(f"/consent?request={request}")
    assert is_password_page(again) and not is_consent(again)
    assert is_consent(answered(browser, browser.get(f"/login/verify?request={request}"), code(lab, secret)))


@pytest.mark.attack("LOGIN-13")
def test_the_last_step_alone_signs_nobody_in(lab: Lab) -> None:
    secret, (recovery, *_) = with_app(lab)
    for value in (code(lab, secret), recovery, "", None):
        browser = lab.browser()
        first = Page.of(browser.get(lab.authorize_url()))
        fields = [(name, value) for name, value in first.fields if name in ("csrf", "request")]
        fields += [("code", value)] if value is not None else []
        answer = browser.post("/login/verify", [*fields, ("username", "alice")])
        assert answer.status_code == 400 and is_password_page(answer) and reason(lab) == "step_unknown"
    assert sessions(lab) == 1
    browser, page = by_password(lab)
    assert is_consent(answered(browser, page, recovery))  # nothing of it was used up


@pytest.mark.attack("LOGIN-13")
@pytest.mark.parametrize("value", [None, "", " ", "000000", "abcdef", "0" * 4000])
def test_an_empty_or_wrong_code_is_no_code(lab: Lab, value: str | None) -> None:
    secret, _ = with_app(lab)
    browser, page = by_password(lab)
    answer = browser.submit(Page.of(page), code=value)
    assert answer.status_code == 401 and is_code_page(answer) and reason(lab) == "otp_wrong"
    assert "Set-Cookie" not in answer.headers and sessions(lab) == 1
    assert lab.last("session.refused")["subject"] == "alice"
    assert is_consent(answered(browser, answer, code(lab, secret)))


@pytest.mark.attack("LOGIN-13")
def test_going_back_as_somebody_else_takes_nothing_along(lab: Lab) -> None:
    alices, (recovery, *_) = with_app(lab)
    bobs, _ = with_app(lab, "bob")
    browser, page = by_password(lab)
    request = Page.of(page).values("request")[0]
    # The password of alice, then that of bob: the code of alice is not bob's, and hers is forgotten.
    first = browser.get(f"/login?request={request}")
    second = browser.submit(Page.of(first), username="bob", password=PASSWORD)
    assert is_code_page(second) and b"Bob" in second.data and b"Alice" not in second.data
    for value in (code(lab, alices), recovery):
        assert answered(browser, second, value).status_code == 401 and reason(lab) == "otp_wrong"
    # Naming another user in the step changes nothing.
    answer = browser.submit(Page.of(second), code=code(lab, alices), username="alice", user="alice")
    assert answer.status_code == 401
    question = answered(browser, second, code(lab, bobs))
    found = claims(lab.redeem(landed(browser.allow(question))["code"]).json["access_token"])
    assert found["sub"] == "bob"


@pytest.mark.attack("LOGIN-13")
def test_the_step_belongs_to_its_browser_its_request_and_its_door(lab: Lab) -> None:
    secret, _ = with_app(lab)
    browser, page = by_password(lab)
    other = lab.browser()
    elsewhere = other.get(lab.authorize_url())
    assert_page(other.submit(Page.of(page), code=code(lab, secret)), 403)
    assert is_password_page(other.get(f"/login/verify?request={Page.of(elsewhere).values('request')[0]}"))
    another = Page.of(browser.get(lab.authorize_url())).values("request")[0]
    assert is_password_page(browser.get(f"/login/verify?request={another}"))
    assert is_password_page(browser.get("/login/verify?to=account"))
    assert is_consent(answered(browser, page, code(lab, secret)))


@pytest.mark.attack("LOGIN-13")
@pytest.mark.parametrize(("seconds", "good"), [(299, True), (300, False)])
def test_the_password_is_remembered_for_five_minutes(lab: Lab, seconds: int, good: bool) -> None:
    secret, _ = with_app(lab)
    browser, page = by_password(lab)
    lab.clock.advance(seconds)
    answer = answered(browser, page, code(lab, secret))
    assert is_consent(answer) is good and is_password_page(answer) is not good


@pytest.mark.attack("LOGIN-13")
def test_the_step_is_finished_once(lab: Lab) -> None:
    secret, (recovery, *_) = with_app(lab)
    browser, page = by_password(lab)
    cookies = browser.http.get_cookie("__Host-broker", domain="as.example")
    assert cookies is not None and is_consent(answered(browser, page, code(lab, secret)))
    old = lab.browser()
    old.http.set_cookie("__Host-broker", cookies.value, domain="as.example", secure=True)
    answer = old.submit(Page.of(page), code=recovery)
    assert answer.status_code == 400 and sessions(lab) == 2


@pytest.mark.attack("LOGIN-01")
def test_stepping_up_changes_the_id_and_keeps_who_and_when(lab: Lab) -> None:
    browser = signed_in(lab)
    page = browser.submit(Page.of(browser.get(f"{SIGN_IN}/app")), do="begin")
    secret = app_secret(page)
    done = browser.submit(Page.of(page), do="confirm", code=code(lab, secret))
    assert len(recovery_codes(done)) == 10
    lab.clock.advance(60)
    ((before, _),) = lab.broker.sessions.open()
    assert before.acr == ONE
    first = browser.http.get_cookie("__Host-broker", domain="as.example")
    question = browser.get(lab.authorize_url(acr_values=MFA))
    assert is_code_page(question) and not is_password_page(question)
    assert is_consent(answered(browser, question, code(lab, secret)))
    ((after, _),) = lab.broker.sessions.open()
    assert (after.acr, after.amr) == (MFA, ("pwd", "otp", "mfa"))
    assert after.id != before.id and after.sid == before.sid and after.auth_time == before.auth_time
    second = browser.http.get_cookie("__Host-broker", domain="as.example")
    assert first is not None and second is not None and first.value != second.value
    stale = lab.browser()
    stale.http.set_cookie("__Host-broker", first.value, domain="as.example", secure=True)
    assert is_password_page(stale.get("/account"))


@pytest.mark.attack("LOGIN-14")
def test_a_code_is_good_once(lab: Lab) -> None:
    secret, _ = with_app(lab)
    used = code(lab, secret)
    browser, page = by_password(lab)
    assert is_consent(answered(browser, page, used))
    browser, page = by_password(lab)
    answer = answered(browser, page, used)
    assert answer.status_code == 401 and reason(lab) == "otp_replayed"
    # Nor is one of before it, although it is within the window.
    earlier = code(lab, secret, -1)
    assert answered(browser, page, earlier).status_code == 401 and reason(lab) == "otp_replayed"
    lab.clock.advance(30)
    assert is_consent(answered(browser, page, code(lab, secret)))


@pytest.mark.attack("LOGIN-14")
def test_the_code_that_confirmed_the_app_signs_nobody_in(lab: Lab) -> None:
    browser = signed_in(lab)
    page = browser.submit(Page.of(browser.get(f"{SIGN_IN}/app")), do="begin")
    used = code(lab, app_secret(page))
    browser.submit(Page.of(page), do="confirm", code=used)
    other, page = by_password(lab)
    assert answered(other, page, used).status_code == 401 and reason(lab) == "otp_replayed"


@pytest.mark.attack("LOGIN-14")
@pytest.mark.parametrize(
    ("steps", "good"), [(-3, False), (-2, False), (-1, True), (0, True), (1, True), (2, False), (3, False)]
)
def test_a_code_may_be_one_step_early_or_late(lab: Lab, steps: int, good: bool) -> None:
    secret, _ = with_app(lab)
    lab.clock.advance(90)
    browser, page = by_password(lab)
    answer = answered(browser, page, code(lab, secret, steps))
    assert is_consent(answer) is good and (good or answer.status_code == 401)


@pytest.mark.attack("LOGIN-14")
def test_guesses_at_a_code_are_limited_together_with_those_at_the_password(lab: Lab) -> None:
    secret, (recovery, *_) = with_app(lab)
    limit = lab.broker.settings.account_failures_per_minute
    browser, page = by_password(lab)
    wrong = [f"{int(code(lab, secret, 9)):06d}", "0000-0000-0000-0000"]
    answers = [answered(browser, page, wrong[n % 2]).status_code for n in range(20)]
    assert answers == [401] * limit + [429] * (20 - limit)
    for value in (code(lab, secret), recovery):
        held = answered(browser, page, value)
        assert held.status_code == 429 and int(held.headers["Retry-After"]) >= 1
    _, password = by_password(lab)
    assert password.status_code == 429 and is_password_page(password)
    lab.clock.advance(61)
    assert is_consent(answered(browser, page, code(lab, secret)))


@pytest.mark.attack("LOGIN-14")
def test_waits_grow_when_somebody_goes_on(lab: Lab) -> None:
    with_app(lab)
    limit = lab.broker.settings.account_failures_per_minute
    waits = []
    for _ in range(5):
        browser, page = by_password(lab)
        if page.status_code == 429:
            waits.append(int(page.headers["Retry-After"]))
            break
        waits += [
            int(answer.headers["Retry-After"])
            for answer in [answered(browser, page, "000000") for _ in range(limit + 1)]
            if answer.status_code == 429
        ]
        lab.clock.advance(61)
    assert waits[0] <= 61 and waits[-1] > 300


@pytest.mark.attack("LOGIN-14")
def test_of_64_that_send_one_code_at_once_one_is_signed_in(lab: Lab) -> None:
    secret, _ = with_app(lab)
    lab = lab_without_limits(lab)
    forms = [by_password(lab) for _ in range(64)]
    value, before = code(lab, secret), sessions(lab)
    answers = race(64, lambda n: answered(*forms[n], value).status_code)
    assert answers.count(200) == 1 and answers.count(401) == 63, answers
    assert sessions(lab) == before + 1


def lab_without_limits(lab: Lab) -> Lab:
    """As many attempts as a race needs."""
    attempts = lab.broker.sign_in._attempts
    attempts._per_source = attempts._per_account = attempts._strangers = 10_000
    return lab


@pytest.mark.attack("LOGIN-14")
def test_the_secret_of_an_app_is_sealed_for_its_user(lab: Lab) -> None:
    secret, _ = with_app(lab)
    with_app(lab, "bob")
    assert secret.encode() not in lab.dump()
    lab.sql(
        "UPDATE totp SET sealed = (SELECT sealed FROM totp WHERE user_id = 'alice') WHERE user_id = 'bob'"
    )
    browser, page = by_password(lab, "bob")
    assert answered(browser, page, code(lab, secret)).status_code == 401
    assert is_consent(answered(*by_password(lab), code(lab, secret)))


@pytest.mark.attack("LOGIN-15")
def test_a_recovery_code_is_good_once(lab: Lab) -> None:
    _, codes = with_app(lab)
    assert len(set(codes)) == 10 and all(re.fullmatch(r"([a-z2-9]{4}-){3}[a-z2-9]{4}", one) for one in codes)
    for value in (codes[0], codes[1].upper().replace("-", " ")):
        browser, page = by_password(lab)
        assert is_consent(answered(browser, page, value))
        assert lab.last("credential.spent")["subject"] == "alice"
        browser, page = by_password(lab)
        assert answered(browser, page, value).status_code == 401 and reason(lab) == "otp_wrong"
    assert is_consent(answered(*by_password(lab), codes[2]))


@pytest.mark.attack("LOGIN-15")
def test_of_64_that_send_one_recovery_code_at_once_one_is_signed_in(lab: Lab) -> None:
    _, codes = with_app(lab)
    lab = lab_without_limits(lab)
    forms, before = [by_password(lab) for _ in range(64)], sessions(lab)
    answers = race(64, lambda n: answered(*forms[n], codes[0]).status_code)
    assert answers.count(200) == 1 and answers.count(401) == 63 and sessions(lab) == before + 1


@pytest.mark.attack("LOGIN-15")
def test_recovery_codes_are_hashes_and_are_shown_once(lab: Lab) -> None:
    secret, codes = with_app(lab)
    browser, page = by_password(lab)
    answered(browser, page, code(lab, secret))
    everything = b"".join(
        browser.get(f"{SIGN_IN}{path}").data for path in ("", "/codes", "/app", "/password")
    )
    dump = lab.dump()
    for value in codes:
        assert value.encode() not in everything and value.encode() not in dump
        assert value.replace("-", "").encode() not in dump


@pytest.mark.attack("LOGIN-15")
def test_a_new_set_replaces_the_old_one_and_codes_are_their_owners(lab: Lab) -> None:
    secret, codes = with_app(lab)
    _, bobs = with_app(lab, "bob")
    browser, page = by_password(lab)
    answered(browser, page, code(lab, secret))
    renewed = recovery_codes(browser.submit(Page.of(browser.get(f"{SIGN_IN}/codes"))))
    assert len(renewed) == 10 and not set(renewed) & set(codes)
    for value in (codes[0], bobs[0]):
        assert answered(*by_password(lab), value).status_code == 401
    assert is_consent(answered(*by_password(lab), renewed[0]))
