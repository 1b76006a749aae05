"""CONSENT: what a person takes back is over: everywhere at once, and for nobody else."""

import re

import pytest

from tests.account.test_apps import listed, signed_in, words
from tests.account.test_sessions import on_a_phone
from tests.lab import CRM, Browser, Lab, Page, assert_page


def removed(browser: Browser, door: str = "") -> None:
    [url] = listed(browser, door)
    browser.submit(Page.of(browser.get(url)))


@pytest.mark.attack("CONSENT-12")
def test_what_a_user_removes_is_listed_and_all_its_tokens_are_dead_at_once(lab: Lab) -> None:
    tokens = lab.tokens(scope="tickets:read tickets:write offline_access")
    renewed = lab.refresh(tokens["refresh_token"]).json
    exchanged = lab.exchange(renewed["access_token"], resource=CRM).json["access_token"]
    browser = signed_in(lab)
    line = words(browser.get("/account/apps"))
    for fact in ("client.example", "Ticket desk", "Allowed on 15 January 2027", "Last used 15 January 2027"):
        assert fact in line
    assert lab.active(renewed["access_token"]) and lab.active(exchanged, "crm-server")
    removed(browser)
    for token in (tokens["access_token"], renewed["access_token"]):
        assert not lab.active(token)
    assert not lab.active(exchanged, "crm-server")
    lab.refused(lab.refresh(renewed["refresh_token"]), 400, "invalid_grant", "grant_off")
    lab.refused(lab.exchange(renewed["access_token"]), 400, "invalid_request", "grant_off")


@pytest.mark.attack("CONSENT-12")
def test_another_process_and_the_next_start_know_it_too(lab: Lab) -> None:
    tokens, browser = lab.tokens(), signed_in(lab)
    replica = lab.replica()
    assert replica.active(tokens["access_token"])
    removed(browser)
    assert not replica.active(tokens["access_token"])
    replica.broker.close()
    again = lab.restarted()
    assert not again.active(tokens["access_token"])
    assert again.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    again.broker.close()


@pytest.mark.attack("CONSENT-12")
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_no_other_site_removes_an_app_or_ends_a_session(lab: Lab, headers: dict[str, str]) -> None:
    tokens, phone, browser = lab.tokens(), on_a_phone(lab), signed_in(lab)
    [url] = listed(browser)
    assert_page(browser.submit(Page.of(browser.get(url)), headers), 403)
    assert_page(browser.submit(Page.of(browser.get("/account/sessions")), headers, end="others"), 403)
    assert lab.active(tokens["access_token"]) and b"Your account" in phone.get("/account").data
    assert lab.facts("authorization.refused")[-1]["reason"] == "cross_site"
    removed(browser)
    assert not lab.active(tokens["access_token"])


@pytest.mark.attack("CONSENT-12")
def test_a_form_of_another_session_or_for_another_app_removes_nothing(lab: Lab) -> None:
    kept, browser, other = lab.tokens("web-app"), signed_in(lab), signed_in(lab, "bob")
    [first] = listed(browser)
    lab.tokens("desk-app")
    [second] = [url for url in listed(browser) if url != first]
    foreign = lab.tokens(user="bob")
    [theirs] = listed(other)
    forms = [Page.of(browser.get(second)).fields, Page.of(other.get(theirs)).fields, []]
    for fields in forms:
        assert_page(browser.post(first, fields), 403)
    assert lab.active(kept["access_token"]) and lab.active(foreign["access_token"])
    assert lab.facts("grant.revoked") == []
    browser.submit(Page.of(browser.get(first)))
    assert not lab.active(kept["access_token"])


@pytest.mark.attack("CONSENT-12")
def test_looking_removes_nothing(lab: Lab) -> None:
    tokens, browser = lab.tokens(), signed_in(lab)
    [url] = listed(browser)
    [csrf] = Page.of(browser.get(url)).values("csrf")
    browser.get(f"{url}?csrf={csrf}&do=remove")
    browser.http.head(url, base_url="https://as.example")
    assert lab.active(tokens["access_token"])
    assert re.search(r'<form id="primary" method="post"', browser.get(url).get_data(as_text=True))
