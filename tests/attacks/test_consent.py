"""CONSENT: a person allows one client one resource, in one browser, once."""

from dataclasses import replace
from urllib.parse import quote, urlencode

import pytest
from werkzeug.test import TestResponse

from broker.estate.model import Edge, Tool
from broker.identity.clients.model import Client, Registered
from tests.lab import CALLBACK, ISSUER, PASSWORD, TICKETS, Browser, Lab, Page, assert_page, landed, race

USER_GRANTS = ("authorization_code", "refresh_token")
NOTHING = {"authorization_code": 0, "access_grant": 0}


def given(lab: Lab) -> dict[str, int]:
    return {table: lab.rows(table) for table in NOTHING}


def is_consent(response: TestResponse) -> bool:
    return response.status_code == 200 and b'value="allow"' in response.data


def cookie_of(browser: Browser) -> str:
    found = browser.http.get_cookie("__Host-broker", domain="as.example")
    assert found is not None
    return found.value


@pytest.mark.attack("CONSENT-02")
@pytest.mark.parametrize(
    "victim", ["a new browser", "a browser with a sign-in under way", "a signed-in browser"]
)
def test_an_interaction_belongs_to_the_browser_that_began_it(lab: Lab, victim: str) -> None:
    attacker, other = lab.browser(), lab.browser("192.0.2.9")
    page = Page.of(attacker.get(lab.authorize_url()))
    (request,) = page.values("request")
    if victim == "a browser with a sign-in under way":
        other.get(lab.authorize_url())
    elif victim == "a signed-in browser":
        lab.consent_page(browser=other)
    sessions = lab.rows("browser_session")
    for path in ("/login", "/consent"):
        assert_page(other.get(f"{path}?request={request}"), 400)
        assert lab.facts("authorization.refused")[-1]["reason"] == "interaction_unknown"
    assert other.submit(page, username="alice", password=PASSWORD).status_code in (
        400,
        403,
    )
    assert lab.rows("browser_session") == sessions and given(lab) == NOTHING
    assert "code" in landed(attacker.allow(attacker.submit(page, username="alice", password=PASSWORD)))


@pytest.mark.attack("CONSENT-02")
def test_a_consent_page_cannot_be_answered_from_another_browser(lab: Lab) -> None:
    mine, other = lab.browser(), lab.browser()
    page = Page.of(lab.consent_page(browser=mine))
    lab.consent_page(browser=other)
    assert_page(other.submit(page, decision="allow"), 400)
    assert_page(lab.browser().submit(page, decision="allow"), 400)
    assert given(lab) == NOTHING
    assert "code" in landed(mine.submit(page, decision="allow"))


@pytest.mark.attack("CONSENT-02")
def test_an_interaction_belongs_to_the_door_at_which_it_began(lab: Lab) -> None:
    browser = lab.browser()
    (request,) = Page.of(browser.get(lab.authorize_url(door="/t/acme"))).values("request")
    for door in ("", "/t/globex"):
        assert_page(browser.get(f"{door}/consent?request={request}"), 400)
    assert b'name="password"' in browser.get(f"/t/acme/consent?request={request}").data


@pytest.mark.attack("CONSENT-03")
@pytest.mark.parametrize("name", ["Desk App", "Registered app"])
def test_consent_to_one_client_is_none_to_another(lab: Lab, name: str) -> None:
    browser = lab.browser()
    assert lab.code("web-app", browser=browser) and lab.code("desk-app", browser=browser)
    before = given(lab)
    attacker = lab.register(client_name=name, redirect_uris=["https://attacker.example/cb"]).json["client_id"]
    page = browser.get(lab.authorize_url(attacker, redirect_uri="https://attacker.example/cb"))
    assert is_consent(page) and given(lab) == before
    text = page.get_data(as_text=True)
    assert attacker in text and "attacker.example" in text
    assert landed(browser.submit(Page.of(page), decision="deny"))["error"] == "access_denied"
    assert given(lab) == before
    assert "code" in landed(browser.get(lab.authorize_url("web-app")))


@pytest.mark.attack("CONSENT-03")
def test_a_denied_consent_leaves_a_record_and_no_grant(lab: Lab) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser)
    assert landed(browser.submit(Page.of(page), decision="deny"))["error"] == "access_denied"
    (record,) = lab.facts("consent.denied")
    assert (record["subject"], record["client"], record["resource"]) == ("alice", "desk-app", "tickets")
    assert record["outcome"] == "denied" and record["reason"] == "user_denied" and given(lab) == NOTHING


@pytest.mark.attack("CONSENT-05")
def test_no_page_can_be_framed(lab: Lab) -> None:
    browser = lab.browser()
    sign_in = browser.get(lab.authorize_url())
    wrong = browser.sign_in(sign_in, password="wrong password")
    consent = browser.sign_in(sign_in)
    pages = [
        sign_in,
        wrong,
        consent,
        browser.submit(Page.of(consent), decision="allow", scope=None),
        browser.get(lab.authorize_url("nobody")),
        browser.get("/consent?request=nothing"),
        browser.get("/"),
        browser.get("/t/acme"),
        browser.get("/nothing/here"),
        browser.http.head("/authorize", base_url=ISSUER, headers={"Accept": "text/html"}),
    ]
    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy and page.headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert policy.count("script-src") == policy.count("script-src 'self'") == (page in (sign_in, wrong))
        assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert is_consent(consent)


@pytest.mark.attack("CONSENT-07")
def test_a_decision_that_is_sent_again_gives_nothing_more(lab: Lab) -> None:
    browser = lab.browser()
    page = Page.of(lab.consent_page(browser=browser))
    assert "code" in landed(browser.submit(page, decision="allow"))
    for decision in ("allow", "deny"):
        assert browser.submit(page, decision=decision).status_code in (400, 409)
    assert given(lab) == {"authorization_code": 1, "access_grant": 1}
    assert len(lab.facts("consent.granted")) == 1 and lab.facts("consent.denied") == []
    assert lab.facts("authorization.refused")[-1]["reason"] == "interaction_unknown"


@pytest.mark.attack("CONSENT-07")
def test_a_refusal_cannot_be_taken_back_with_the_same_form(lab: Lab) -> None:
    browser = lab.browser()
    page = Page.of(lab.consent_page(browser=browser))
    assert landed(browser.submit(page, decision="deny"))["error"] == "access_denied"
    assert browser.submit(page, decision="allow").status_code in (400, 409)
    assert given(lab) == NOTHING


@pytest.mark.attack("CONSENT-07")
def test_two_tabs_that_answer_at_once_get_one_code(lab: Lab) -> None:
    browser = lab.browser()
    page, cookie = Page.of(lab.consent_page(browser=browser)), cookie_of(browser)
    tabs = [lab.browser() for _ in range(8)]
    for tab in tabs:
        tab.http.set_cookie("__Host-broker", cookie, domain="as.example", secure=True)
    answers = race(8, lambda index: tabs[index].submit(page, decision="allow"))
    codes = [
        answer for answer in answers if answer.status_code == 303 and "code=" in answer.headers["Location"]
    ]
    assert len(codes) == 1
    assert all(answer.status_code in (400, 409) for answer in answers if answer is not codes[0])
    assert given(lab) == {"authorization_code": 1, "access_grant": 1}


@pytest.mark.attack("CONSENT-07")
def test_a_refusal_stands_although_the_same_was_allowed_in_another_tab(lab: Lab) -> None:
    browser = lab.browser()
    first = Page.of(lab.consent_page(browser=browser, client_id="web-app"))
    second = Page.of(browser.get(lab.authorize_url("web-app")))
    assert "code" in landed(browser.submit(second, decision="allow"))
    assert landed(browser.submit(first, decision="deny"))["error"] == "access_denied"
    assert (
        given(lab) == {"authorization_code": 1, "access_grant": 1} and len(lab.facts("consent.denied")) == 1
    )


@pytest.mark.attack("CONSENT-08")
def test_one_users_consent_is_not_taken_for_anothers(lab: Lab) -> None:
    browser = lab.browser()
    alices = Page.of(lab.consent_page("alice", browser))
    lab.clock.advance(1)
    bobs = browser.sign_in(browser.get(lab.authorize_url(prompt="login")), "bob")
    assert is_consent(bobs) and b"Bob" in bobs.data
    answer = browser.submit(alices, decision="allow")
    assert_page(answer, 403)
    assert lab.facts("authorization.refused")[-1]["reason"] == "csrf" and given(lab) == NOTHING
    (request,) = alices.values("request")
    again = browser.get(f"/consent?request={request}")
    assert is_consent(again) and b"Bob" in again.data and b"Alice" not in again.data
    assert "code" in landed(browser.submit(Page.of(again), decision="allow"))
    (record,) = lab.facts("consent.granted")
    assert record["subject"] == "bob"


@pytest.mark.attack("CONSENT-08")
def test_what_one_user_allowed_another_is_asked_for(lab: Lab) -> None:
    browser = lab.browser()
    assert lab.code("web-app", "alice", browser)
    lab.clock.advance(1)
    page = browser.sign_in(browser.get(lab.authorize_url("web-app", prompt="login")), "bob")
    assert is_consent(page) and b"Bob" in page.data and lab.rows("access_grant") == 1


@pytest.mark.attack("CONSENT-08")
def test_a_form_that_showed_another_question_is_no_answer(lab: Lab) -> None:
    browser = lab.browser()
    page = Page.of(lab.consent_page(browser=browser))
    edge = Edge("tickets", "files", {"tickets:read": ("files:read",)})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, edge))
    assert browser.submit(page, decision="allow").status_code in (400, 403) and given(lab) == NOTHING
    (request,) = page.values("request")
    again = browser.get(f"/consent?request={request}")
    assert b"files.example" not in page.response.data and b"files.example" in again.data
    assert "code" in landed(browser.allow(again))
    assert "tickets->files" in lab.facts("consent.granted")[0]["change"]["downstream"]


@pytest.mark.attack("CONSENT-08")
@pytest.mark.parametrize("word", ["name", "scope", "impact", "nothing"])
def test_other_words_on_the_page_are_another_question(lab: Lab, word: str) -> None:
    browser = lab.browser()
    page = Page.of(lab.consent_page(browser=browser))
    before = lab.broker.estate().resources["tickets"]
    scopes = tuple(replace(scope, description="Other words") for scope in before.scopes)
    tool = Tool("erase", ("tickets:read",))
    changed = {
        "name": {"name": "Another name"},
        "scope": {"scopes": scopes},
        "impact": {"tools": (tool,)},
        "nothing": {},
    }[word]
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, replace(before, **changed)))
    answer = browser.submit(page, decision="allow")
    assert answer.status_code == (303 if word == "nothing" else 403), word


NAMES = {
    "right to left": "Evil \u202etnuocca ruoy\u202c App",
    "isolates": "\u2066Bank\u2069 \u200f\u061cApp",
    "300 characters": "Long name " * 30,
    "line break": "First line\r\nYour bank\u2028confirms\u0085this",
    "invisible": "Desk\u200bApp\u00ad\ufeff\u2060",
    "markup": "</bdi><script>alert(1)</script><h1>Bank",
    "quotes": "“Desk App” is safe. Allow “it",
    "combining": "A" + "\u0301" * 100,
}


@pytest.mark.attack("CONSENT-11")
@pytest.mark.parametrize("registered", [Registered.ADMIN, Registered.DYNAMIC])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_a_clients_name_cannot_deceive_the_eye(lab: Lab, name: str, registered: Registered) -> None:
    lab.put_client(Client("shown", name, None, "none", registered, (CALLBACK,), USER_GRANTS))
    browser = lab.browser()
    sign_in = browser.get(lab.authorize_url("shown"))
    for page in (sign_in, browser.sign_in(sign_in)):
        text = assert_page(page, 200)
        for sign in "\u202e\u202c\u2066\u2069\u200f\u061c\u200b\u00ad\ufeff\u2060\u2028\u0085":
            assert sign not in text
        assert "<script>" not in text and "\u0301" * 4 not in text
        shown = text.partition("<bdi>")[2].partition("</bdi>")[0]
        assert shown and "\n" not in shown and "\r" not in shown
        if len(name) == 300:
            assert name not in text and "Long name Long name" in text and "…" in text


@pytest.mark.attack("CONSENT-11")
@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://b\u0430nk.example/cb", "xn--bnk-6cd.example"),
        ("https://xn--bnk-6cd.example/cb", "xn--bnk-6cd.example"),
        ("https://\u4f8b\u3048.example/cb", "xn--r8jz45g.example"),
    ],
)
def test_an_international_host_is_shown_in_ascii(lab: Lab, uri: str, shown: str) -> None:
    lab.put_client(Client("far", "Far", None, "none", Registered.ADMIN, (uri,), USER_GRANTS))
    text = lab.consent_page(client_id="far", redirect_uri=uri).get_data(as_text=True)
    assert f'<p class="host">{shown}</p>' in text and "b\u0430nk" not in text and "\u4f8b" not in text


@pytest.mark.attack("CONSENT-11")
@pytest.mark.parametrize("name", ["right to left", "isolates", "300 characters", "line break", "invisible"])
def test_a_client_cannot_register_such_a_name_itself(lab: Lab, name: str) -> None:
    answer = lab.register(client_name=NAMES[name])
    assert answer.status_code == 400 and answer.json["error"] == "invalid_client_metadata"
    assert lab.register(client_name="Überraschung 例").status_code == 201


AWAY = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https://evil.example/",
    "javascript:alert(1)",
    "/%0d%0aSet-Cookie:x=y",
    "/\r\nX: y",
    "///evil.example",
]
RETURNS = (
    "next",
    "return_to",
    "return",
    "redirect",
    "redirect_to",
    "redirect_uri",
    "continue",
    "url",
    "target",
    "back",
    "rd",
    "RelayState",
)


@pytest.mark.attack("CONSENT-13")
@pytest.mark.parametrize("address", AWAY)
def test_a_return_address_is_never_followed(lab: Lab, address: str) -> None:
    browser = lab.browser()
    page = Page.of(browser.get(lab.authorize_url()))
    (request,) = page.values("request")
    more = urlencode([(name, address) for name in RETURNS])
    fields = [field for field in page.fields if field[0] not in ("username", "password")]
    fields += [("username", "alice"), ("password", PASSWORD)]
    fields += [(name, address) for name in RETURNS]
    raw = browser.http.post(
        f"/login?{more}",
        base_url=ISSUER,
        data=urlencode(fields),
        content_type="application/x-www-form-urlencoded",
        headers={"Origin": ISSUER, "Accept": "text/html"},
    )
    assert raw.status_code == 303 and raw.headers["Location"] == f"{ISSUER}/consent?request={request}"
    consent = browser.get(f"/consent?request={request}&{more}")
    assert is_consent(consent) and "evil.example" not in consent.get_data(as_text=True)
    answer = browser.submit(Page.of(consent), decision="allow", **dict.fromkeys(RETURNS, address))
    assert (
        answer.headers["Location"].startswith(CALLBACK + "?code=")
        and "evil" not in answer.headers["Location"]
    )


@pytest.mark.attack("CONSENT-13")
@pytest.mark.parametrize("address", AWAY)
def test_a_request_or_grant_that_is_an_address_leads_nowhere(lab: Lab, address: str) -> None:
    browser = lab.browser()
    browser.get(lab.authorize_url())
    for path in ("/login?request=", "/consent?request=", "/consent?grant="):
        assert_page(browser.get(path + quote(address, safe="")), 400)


FIRST_PARTY = {
    "first_party": True,
    "trusted": True,
    "skip_consent": True,
    "require_consent": False,
    "consent": "implicit",
    "implicit_consent": True,
    "is_first_party": "true",
    "registered": "admin",
    "tenant": "acme",
    "client_id": "web-app",
    "scopes": ["tickets:read"],
    "resources": ["tickets"],
    "unused_until": None,
}


@pytest.mark.attack("CONSENT-14")
@pytest.mark.parametrize("member", sorted(FIRST_PARTY))
def test_a_client_cannot_declare_itself_first_party(lab: Lab, member: str) -> None:
    answer = lab.register(**{member: FIRST_PARTY[member]})
    assert answer.status_code == 201, answer.json
    client_id = answer.json["client_id"]
    assert client_id.startswith("dyn") and (member == "client_id" or member not in answer.json)
    stored = lab.client(client_id)
    assert stored.registered is Registered.DYNAMIC and stored.tenant is None and stored.scopes is None
    browser = lab.browser()
    page = browser.sign_in(browser.get(lab.authorize_url(client_id)))
    assert is_consent(page) and given(lab) == NOTHING
    assert lab.client("web-app").registered is Registered.ADMIN


@pytest.mark.attack("CONSENT-14")
@pytest.mark.parametrize(
    "name", ["first_party", "skip_consent", "approval_prompt", "consent", "decision", "csrf"]
)
def test_a_request_cannot_spare_the_page_either(lab: Lab, name: str) -> None:
    browser = lab.browser()
    page = browser.sign_in(browser.get(lab.authorize_url(resource=TICKETS, **{name: "allow"})))
    assert is_consent(page) and given(lab) == NOTHING
    assert "code" in landed(browser.allow(page))
