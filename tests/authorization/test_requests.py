"""The authorization endpoint: what is read leniently, what is remembered, and how errors go back."""

from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from broker.identity.clients.model import Client, Registered
from tests.lab import ACME, CALLBACK, INITECH, ISSUER, NOTES, TICKETS, Lab, Page, assert_page, claims, landed

LOOPBACK = "http://127.0.0.1:51004/cb"


def is_consent(response: TestResponse) -> bool:
    return response.status_code == 200 and b'value="allow"' in response.data


def test_a_visit_without_cookies_is_answered_and_spoils_nothing(lab: Lab) -> None:
    url = lab.authorize_url()
    for _ in range(3):
        answer = lab.http().get(url, base_url=ISSUER)
        assert answer.status_code == 303 and answer.headers["Set-Cookie"].startswith("__Host-broker=")
        assert_page(lab.get(answer.headers["Location"].removeprefix(ISSUER), Accept="text/html"), 400)
    browser = lab.browser()
    assert "code" in landed(browser.allow(browser.sign_in(browser.get(url))))
    assert lab.rows("authorization_code") == 1


def test_a_request_may_be_posted(lab: Lab) -> None:
    browser = lab.browser()
    path, _, query = lab.authorize_url().partition("?")
    answer = browser.http.post(
        path, base_url=ISSUER, data=query, content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 303
    page = browser.get(answer.headers["Location"].removeprefix(ISSUER))
    assert "code" in landed(browser.allow(browser.sign_in(page)))


@pytest.mark.parametrize(("lifetime", "alive"), [(599, True), (600, False)])
def test_a_sign_in_that_was_begun_expires(lab: Lab, lifetime: int, alive: bool) -> None:
    browser = lab.browser()
    page = Page.of(browser.get(lab.authorize_url()))
    lab.clock.advance(lifetime)
    answer = browser.submit(page, username="alice", password="correct horse battery staple")
    assert is_consent(answer) is alive
    if not alive:
        assert_page(answer, 400)
        assert lab.rows("browser_session") == 0


def test_the_root_door_counts_how_many_sign_ins_one_source_begins(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(interactions_per_minute=3)
    for _ in range(3):
        assert lab.http().get(lab.authorize_url(), base_url=ISSUER).status_code == 303
    answer = lab.get(lab.authorize_url(), Accept="text/html")
    assert_page(answer, 429)
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
    assert lab.facts("authorization.refused")[-1]["reason"] == "rate_limited"
    assert lab.browser("192.0.2.9").get(lab.authorize_url()).status_code == 200
    lab.clock.advance(61)
    assert lab.http().get(lab.authorize_url(), base_url=ISSUER).status_code == 303


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"resource": "https://nowhere.example/"}, "invalid_target"),
        ({"scope": "nothing:known"}, "invalid_scope"),
        ({"scope": 'quo"te'}, "invalid_scope"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "https://x.example"}, "request_uri_not_supported"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "rubbish"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
@pytest.mark.parametrize("door", ["", "/t/acme"])
@pytest.mark.parametrize("state", ["st4te", None])
def test_an_error_goes_back_with_issuer_and_state(
    lab: Lab, changes: dict[str, str | None], error: str, door: str, state: str | None
) -> None:
    response = lab.browser().get(lab.authorize_url(door=door, state=state, **changes))
    arrived = landed(response)
    assert response.headers["Location"].startswith(CALLBACK + "?")
    assert arrived.pop("error") == error and arrived.pop("error_description")
    assert arrived == {"iss": ISSUER + door, **({"state": state} if state else {})}
    assert lab.facts("authorization.refused")[-1]["client"] == "desk-app"


def test_a_client_that_may_not_ask_for_codes_is_told_so(lab: Lab) -> None:
    lab.put_client(
        Client("no-codes", "No codes", None, "none", Registered.ADMIN, (CALLBACK,), ("refresh_token",))
    )
    assert landed(lab.browser().get(lab.authorize_url("no-codes")))["error"] == "unauthorized_client"


@pytest.mark.parametrize("resource", [TICKETS, TICKETS + "/"])
def test_one_trailing_slash_of_a_resource_is_overlooked_and_the_audience_stays_as_registered(
    lab: Lab, resource: str
) -> None:
    token = claims(lab.tokens(resource=resource)["access_token"])
    assert token["aud"] == TICKETS


def test_two_trailing_slashes_are_another_resource(lab: Lab) -> None:
    assert landed(lab.browser().get(lab.authorize_url(resource=TICKETS + "//")))["error"] == "invalid_target"


@pytest.mark.parametrize(
    "scope", [" tickets:read", "tickets:read ", "tickets:read   customers:read", "tickets:read tickets:read"]
)
def test_spaces_and_repeats_in_a_scope_are_overlooked(lab: Lab, scope: str) -> None:
    answer = lab.tokens(scope=scope)
    assert answer["scope"].split() == list(dict.fromkeys(scope.split()))


@pytest.mark.parametrize(
    "scope", ["tickets:read\tcustomers:read", "tickets:read\n", "tickets\\read", "tickets:réad"]
)
def test_a_scope_with_other_white_space_or_foreign_letters_is_invalid(lab: Lab, scope: str) -> None:
    assert landed(lab.browser().get(lab.authorize_url(scope=scope)))["error"] == "invalid_scope"


def test_without_a_scope_the_default_ones_are_asked_for(lab: Lab) -> None:
    assert lab.tokens(scope=None)["scope"] == "tickets:read"


def test_offline_access_is_advertised_by_the_server_and_by_no_resource(lab: Lab) -> None:
    assert "offline_access" in lab.get("/.well-known/oauth-authorization-server").json["scopes_supported"]
    document = lab.get("/.well-known/oauth-protected-resource/r/tickets").json
    assert "offline_access" not in document["scopes_supported"]


@pytest.mark.parametrize("scope", ["tickets:read", "tickets:read offline_access"])
def test_a_client_registered_for_refreshing_counts_as_asking_for_it(lab: Lab, scope: str) -> None:
    answer = lab.tokens(scope=scope)
    assert "refresh_token" in answer and answer["scope"] == "tickets:read"


def test_a_client_not_registered_for_refreshing_gets_no_refresh_token_however_it_asks(lab: Lab) -> None:
    page = lab.consent_page(client_id="no-refresh", scope="tickets:read offline_access")
    assert "offline_access" not in Page.of(page).values("scope")
    answer = lab.tokens("no-refresh", scope="tickets:read offline_access")
    assert "refresh_token" not in answer and answer["scope"] == "tickets:read"


def test_whoever_unticks_the_box_gives_no_refresh_token(lab: Lab) -> None:
    code = lab.code(boxes={"scope": None})
    answer = lab.redeem(code)
    assert answer.status_code == 200 and "refresh_token" not in answer.json
    assert lab.facts("consent.granted")[0]["change"]["offline"] is False


@pytest.mark.parametrize(("client_id", "redirect"), [("web-app", CALLBACK), ("desk-app", CALLBACK)])
def test_what_was_allowed_before_is_not_asked_again_of_a_client_on_the_web(
    lab: Lab, client_id: str, redirect: str
) -> None:
    browser = lab.browser()
    assert lab.code(client_id, browser=browser)
    again = landed(browser.get(lab.authorize_url(client_id)))
    assert "code" in again and again["state"] == "st4te" and again["iss"] == ISSUER
    assert len(lab.facts("consent.granted")) == 1
    assert is_consent(browser.get(lab.authorize_url(client_id, prompt="consent")))
    assert is_consent(browser.get(lab.authorize_url(client_id, scope="tickets:read refunds:write")))
    assert is_consent(browser.get(lab.authorize_url(client_id, resource=NOTES, scope="notes:read")))


def test_a_client_on_loopback_is_asked_for_every_time(lab: Lab) -> None:
    browser = lab.browser()
    for _ in range(3):
        page = lab.consent_page(browser=browser, client_id="local-app", redirect_uri=LOOPBACK)
        assert is_consent(page)
        assert "code" in landed(browser.allow(page))


def test_what_was_taken_back_is_asked_again(lab: Lab) -> None:
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    (record,) = lab.facts("consent.granted")
    assert lab.broker.grants.revoke(str(record["grant_id"]), "test")
    assert is_consent(browser.get(lab.authorize_url("web-app")))


def test_what_expired_is_asked_again(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(grant_lifetime=3600, session_idle=7200)
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    lab.clock.advance(3599)
    assert "code" in landed(browser.get(lab.authorize_url("web-app")))
    lab.clock.advance(3600)
    assert is_consent(browser.get(lab.authorize_url("web-app")))


def test_a_user_of_several_tenants_is_asked_which_one_once(lab: Lab) -> None:
    browser = lab.browser()
    files = {"resource": "https://files.example/mcp", "scope": "files:read"}
    page = lab.consent_page("both", browser, client_id="desk-app", **files)
    wrong = browser.allow(page)
    assert (
        wrong.status_code == 400
        and b"Choose the organization" in wrong.data
        and lab.rows("access_grant") == 0
    )
    for choice in ("initech", "nobody", ""):
        wrong = browser.allow(wrong, tenant=choice)
        assert wrong.status_code == 400 and is_consent(wrong) is False and lab.rows("access_grant") == 0
    token = lab.redeem(landed(browser.allow(wrong, tenant="globex"))["code"], resource=files["resource"])
    assert claims(token.json["access_token"])["tenant"] == "globex"
    assert "code" in landed(browser.get(lab.authorize_url(**files)))


@pytest.mark.attack("AUTHZ-26")
def test_prompt_none_is_answered_without_a_page(lab: Lab) -> None:
    browser = lab.browser()

    def silently(client_id: str = "web-app", **changes: str | None) -> dict[str, str]:
        return landed(browser.get(lab.authorize_url(client_id, **{"prompt": "none", **changes})))

    assert silently()["error"] == "login_required"
    assert lab.facts("authorization.refused")[-1]["reason"] == "login_required"
    page = browser.sign_in(browser.get(lab.authorize_url("web-app")))
    assert silently()["error"] == "consent_required"
    assert lab.facts("authorization.refused")[-1]["reason"] == "consent_required"
    assert silently(prompt="none login")["error"] == "invalid_request"
    assert "code" in landed(browser.allow(page))
    assert set(silently()) == {"code", "iss", "state"}
    assert silently(scope="tickets:read refunds:write")["error"] == "consent_required"
    local = browser.get(lab.authorize_url("local-app", redirect_uri=LOOPBACK))
    assert silently("local-app", redirect_uri=LOOPBACK)["error"] == "consent_required"
    assert "code" in landed(browser.allow(local))
    assert silently("local-app", redirect_uri=LOOPBACK)["error"] == "interaction_required"


def test_prompt_login_wants_a_sign_in_younger_than_the_request(lab: Lab) -> None:
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    lab.clock.advance(1)
    page = browser.get(lab.authorize_url("web-app", prompt="login"))
    assert b'name="password"' in page.data
    (request,) = Page.of(page).values("request")
    assert b'name="password"' in browser.get(f"/consent?request={request}").data
    assert "code" in landed(browser.sign_in(page))


def test_a_session_of_a_non_member_leads_to_the_sign_in_page_of_a_tenants_door(lab: Lab) -> None:
    browser = lab.browser()
    lab.consent_page("alice", browser)
    files = {"resource": "https://files.example/mcp", "scope": "files:read", "door": "/t/initech"}
    page = browser.get(lab.authorize_url(**files))
    assert b'name="password"' in page.data and b"Initech" in page.data
    assert landed(browser.get(lab.authorize_url(prompt="none", **files))) | {"error_description": ""} == {
        "error": "login_required",
        "error_description": "",
        "iss": INITECH,
        "state": "st4te",
    }
    consent = browser.sign_in(page, "ivan")
    arrived = landed(browser.allow(consent))
    assert arrived["iss"] == INITECH
    token = lab.redeem(arrived["code"], door="/t/initech", resource=files["resource"]).json["access_token"]
    assert claims(token)["tenant"] == "initech" and claims(token)["sub"] == "ivan"


def test_a_session_of_a_member_is_good_at_the_tenants_door_too(lab: Lab) -> None:
    browser = lab.browser()
    lab.consent_page("alice", browser)
    page = browser.get(lab.authorize_url(door="/t/acme"))
    assert is_consent(page) and landed(browser.allow(page))["iss"] == ACME


def test_the_form_may_lead_to_the_client_and_nowhere_else(lab: Lab) -> None:
    for client_id, redirect, expected in (
        ("desk-app", CALLBACK, "form-action 'self' https: http:"),
        ("local-app", LOOPBACK, "form-action 'self' http: https:"),
    ):
        page = lab.consent_page(client_id=client_id, redirect_uri=redirect)
        assert expected in page.headers["Content-Security-Policy"]


def test_a_page_lets_its_own_forms_name_their_origin(lab: Lab) -> None:
    """With `no-referrer` a browser sends `Origin: null` with the form, which is refused as another site's."""
    page = lab.browser().get(lab.authorize_url())
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert b'name="referrer" content="no-referrer"' not in page.data
