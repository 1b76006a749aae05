"""OAuth 2.1 section 7.9: for which tenant an app works is seen, changed and forgotten on the account page."""

import pytest
from werkzeug.test import TestResponse

from tests.account.test_apps import listed, signed_in, words
from tests.lab import FILES, Browser, Lab, Page

ASKED = {"resource": FILES, "scope": "files:read"}


@pytest.fixture
def browser(lab: Lab) -> Browser:
    """Of a person of two tenants, who let an app work in one of them."""
    browser = signed_in(lab, "both")
    browser.allow(lab.consent_page("both", browser, **ASKED), tenant="globex")
    return browser


def the_app(browser: Browser) -> str:
    [url] = listed(browser)
    return url


def asked(lab: Lab, browser: Browser) -> bool:
    return b'name="tenant"' in lab.consent_page("both", browser, **ASKED).data


def choose(browser: Browser, tenant: str | None) -> TestResponse:
    return browser.submit(Page.of(browser.get(f"{the_app(browser)}/tenant")), tenant=tenant)


def test_the_page_of_an_app_says_where_it_works_next(browser: Browser) -> None:
    assert "Next sign-in Globex" in words(browser.get(the_app(browser)))
    page = browser.get(f"{the_app(browser)}/tenant")
    assert Page.of(page).values("tenant") == ["globex"]
    for word in ("Acme", "Globex", "Ask me the next time"):
        assert word in words(page)
    assert "Initech" not in words(page)


def test_another_tenant_is_chosen_for_the_next_sign_in(lab: Lab, browser: Browser) -> None:
    assert "Next sign-in Acme" in words(choose(browser, "acme"))
    assert lab.last("tenant.chosen")["change"] == {"before": "globex"}
    page = lab.consent_page("both", browser, **ASKED)
    assert b'name="tenant"' not in page.data
    browser.allow(page)
    assert [fact["tenant"] for fact in lab.facts("consent.granted")] == ["globex", "acme"]


@pytest.mark.parametrize("way", ["", None])
def test_a_choice_is_forgotten_and_the_person_asked_again(
    lab: Lab, browser: Browser, way: str | None
) -> None:
    assert "you will be asked for which organization" in words(choose(browser, way))
    assert (lab.last("tenant.forgotten")["subject"], lab.rows("tenant_choice")) == ("both", 0)
    assert asked(lab, browser)
    assert choose(browser, way).status_code == 200
    assert len(lab.facts("tenant.forgotten")) == 1, "there was nothing left to forget"


@pytest.mark.parametrize("wrong", ["initech", "nowhere", "acme ", "*"])
def test_a_tenant_that_is_not_the_persons_is_answered_like_none(
    lab: Lab, browser: Browser, wrong: str
) -> None:
    assert choose(browser, wrong).status_code == 404
    assert not asked(lab, browser)


def test_to_remove_the_app_is_to_forget_its_tenant(lab: Lab, browser: Browser) -> None:
    browser.submit(Page.of(browser.get(the_app(browser))))
    assert lab.rows("tenant_choice") == 0 and asked(lab, browser)


def test_the_form_is_that_of_its_page_and_person(lab: Lab, browser: Browser) -> None:
    url = the_app(browser)
    form = Page.of(browser.get(f"{url}/tenant"))
    other = signed_in(lab, "vera")
    assert other.get(f"{url}/tenant").status_code == other.get("/account/apps/gra_none/tenant").status_code
    assert other.submit(form, tenant="acme").status_code == 404
    assert browser.submit(form, csrf="wrong", tenant="acme").status_code == 403
    assert browser.submit(form, {"Sec-Fetch-Site": "cross-site"}, tenant="acme").status_code == 403
    assert not lab.facts("tenant.forgotten") and len(lab.facts("tenant.chosen")) == 1


def test_who_is_of_one_tenant_or_at_its_door_has_nothing_to_choose(lab: Lab, browser: Browser) -> None:
    url = the_app(browser)
    assert browser.get(f"/t/globex{url}/tenant").status_code == 404
    assert "Next sign-in" not in words(browser.get(f"/t/globex{url}"))
    lab.code()
    alice = signed_in(lab)
    assert "Next sign-in" not in words(alice.get(the_app(alice)))
    assert alice.get(f"{the_app(alice)}/tenant").status_code == 404
