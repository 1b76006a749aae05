"""The consent form: what it takes, what it keeps, and how a grant is extended later."""

from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from broker.authorization.consent import Consent
from broker.estate.model import Edge
from broker.identity.users.model import Membership, User
from tests.lab import ISSUER, Browser, Lab, Page, assert_page, claims, landed

FILES = "https://files.example/mcp"
SEVERAL = "customers:read tickets:write refunds:write"


def is_consent(response: TestResponse) -> bool:
    return response.status_code == 200 and b'value="allow"' in response.data


@pytest.mark.requirement("MCP-AS-27")
def test_only_what_stays_ticked_is_granted(lab: Lab) -> None:
    code = lab.code(scope="tickets:read " + SEVERAL, boxes={"scope": ["customers:read"]})
    answer = lab.redeem(code).json
    assert (
        set(answer["scope"].split()) == {"tickets:read", "customers:read"} and "refresh_token" not in answer
    )
    (record,) = lab.facts("consent.granted")
    assert record["scope"] == "tickets:read customers:read"


def test_a_scope_that_nobody_asked_for_cannot_be_ticked(lab: Lab) -> None:
    code = lab.code(scope="tickets:read", boxes={"scope": ["refunds:write", "offline_access", "crm:write"]})
    assert lab.redeem(code).json["scope"] == "tickets:read"


def test_a_required_scope_cannot_be_unticked(lab: Lab) -> None:
    page = Page.of(lab.consent_page(scope="tickets:read " + SEVERAL))
    assert sorted(page.values("scope")) == sorted([*SEVERAL.split(), "offline_access"])


def test_a_form_with_nothing_ticked_comes_back_and_loses_nothing(lab: Lab) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser, scope=SEVERAL)
    again = browser.allow(page, scope=None)
    text = again.get_data(as_text=True)
    assert again.status_code == 400 and "Tick at least one" in text and 'role="alert"' in text
    assert lab.rows("access_grant") == lab.rows("authorization_code") == 0
    assert lab.facts("consent.granted") == lab.facts("consent.denied") == []
    first, second = Page.of(page), Page.of(again)
    assert first.fields == second.fields and first.action == second.action
    only_offline = browser.allow(again, scope="offline_access")
    assert only_offline.status_code == 400
    arrived = landed(browser.allow(only_offline, scope=["customers:read"]))
    assert arrived["state"] == "st4te" and lab.redeem(arrived["code"]).json["scope"] == "customers:read"


@pytest.mark.parametrize("decision", [None, "", "ALLOW", "yes", "allow "])
def test_anything_but_allow_is_a_refusal(lab: Lab, decision: str | None) -> None:
    browser = lab.browser()
    page = Page.of(lab.consent_page(browser=browser))
    assert landed(browser.submit(page, decision=decision))["error"] == "access_denied"
    assert lab.rows("access_grant") == 0 and len(lab.facts("consent.denied")) == 1


@pytest.mark.parametrize("field", ["decision", "csrf", "request", "tenant"])
def test_a_repeated_field_is_refused_and_the_form_stays_good(lab: Lab, field: str) -> None:
    browser = lab.browser()
    page = Page.of(lab.consent_page(browser=browser))
    values = [*page.values(field), "allow"]
    answer = browser.submit(page, **{"decision": "allow", field: [values[0], values[0]]})
    assert_page(answer, 400)
    assert lab.facts("authorization.refused")[-1]["reason"] == "repeated_parameter"
    assert "code" in landed(browser.submit(page, decision="allow"))


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", ""])
def test_a_form_of_another_content_type_is_refused(lab: Lab, kind: str) -> None:
    browser = lab.browser()
    page = Page.of(lab.consent_page(browser=browser))
    answer = browser.http.post(
        "/consent",
        base_url=ISSUER,
        data=b"decision=allow",
        content_type=kind,
        headers={"Accept": "text/html"},
    )
    assert_page(answer, 400)
    assert "code" in landed(browser.submit(page, decision="allow"))


# The extension of a grant along edges that came later


def extended(lab: Lab, client_id: str = "desk-app", door: str = "") -> tuple[dict[str, str], str]:
    """Tokens, and the address where their user may let the grant reach a server that an edge came to later."""
    tokens = lab.tokens(client_id, door=door)
    edge = Edge("tickets", "files", {"tickets:read": ("files:read",)})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, edge))
    refused = lab.exchange(tokens["access_token"], door=door, resource=FILES)
    assert refused.status_code == 400 and refused.json["error"] == "interaction_required"
    address = refused.json["interaction_uri"]
    assert address == f"{ISSUER}{door}/consent?grant={claims(tokens['access_token'])['grant_id']}"
    return tokens, address.removeprefix(ISSUER)


def reaches(lab: Lab, tokens: dict[str, str], door: str = "") -> bool:
    return lab.exchange(tokens["access_token"], door=door, resource=FILES).status_code == 200


@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_the_user_of_a_grant_may_let_it_reach_further(lab: Lab, door: str) -> None:
    tokens, address = extended(lab, door=door)
    browser = lab.browser()
    page = browser.sign_in(browser.get(address))
    assert is_consent(page) and FILES in page.get_data(as_text=True)
    done = browser.allow(page)
    assert_page(done, 200)
    assert done.headers["Content-Security-Policy"].endswith("form-action 'self'")
    assert reaches(lab, tokens, door)
    assert lab.rows("access_grant") == 1 and lab.rows("authorization_code") == 1
    record = lab.facts("consent.granted")[-1]
    assert record["grant_id"] == claims(tokens["access_token"])["grant_id"] and record["subject"] == "alice"
    assert "tickets->files" in record["change"]["downstream"]
    assert browser.submit(Page.of(page), decision="allow").status_code == 400


def test_the_user_of_a_grant_may_refuse_to_extend_it(lab: Lab) -> None:
    tokens, address = extended(lab)
    browser = lab.browser()
    page = browser.sign_in(browser.get(address))
    assert browser.submit(Page.of(page), decision="deny").status_code == 200
    assert not reaches(lab, tokens) and len(lab.facts("consent.denied")) == 1
    assert lab.active(tokens["access_token"])


def test_another_user_cannot_extend_a_grant(lab: Lab) -> None:
    tokens, address = extended(lab)
    browser = lab.browser()
    assert_page(browser.sign_in(browser.get(address), "bob"), 400)
    record = lab.facts("authorization.refused")[-1]
    assert (record["reason"], record["subject"]) == ("interaction_unknown", "bob")
    assert not reaches(lab, tokens)


def test_another_browser_cannot_extend_a_grant(lab: Lab) -> None:
    tokens, address = extended(lab)
    mine, other = lab.browser(), lab.browser("192.0.2.9")
    page = Page.of(mine.sign_in(mine.get(address)))
    (request,) = page.values("request")
    lab.consent_page(browser=other)
    assert_page(other.get(f"/consent?request={request}"), 400)
    assert other.submit(page, decision="allow").status_code in (400, 403)
    assert not reaches(lab, tokens)
    assert mine.submit(page, decision="allow").status_code == 200 and reaches(lab, tokens)


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_grant_that_ended_cannot_be_extended(lab: Lab, end: str) -> None:
    tokens, address = extended(lab)
    browser: Browser = lab.browser()
    page = browser.sign_in(browser.get(address))
    assert is_consent(page)
    if end == "revoked":
        assert lab.revoke(tokens["access_token"]).status_code == 200
    else:
        lab.clock.advance(lab.broker.settings.grant_lifetime)
        page = browser.get(address)
        page = browser.sign_in(page)
        assert_page(page, 400)
        return
    assert_page(browser.allow(page), 400)
    assert_page(browser.get(address), 400)
    assert len(lab.facts("consent.granted")) == 1


def test_an_unknown_grant_and_one_of_another_door_lead_to_the_same_page(lab: Lab) -> None:
    _, address = extended(lab)
    browser = lab.browser()
    for path in ("/consent?grant=gra_nothing", "/t/acme" + address, "/t/globex" + address):
        assert_page(browser.get(path), 400)
        assert lab.facts("authorization.refused")[-1]["reason"] == "interaction_unknown"
    assert b'name="password"' in browser.get(address).data


def test_a_switched_off_client_extends_nothing(lab: Lab) -> None:
    tokens, address = extended(lab)
    browser = lab.browser()
    page = browser.sign_in(browser.get(address))
    lab.switch("client", "desk-app")
    assert_page(browser.allow(page), 400)
    lab.lift("client", "desk-app")
    assert not reaches(lab, tokens)


def test_extending_a_grant_never_asks_for_its_tenant_again(lab: Lab) -> None:
    tokens = lab.tokens(user="alice")
    lab.change(
        lambda tx: lab.broker.people.put(
            tx, User("alice", "Alice", None, (Membership("acme"), Membership("globex")))
        )
    )
    everywhere = lab.broker.estate().resources["tickets"]
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, replace(everywhere, tenants=("*",))))
    edge = Edge("tickets", "files", {"tickets:read": ("files:read",)})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, edge))
    browser = lab.browser()
    page = browser.sign_in(browser.get(f"/consent?grant={claims(tokens['access_token'])['grant_id']}"))
    assert is_consent(page) and b'name="tenant"' not in page.data and b"Acme" in page.data
    assert browser.allow(page).status_code == 200 and reaches(lab, tokens)


def test_whoever_left_the_tenant_of_a_grant_cannot_extend_it(lab: Lab) -> None:
    tokens, address = extended(lab)
    everywhere = lab.broker.estate().resources["tickets"]
    lab.change(lambda tx: lab.broker.changes.put_resource(tx, replace(everywhere, tenants=("*",))))
    lab.change(lambda tx: lab.broker.people.put(tx, User("alice", "Alice", None, (Membership("globex"),))))
    browser = lab.browser()
    assert_page(browser.sign_in(browser.get(address)), 400)
    assert len(lab.facts("consent.granted")) == 1 and not reaches(lab, tokens)


def ending(lab: Lab, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """Every session ends after it was read, and before `verb` acts."""
    act = getattr(Consent, verb)

    def late(self: Consent, *given: object) -> object:
        for session, _ in lab.broker.sessions.open():
            lab.broker.sessions.end_by_id(session.id)
        return act(self, *given)

    monkeypatch.setattr(Consent, verb, late)


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_session_that_ends_beside_the_answer_gives_and_refuses_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    browser = lab.browser()
    page = Page.of(lab.consent_page(browser=browser))
    with monkeypatch.context() as patch:
        ending(lab, patch, "decide")
        answer = browser.submit(page, decision=decision)
    assert b'name="password"' in answer.data
    assert lab.facts("consent.granted") == lab.facts("consent.denied") == []
    assert lab.rows("access_grant") == 0
    assert "code" in landed(browser.allow(browser.sign_in(answer))), "the same request, signed in again"


def test_a_session_that_ends_beside_a_visit_is_answered_from_no_earlier_consent(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    with monkeypatch.context() as patch:
        ending(lab, patch, "_repeat")
        assert_page(browser.get(lab.authorize_url("web-app")), 400)
    assert lab.rows("authorization_code") == 1
