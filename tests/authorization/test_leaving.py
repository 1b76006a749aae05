"""RFC 9700 section 4.11.2: nobody is sent by an error to a site that only an unknown client calls its own."""

import re

import pytest
from werkzeug.test import TestResponse

from tests.lab import CALLBACK, Browser, Lab, Page, landed

LOCAL = "http://127.0.0.1:5150/cb"


def registered(lab: Lab, *uris: str) -> str:
    return str(lab.register(redirect_uris=list(uris or (CALLBACK,))).json["client_id"])


def link(answer: TestResponse) -> str:
    """Where the page leads, if the person decides so."""
    assert answer.status_code == 200 and "Location" not in answer.headers
    found = re.search(r'<a class="button" href="([^"]+)"', answer.get_data(as_text=True))
    assert found is not None
    return found[1].replace("&amp;", "&")


@pytest.mark.requirement("MCP-AS-19")
def test_an_error_of_a_client_that_registered_itself_is_shown_before_anybody_goes_there(lab: Lab) -> None:
    answer = lab.browser().get(lab.authorize_url(registered(lab), scope="no:such"))
    assert b"client.example" in answer.data and b"invalid_scope" in answer.data
    assert link(answer).startswith(f"{CALLBACK}?error=invalid_scope&")
    assert "state=st4te" in link(answer) and "iss=https%3A%2F%2Fas.example" in link(answer)
    assert lab.facts("authorization.refused")[-1]["reason"] == "scope_unknown"


@pytest.mark.requirement("MCP-AS-19")
@pytest.mark.parametrize("client", ["desk-app", "local"])
def test_an_error_goes_straight_to_who_is_vouched_for_or_on_the_same_machine(lab: Lab, client: str) -> None:
    local = client == "local"
    client_id = registered(lab, LOCAL) if local else client
    answer = lab.browser().get(
        lab.authorize_url(client_id, scope="no:such", redirect_uri=LOCAL if local else CALLBACK)
    )
    assert landed(answer)["error"] == "invalid_scope"


@pytest.mark.requirement("MCP-AS-19")
def test_a_silent_request_leads_nowhere_by_itself_until_its_client_was_allowed_once(lab: Lab) -> None:
    client_id, browser = registered(lab), Browser(lab)
    assert "error=login_required" in link(browser.get(lab.authorize_url(client_id, prompt="none")))
    lab.code(client_id, browser=browser)
    wider = lab.authorize_url(client_id, prompt="none", scope="tickets:read tickets:write")
    assert landed(browser.get(wider))["error"] == "consent_required"
    stranger = registered(lab)
    assert "error=consent_required" in link(browser.get(lab.authorize_url(stranger, prompt="none")))


def test_a_refusal_is_the_persons_own_decision_and_goes_straight_back(lab: Lab) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser, client_id=registered(lab))
    assert landed(browser.submit(Page.of(page), decision="deny"))["error"] == "access_denied"


def test_an_answer_by_form_waits_for_its_button_and_no_script_presses_it(lab: Lab) -> None:
    answer = lab.browser().get(lab.authorize_url(registered(lab), scope="no:such", response_mode="form_post"))
    page = Page.of(answer)
    assert page.action == CALLBACK and dict(page.fields)["error"] == "invalid_scope"
    assert b"<script" not in answer.data
