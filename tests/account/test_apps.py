"""OAuth 2.1 section 7.9: the apps that a person allowed something, listed with what is true of them, and removed."""

import re
from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from tests.lab import CALLBACK, CRM, FILES, START, Browser, Lab, Page, assert_page, race

Allow = Callable[..., dict[str, str]]


def signed_in(lab: Lab, user: str = "alice", door: str = "") -> Browser:
    browser = lab.browser()
    page = browser.sign_in(browser.get(f"{door}/account"), user)
    assert b"Your account" in page.data
    return browser


def listed(browser: Browser, door: str = "") -> list[str]:
    """The addresses of the apps on the page."""
    text = assert_page(browser.get(f"{door}/account/apps"), 200)
    return re.findall(r'href="https://as\.example([^"]*/account/apps/[^"]+)"', text)


def words(response: TestResponse) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", assert_page(response, 200)).split())


def test_nothing_is_listed_until_something_is_allowed(lab: Lab) -> None:
    browser = signed_in(lab)
    assert listed(browser) == []
    assert "No app may act for you." in words(browser.get("/account/apps"))
    assert "No app is connected." in words(browser.get("/account"))
    lab.code()
    assert len(listed(browser)) == 1
    assert "1 app is connected." in words(browser.get("/account"))


def test_an_app_is_listed_with_client_host_resource_tenant_and_dates(lab: Lab) -> None:
    lab.tokens(scope="tickets:read tickets:write offline_access")
    browser = signed_in(lab)
    line = words(browser.get("/account/apps"))
    for fact in ("Desk App", "client.example", "Ticket desk", "Acme", "15 January 2027"):
        assert fact in line
    [url] = listed(browser)
    page = words(browser.get(url))
    for fact in (
        "Read tickets",
        "Change tickets",
        "tickets:write",
        "CRM",
        "Read the CRM",
        "https://mcp1.example/mcp",
        "desk-app",
        "until 15 April 2027",
    ):
        assert fact in page


def test_a_client_that_named_itself_is_quoted_and_called_unverified(lab: Lab) -> None:
    client_id = lab.register(client_name="Bank").json["client_id"]
    lab.tokens(client_id)
    [url] = listed(browser := signed_in(lab))
    for page in ("/account/apps", url):
        assert "“Bank” unverified name" in words(browser.get(page))


def test_without_a_refresh_token_the_page_says_that_it_asks_again(lab: Lab) -> None:
    lab.tokens("no-refresh")
    browser = signed_in(lab)
    [url] = listed(browser)
    assert "no, it has to ask again" in words(browser.get(url))


def test_last_use_is_when_a_token_was_last_made_to_within_a_minute(lab: Lab) -> None:
    browser = signed_in(lab)
    code = lab.code(scope="tickets:read offline_access")
    assert "Last used never" in words(browser.get("/account/apps"))
    lab.clock.advance(30)
    tokens = lab.redeem(code).json
    assert "Last used 15 January 2027, 08:00 UTC" in words(browser.get("/account/apps"))
    lab.clock.advance(40)
    tokens = lab.refresh(tokens["refresh_token"]).json
    assert "Last used 15 January 2027, 08:00 UTC" in words(browser.get("/account/apps"))
    lab.clock.advance(40)
    subject = lab.refresh(tokens["refresh_token"]).json["access_token"]
    assert "Last used 15 January 2027, 08:01 UTC" in words(browser.get("/account/apps"))
    lab.clock.advance(120)
    assert lab.exchange(subject).status_code == 200
    assert "Last used 15 January 2027, 08:03 UTC" in words(browser.get("/account/apps"))


def test_a_refused_request_is_no_use(lab: Lab) -> None:
    code = lab.code()
    assert lab.redeem(code, code_verifier="w" * 43).status_code == 400
    assert "Last used never" in words(signed_in(lab).get("/account/apps"))
    assert lab.redeem(code).status_code == 200
    assert "Last used never" not in words(signed_in(lab).get("/account/apps"))


def test_what_was_allowed_several_times_is_one_app_with_everything(lab: Lab) -> None:
    lab.tokens(scope="tickets:read")
    lab.clock.advance(86_400)
    lab.tokens(scope="tickets:read customers:read")
    browser = signed_in(lab)
    [url] = listed(browser)
    page = words(browser.get(url))
    assert "Allowed on 15 January 2027 and again later, 2 times in all" in page
    assert "Read tickets" in page and "Read customer records" in page


def test_apps_of_other_resources_and_clients_stay_when_one_is_removed(lab: Lab) -> None:
    browser = signed_in(lab)
    gone = lab.tokens()
    again = lab.tokens()
    kept = [lab.tokens("web-app"), lab.tokens(resource=FILES, scope="files:read")]
    theirs = lab.tokens(user="bob")
    page = browser.get(f"/account/apps/{lab.facts('consent.granted')[0]['grant_id']}")
    answer = browser.submit(Page.of(page))
    assert "Desk App has no access to Ticket desk" in words(answer)
    for tokens in (gone, again):
        assert not lab.active(tokens["access_token"])
        assert lab.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert lab.active(kept[0]["access_token"]) and lab.active(kept[1]["access_token"], "files-server")
    assert lab.active(theirs["access_token"])
    assert len(listed(browser)) == 2


def test_removing_is_recorded_with_who_did_it(lab: Lab) -> None:
    lab.tokens()
    browser = signed_in(lab)
    [url] = listed(browser)
    browser.submit(Page.of(browser.get(url)))
    [record] = lab.facts("grant.revoked")
    assert (record["subject"], record["client"], record["resource"]) == ("alice", "desk-app", "tickets")
    assert record["change"]["why"] == "taken back by the user" and record["source"] == "203.0.113.7"


def test_removing_again_changes_nothing_and_says_the_same(lab: Lab) -> None:
    lab.tokens()
    browser = signed_in(lab)
    [url] = listed(browser)
    page = Page.of(browser.get(url))
    first, second = browser.submit(page), browser.submit(page)
    assert words(first) == words(second) and "has no access" in words(first)
    assert len(lab.facts("grant.revoked")) == 1
    assert b"Remove access" not in browser.get(url).data and listed(browser) == []


def test_two_tabs_that_remove_at_once_end_it_once(lab: Lab) -> None:
    lab.tokens()
    browser = signed_in(lab)
    [url] = listed(browser)
    page, cookie = Page.of(browser.get(url)), browser.http.get_cookie("__Host-broker", domain="as.example")
    assert cookie is not None
    tabs = [lab.browser() for _ in range(8)]
    for tab in tabs:
        tab.http.set_cookie("__Host-broker", cookie.value, domain="as.example", secure=True)
    answers = race(8, lambda index: tabs[index].submit(page))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len(lab.facts("grant.revoked")) == 1


def test_a_remembered_consent_is_asked_for_anew_after_it_was_removed(lab: Lab) -> None:
    browser = signed_in(lab)
    lab.code("web-app", browser=browser)
    assert browser.get(lab.authorize_url("web-app")).status_code == 303
    [url] = listed(browser)
    browser.submit(Page.of(browser.get(url)))
    assert b'value="allow"' in browser.get(lab.authorize_url("web-app")).data


def test_a_code_that_waits_dies_with_the_app(lab: Lab) -> None:
    browser = signed_in(lab)
    code = lab.code()
    [url] = listed(browser)
    browser.submit(Page.of(browser.get(url)))
    assert lab.redeem(code).json["error"] == "invalid_grant"


def test_what_was_exchanged_dies_with_the_app(lab: Lab) -> None:
    browser = signed_in(lab)
    token = lab.tokens()["access_token"]
    further = lab.exchange(token, resource=CRM).json["access_token"]
    assert lab.active(further, "crm-server")
    [url] = listed(browser)
    browser.submit(Page.of(browser.get(url)))
    assert not lab.active(further, "crm-server")


def test_an_app_of_somebody_else_is_answered_like_one_that_never_was(lab: Lab) -> None:
    lab.tokens(user="bob")
    theirs = lab.facts("consent.granted")[0]["grant_id"]
    browser = signed_in(lab)
    before = lab.state()
    cookie = browser.http.get_cookie("__Host-broker", domain="as.example")
    assert cookie is not None
    for which in ("a%00b", theirs, "gra_never"):
        assert_page(browser.get(f"/account/apps/{which}"), 404)
        token = lab.broker.manners.csrf.token(cookie.value, f"app {which}")
        assert_page(browser.post(f"/account/apps/{which}", [("csrf", token)]), 404)
    assert lab.state() == before
    assert len(listed(signed_in(lab, "bob"))) == 1


def test_a_tenants_door_shows_that_tenants_apps_and_the_root_those_that_it_serves(lab: Lab) -> None:
    lab.tokens(user="both", resource=FILES, scope="files:read", door="/t/acme")
    lab.tokens(user="both", resource=FILES, scope="files:read", door="/t/globex")
    at = {door: listed(signed_in(lab, "both", door), door) for door in ("", "/t/acme", "/t/globex")}
    assert [len(at[door]) for door in at] == [2, 1, 1] and at["/t/acme"] != at["/t/globex"]
    [foreign] = at["/t/globex"]
    browser = signed_in(lab, "both", "/t/acme")
    assert_page(browser.get(foreign.replace("/t/globex", "/t/acme")), 404)
    assert_page(browser.get(foreign), 200)


def test_a_tenant_that_the_root_does_not_serve_is_seen_at_its_own_door_only(lab: Lab) -> None:
    lab.tokens(user="ivan", resource=FILES, scope="files:read", door="/t/initech")
    assert listed(signed_in(lab, "ivan", "/t/initech"), "/t/initech") != []
    assert listed(signed_in(lab, "ivan")) == []


def test_an_app_whose_client_is_gone_is_still_listed_and_can_be_removed(lab: Lab) -> None:
    client_id = lab.register().json["client_id"]
    lab.tokens(client_id)
    lab.sql("UPDATE client SET deleted = ? WHERE client_id = ?", True, client_id)
    browser = signed_in(lab)
    assert "no longer registered" in words(browser.get("/account/apps"))
    [url] = listed(browser)
    assert "has no access" in words(browser.submit(Page.of(browser.get(url))))


def test_what_expired_is_not_listed(lab: Lab) -> None:
    lab.tokens()
    lab.clock.advance(lab.broker.settings.grant_lifetime + 1)
    assert lab.clock.time > START and listed(signed_in(lab)) == []


@pytest.mark.parametrize("name", ["redirect_uri", "https://evil.example/"])
def test_a_hostile_client_cannot_write_on_the_page(lab: Lab, name: str) -> None:
    made = lab.register(client_name=f"<script>{name}</script>", redirect_uris=[CALLBACK]).json["client_id"]
    lab.tokens(made)
    browser = signed_in(lab)
    [url] = listed(browser)
    for page in ("/account/apps", url):
        assert b"<script" not in browser.get(page).data


def test_the_consent_page_leads_to_the_account_and_to_another_sign_in(lab: Lab) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser, door="/t/acme")
    text = page.get_data(as_text=True)
    assert 'href="https://as.example/t/acme/account"' in text
    [other] = re.findall(r'href="https://as\.example(/t/acme/login\?[^"]+)"', text)
    again = browser.sign_in(browser.get(other.replace("&amp;", "&")), "bob")
    assert "Bob" in words(again) and b'value="allow"' in again.data
