"""RFC 9470: scopes that take a stronger or newer sign-in, from request to token, and what consent says of it."""

import asyncio
import re
from dataclasses import replace

import httpx2
import pytest
from werkzeug.test import TestResponse

from broker.estate.model import Edge
from broker.guard.asgi import GuardMiddleware
from broker.guard.guard import Guard
from broker.guard.step_up import SignIn
from broker.protocol import acr
from tests.lab import CRM, ISSUER, START, TICKETS, Browser, Lab, Page, claims, landed
from tests.pushing import address, pushed

WIDE = "tickets:read refunds:write"


def demanding(lab: Lab, resource: str = "tickets", **scopes: tuple[str | None, int | None]) -> None:
    """From now on these scopes (`:` written `_`) take a sign-in of that class and age."""
    demands = {name.replace("_", ":"): wanted for name, wanted in scopes.items()}

    def work(tx: object) -> None:
        kept = lab.broker.estate().resources[resource]
        made = tuple(
            replace(scope, acr=demands[scope.name][0], max_age=demands[scope.name][1])
            if scope.name in demands
            else scope
            for scope in kept.scopes
        )
        lab.broker.changes.put_resource(tx, replace(kept, scopes=made))

    lab.change(work)


def stronger(lab: Lab, browser: Browser, held: str = acr.MFA) -> None:
    """As if the person had signed in so."""
    assert lab.sql("UPDATE browser_session SET acr = ? WHERE ended_at IS NULL", held)


def is_consent(response: TestResponse) -> bool:
    return response.status_code == 200 and b'value="allow"' in response.data


def is_sign_in(response: TestResponse) -> bool:
    return response.status_code == 200 and b'name="password"' in response.data


# The request


@pytest.mark.requirement("RFC9470-06")
def test_a_request_for_the_scope_demands_the_sign_in_that_it_takes(lab: Lab) -> None:
    demanding(lab, refunds_write=(acr.MFA, None))
    browser = lab.browser()
    assert lab.code("web-app", browser=browser)
    arrived = landed(browser.get(lab.authorize_url("web-app", scope=WIDE)))
    assert arrived["error"] == "unmet_authentication_requirements", "alice has a password and nothing more"
    stronger(lab, browser)
    page = browser.get(lab.authorize_url("web-app", scope=WIDE))
    assert is_consent(page)
    token = lab.redeem(landed(browser.allow(page))["code"], "web-app").json
    assert token["scope"] == WIDE and claims(token["access_token"])["acr"] == acr.MFA


def test_a_scope_that_implies_the_demanding_one_demands_as_much(lab: Lab) -> None:
    demanding(lab, tickets_read=(acr.MFA, None))
    browser = lab.browser()
    page = browser.get(lab.authorize_url("web-app", scope="tickets:write"))
    assert landed(browser.sign_in(page))["error"] == "unmet_authentication_requirements"
    assert lab.code("web-app", scope="customers:read")


@pytest.mark.parametrize(
    ("wish", "held", "enough"),
    [
        (None, acr.PASSWORD, False),
        (None, acr.MFA, True),
        (acr.PASSWORD, acr.PASSWORD, False),
        (acr.PASSWORD, acr.MFA, True),
        (f"{acr.PASSKEY} {acr.PASSWORD}", acr.MFA, True),
        (acr.PASSKEY, acr.MFA, False),
        (acr.PASSKEY, acr.PASSKEY, True),
    ],
)
def test_what_the_client_wishes_and_what_the_scope_takes_are_both_needed(
    lab: Lab, wish: str | None, held: str, enough: bool
) -> None:
    demanding(lab, refunds_write=(acr.MFA, None))
    browser = lab.browser()
    assert lab.code("web-app", browser=browser)
    stronger(lab, browser, held)
    page = browser.get(lab.authorize_url("web-app", scope=WIDE, acr_values=wish))
    assert is_consent(page) == enough


def test_a_scope_that_takes_a_new_sign_in_asks_for_one(lab: Lab) -> None:
    demanding(lab, refunds_write=(None, 60))
    browser = lab.browser()
    assert lab.code("web-app", browser=browser)
    lab.clock.advance(60)
    assert is_consent(browser.get(lab.authorize_url("web-app", scope=WIDE)))
    lab.clock.advance(1)
    page = browser.get(lab.authorize_url("web-app", scope=WIDE))
    assert is_sign_in(page)
    assert "code" in landed(browser.get(lab.authorize_url("web-app"))), "other scopes take none"
    token = lab.redeem(landed(browser.allow(browser.sign_in(page)))["code"], "web-app").json
    assert token["scope"] == WIDE


def test_a_pushed_request_is_held_to_what_its_scopes_take_when_it_is_opened(lab: Lab) -> None:
    uri = pushed(lab, scope=WIDE)
    demanding(lab, refunds_write=(acr.MFA, None))
    browser = lab.browser()
    arrived = landed(browser.sign_in(browser.get(address(uri))))
    assert arrived["error"] == "unmet_authentication_requirements"


# The token


@pytest.mark.requirement("RFC9470-07")
def test_no_token_carries_a_scope_that_its_sign_in_is_too_weak_for(lab: Lab) -> None:
    first = lab.tokens("web-app", scope=WIDE)
    assert first["scope"] == WIDE
    code = lab.code("web-app", scope=WIDE)
    demanding(lab, refunds_write=(acr.MFA, None))
    answer = lab.redeem(code, "web-app")
    assert (answer.status_code, answer.json["scope"]) == (200, "tickets:read")
    assert claims(answer.json["access_token"])["scope"] == "tickets:read"
    refreshed = lab.refresh(first["refresh_token"], "web-app")
    assert (refreshed.status_code, refreshed.json["scope"]) == (200, "tickets:read")
    asked = lab.refresh(refreshed.json["refresh_token"], "web-app", scope="refunds:write")
    lab.refused(asked, 400, "invalid_grant", "authentication_too_weak")
    demanding(lab, refunds_write=(None, None))
    again = lab.refresh(refreshed.json["refresh_token"], "web-app")
    assert again.json["scope"] == WIDE, "the grant still has it"


def test_a_scope_goes_when_the_sign_in_is_too_long_ago(lab: Lab) -> None:
    demanding(lab, refunds_write=(None, 300))
    token = lab.tokens("web-app", scope=WIDE)
    assert token["scope"] == WIDE
    lab.clock.advance(300)
    token = lab.refresh(token["refresh_token"], "web-app").json
    assert token["scope"] == WIDE
    lab.clock.advance(1)
    token = lab.refresh(token["refresh_token"], "web-app").json
    assert token["scope"] == "tickets:read"


def test_what_is_implied_is_not_carried_in_either(lab: Lab) -> None:
    token = lab.tokens("web-app", scope="tickets:write customers:read")
    demanding(lab, tickets_read=(acr.MFA, None))
    answer = lab.refresh(token["refresh_token"], "web-app")
    assert claims(answer.json["access_token"])["scope"] == "customers:read"


def test_where_nobody_signed_in_nothing_demanding_is_given(lab: Lab) -> None:
    assert lab.client_credentials(scope="tickets:read").status_code == 200
    demanding(lab, tickets_read=(acr.PASSWORD, None))
    lab.refused(lab.client_credentials(scope="tickets:read"), 400, "invalid_scope", "authentication_too_weak")


def test_an_exchange_gives_no_more_than_the_sign_in_behind_its_subject(lab: Lab) -> None:
    token = lab.tokens("web-app")["access_token"]
    assert lab.exchange(token).status_code == 200
    demanding(lab, "crm", crm_read=(acr.MFA, None))
    answer = lab.exchange(token)
    lab.refused(answer, 400, "insufficient_user_authentication", "authentication_too_weak")
    lab.change(
        lambda tx: lab.broker.changes.put_edge(
            tx, Edge("tickets", "crm", {"tickets:read": ("crm:read", "crm:write")})
        )
    )
    browser = lab.browser()
    wider = lab.redeem(lab.code("web-app", browser=browser, prompt="consent"), "web-app").json["access_token"]
    answer = lab.exchange(wider)
    assert (answer.status_code, answer.json["scope"]) == (200, "crm:write")
    assert claims(answer.json["access_token"])["aud"] == CRM


# Consent


def test_a_first_and_a_widening_consent_look_different(lab: Lab) -> None:
    browser = lab.browser()
    first = lab.consent_page(browser=browser, client_id="web-app")
    assert b"This is the first time you are asked." in first.data and b"allowed before" not in first.data
    assert "code" in landed(browser.allow(first))
    wider = browser.get(lab.authorize_url("web-app", scope="tickets:read refunds:write"))
    text = wider.get_data(as_text=True)
    assert "Adds 1 permission to what you allowed on 15 January 2027." in text
    assert "This is the first time" not in text
    assert text.count("allowed before") == 1
    lines = text.split("<li>")
    (kept,) = [line for line in lines if "<code>tickets:read</code>" in line]
    (added,) = [line for line in lines if "<code>refunds:write</code>" in line]
    assert "allowed before" in kept and "allowed before" not in added
    assert ">new<" in added and text.count(">new<") == 1 and b">new<" not in first.data


def test_what_a_scope_implies_was_allowed_with_it(lab: Lab) -> None:
    browser = lab.browser()
    assert lab.code("web-app", browser=browser, scope="tickets:write")
    assert "code" in landed(browser.get(lab.authorize_url("web-app", scope="tickets:read")))
    page = browser.get(lab.authorize_url("web-app", scope="tickets:read customers:read"))
    text = page.get_data(as_text=True)
    assert "Adds 1 permission" in text and text.count("allowed before") == 1
    assert is_consent(browser.get(lab.authorize_url("web-app", scope="tickets:write refunds:write")))


def test_whoever_asks_for_the_union_keeps_what_it_had(lab: Lab) -> None:
    browser = lab.browser()
    first = lab.redeem(lab.code("web-app", browser=browser), "web-app").json
    page = browser.get(lab.authorize_url("web-app", scope=WIDE))
    second = lab.redeem(landed(browser.allow(page))["code"], "web-app").json
    assert second["scope"] == WIDE
    assert (
        lab.active(first["access_token"])
        and lab.refresh(first["refresh_token"], "web-app").status_code == 200
    )
    page = browser.get(lab.authorize_url("web-app", scope=WIDE, prompt="consent"))
    assert "Nothing is added." in page.get_data(as_text=True)
    assert "code" in landed(browser.get(lab.authorize_url("web-app", scope="refunds:write")))


@pytest.mark.parametrize("scope", ["openid tickets:read", "openid profile tickets:read"])
def test_a_consent_without_identity_does_not_answer_for_one_with_it(lab: Lab, scope: str) -> None:
    browser = lab.browser()
    assert lab.code("web-app", browser=browser)
    page = browser.get(lab.authorize_url("web-app", scope=scope))
    assert is_consent(page)
    assert "code" in landed(browser.allow(page))
    assert "code" in landed(browser.get(lab.authorize_url("web-app", scope=scope)))


def test_what_was_unticked_is_asked_again(lab: Lab) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser, client_id="web-app", scope=WIDE)
    arrived = landed(browser.submit(Page.of(page), decision="allow", scope="offline_access"))
    assert lab.redeem(arrived["code"], "web-app").json["scope"] == "tickets:read"
    assert "code" in landed(browser.get(lab.authorize_url("web-app")))
    page = browser.get(lab.authorize_url("web-app", scope=WIDE))
    assert is_consent(page) and "Adds 1 permission" in page.get_data(as_text=True)


def test_a_remembered_consent_still_takes_the_sign_in(lab: Lab) -> None:
    browser = lab.browser()
    assert lab.code("web-app", browser=browser, scope=WIDE)
    assert "code" in landed(browser.get(lab.authorize_url("web-app", scope=WIDE)))
    demanding(lab, refunds_write=(None, 60))
    lab.clock.advance(61)
    page = browser.get(lab.authorize_url("web-app", scope=WIDE))
    assert is_sign_in(page) and lab.clock.now() > START
    assert "code" in landed(browser.sign_in(page)), "signed in anew, nothing has to be asked"


# The whole way


def test_the_guards_challenge_leads_to_a_token_that_passes(lab: Lab) -> None:
    """RFC 9470 section 1: called, challenged, signed in anew, allowed, called again."""
    guard = Guard(
        resource=TICKETS,
        issuers={ISSUER: ["acme"]},
        tools={"refund": ["refunds:write"], "search": ["tickets:read"]},
        keys=lab.broker.door_keys,
        clock=lab.clock.now,
        sign_ins={"refunds:write": SignIn(acr.MFA, 300)},
    )
    browser = lab.browser()
    weak = lab.redeem(lab.code("web-app", browser=browser, scope=WIDE), "web-app").json["access_token"]
    assert call(guard, weak, "search").text == "reached"
    demanding(lab, refunds_write=(acr.MFA, 300))
    answer = call(guard, weak, "refund")
    asked = dict(re.findall(r'([a-z_]+)="([^"]*)"', answer.headers["www-authenticate"]))
    assert answer.status_code == 401 and asked["error"] == "insufficient_user_authentication"
    wish = {name: asked[name] for name in ("acr_values", "max_age", "scope")}
    assert set(wish["scope"].split()) == set(WIDE.split())
    arrived = landed(browser.get(lab.authorize_url("web-app", **wish)))
    assert arrived["error"] == "unmet_authentication_requirements"
    stronger(lab, browser)
    page = browser.get(lab.authorize_url("web-app", **wish))
    arrived = landed(page if page.status_code == 303 else browser.allow(page))
    strong = lab.redeem(arrived["code"], "web-app").json["access_token"]
    assert call(guard, strong, "refund").text == "reached"
    lab.clock.advance(301)
    fresh = lab.tokens("web-app")["access_token"]
    assert call(guard, fresh, "refund").status_code == 403, "without the scope, it is the scope that lacks"


def call(guard: Guard, token: str, tool: str) -> httpx2.Response:
    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})

    async def run() -> httpx2.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(GuardMiddleware(app, guard))) as client:
            return await client.post(TICKETS, json=body, headers={"Authorization": f"Bearer {token}"})

    return asyncio.run(run())
