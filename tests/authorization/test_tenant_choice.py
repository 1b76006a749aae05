"""The root door asks once for which tenant a client works: remembered, changed, and never more than an answer."""

import re

import pytest
from werkzeug.test import TestResponse

from broker.authorization.choices import choices as room
from broker.identity.tenants.model import Tenant
from broker.identity.users.model import Membership, User
from tests.lab import CALLBACK, DEVICE, FILES, Browser, Lab, Page, claims, landed

ASKED = {"resource": FILES, "scope": "files:read"}
WEB, LOCAL = CALLBACK, "http://127.0.0.1:5000/cb"


def question(lab: Lab, browser: Browser, client: str = "desk-app", **changes: str | None) -> TestResponse:
    return lab.consent_page("both", browser, client_id=client, **{**ASKED, **changes})


def asks(page: TestResponse) -> bool:
    return b'name="tenant"' in page.data


def tenant(lab: Lab, arrived: TestResponse, client: str = "desk-app", **changes: str) -> object:
    answer = lab.redeem(landed(arrived)["code"], client, resource=FILES, **changes)
    return claims(answer.json["access_token"])["tenant"]


def chosen(lab: Lab) -> list[tuple[object, object]]:
    return [(fact["fact"], fact["tenant"]) for fact in lab.facts() if str(fact["fact"]).startswith("tenant.")]


@pytest.fixture
def browser(lab: Lab) -> Browser:
    """Of a person of two tenants, who chose the second of them for the app."""
    browser = lab.browser()
    page = question(lab, browser)
    assert asks(page) and page.status_code == 200
    assert tenant(lab, browser.allow(page, tenant="globex")) == "globex"
    return browser


def test_a_later_visit_is_not_asked_and_leads_into_the_chosen_tenant(lab: Lab, browser: Browser) -> None:
    assert tenant(lab, question(lab, browser)) == "globex"
    assert chosen(lab) == [("tenant.chosen", "globex")]


def test_where_the_person_is_asked_for_more_the_tenant_is_said_and_not_asked(
    lab: Lab, browser: Browser
) -> None:
    page = question(lab, browser, prompt="consent")
    text = page.get_data(as_text=True)
    assert not asks(page) and "Globex" in text and "Choose another organization" in text
    assert tenant(lab, browser.allow(page)) == "globex"


def test_an_app_on_the_persons_own_machine_is_asked_about_and_its_tenant_is_not(lab: Lab) -> None:
    browser, uri = lab.browser(), {"redirect_uri": LOCAL}
    browser.allow(question(lab, browser, "local-app", **uri), tenant="acme")
    page = question(lab, browser, "local-app", **uri)
    assert page.status_code == 200 and not asks(page)
    assert tenant(lab, browser.allow(page), "local-app", **uri) == "acme"


def test_another_tenant_is_chosen_by_a_link_on_the_page(lab: Lab, browser: Browser) -> None:
    page = question(lab, browser, prompt="consent")
    [link] = re.findall(r'href="https://as\.example(/consent\?[^"]+)"', page.get_data(as_text=True))
    again = browser.get(link.replace("&amp;", "&"))
    assert asks(again) and Page.of(again).values("tenant") == ["globex"], "what was chosen before is marked"
    assert tenant(lab, browser.allow(again, tenant="acme")) == "acme"
    assert tenant(lab, question(lab, browser, scope="files:read")) == "acme"
    assert chosen(lab) == [("tenant.chosen", "globex"), ("tenant.chosen", "acme")]


def test_select_account_asks_anew(lab: Lab, browser: Browser) -> None:
    page = question(lab, browser, prompt="select_account")
    assert asks(page) and Page.of(page).values("tenant") == []
    assert tenant(lab, browser.allow(page, tenant="acme")) == "acme"
    assert tenant(lab, question(lab, browser)) == "acme"


def test_what_is_remembered_is_of_one_client_and_one_person(lab: Lab, browser: Browser) -> None:
    assert asks(question(lab, browser, "no-refresh"))
    lab.change(
        lambda tx: lab.broker.people.put(
            tx, User("vera", "Vera", None, (Membership("acme"), Membership("globex")))
        )
    )
    assert asks(lab.consent_page("vera", lab.browser(), **ASKED))


def test_without_a_choice_nothing_is_allowed(lab: Lab) -> None:
    browser = lab.browser()
    page = question(lab, browser)
    for wrong in (None, "", "initech", "nowhere"):
        again = browser.allow(page, tenant=wrong)
        assert again.status_code == 400 and asks(again)
    assert lab.facts("consent.granted") == [] and chosen(lab) == []
    assert tenant(lab, browser.allow(page, tenant="acme")) == "acme"


def test_a_refusal_remembers_nothing(lab: Lab) -> None:
    browser = lab.browser()
    browser.submit(Page.of(question(lab, browser)), decision="deny", tenant="globex")
    assert chosen(lab) == [] and asks(question(lab, browser))


def test_a_tenant_that_the_person_left_is_asked_for_again(lab: Lab, browser: Browser) -> None:
    lab.change(
        lambda tx: lab.broker.people.put(
            tx, User("both", "Both", None, (Membership("acme"), Membership("initech")))
        )
    )
    page = question(lab, browser)
    assert not asks(page) and tenant(lab, browser.allow(page)) == "acme", "one is left at this door"


def test_a_suspended_tenant_is_not_chosen_and_comes_back_as_it_was(lab: Lab, browser: Browser) -> None:
    lab.switch("tenant", "globex")
    page = question(lab, browser)
    assert b"Globex" not in page.data and tenant(lab, browser.allow(page)) == "acme"
    lab.lift("tenant", "globex")
    assert tenant(lab, question(lab, browser)) == "globex"


def test_at_a_tenants_own_door_nothing_is_asked_and_nothing_remembered(lab: Lab) -> None:
    browser = lab.browser()
    page = question(lab, browser, door="/t/acme")
    assert not asks(page) and b"Choose another organization" not in page.data
    browser.allow(page, tenant="globex")
    assert lab.last("consent.granted")["tenant"] == "acme" and chosen(lab) == []


def test_a_device_is_asked_about_with_the_tenant_that_its_app_was_given(lab: Lab) -> None:
    lab.change(lambda tx: lab.broker.tenants.put(tx, Tenant("globex", "Globex", device=True)))
    browser = lab.browser()
    for tries in range(2):
        begun = lab.device(**ASKED).json
        page = lab.device_question(begun["user_code"], "both", browser)
        assert asks(page) is (tries == 0)
        browser.allow(page, **({"tenant": "globex"} if tries == 0 else {}))
        lab.clock.advance(6)
        answer = lab.poll(begun["device_code"], grant_type=DEVICE)
        assert claims(answer.json["access_token"])["tenant"] == "globex"


def test_what_is_remembered_ends_as_a_consent_does(lab: Lab, browser: Browser) -> None:
    lab.clock.advance(lab.broker.settings.grant_lifetime + 1)
    assert asks(question(lab, browser))
    lab.broker.sweep()
    assert lab.rows("tenant_choice") == 0


def test_an_answer_to_a_page_that_named_another_tenant_is_none(lab: Lab, browser: Browser) -> None:
    page = question(lab, browser, prompt="consent")
    choices: room.Choices = lab.broker.choices
    lab.broker.world.database.write(lambda tx: choices.remember(tx, "both", "desk-app", "acme", None))
    assert browser.allow(page).status_code == 403
    assert len(lab.facts("consent.granted")) == 1


def test_with_prompt_none_a_remembered_tenant_is_enough(lab: Lab, browser: Browser) -> None:
    assert tenant(lab, question(lab, browser, prompt="none")) == "globex"
    lab.broker.world.database.write(lambda tx: lab.broker.choices.forget(tx, "both", "desk-app", None))
    assert landed(question(lab, browser, prompt="none"))["error"] == "consent_required"
