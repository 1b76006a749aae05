"""What a review of the whole once found: each finding as the behaviour that it must have."""

from dataclasses import replace

import pytest

from broker.admin.books import revived
from broker.cli.invariants import books_of
from broker.estate.model import Edge, EdgeConsent
from broker.identity.users.model import User
from tests.lab import (
    ACME,
    CALLBACK,
    CHALLENGE,
    CRM,
    FILES,
    ISSUER,
    PASSWORD,
    TICKETS,
    Browser,
    Lab,
    Page,
    assert_refused,
    claims,
    landed,
)


def grant_of(lab: Lab, token: str) -> str:
    return str(claims(token)["grant_id"])


def test_lifting_a_switch_does_not_undo_a_revocation(lab: Lab) -> None:
    given = lab.tokens()
    grant = grant_of(lab, given["access_token"])
    lab.switch("grant", grant)
    assert not lab.active(given["access_token"])
    assert lab.revoke(given["refresh_token"]).status_code == 200
    lab.lift("grant", grant)
    assert not lab.active(given["access_token"])
    assert_refused(lab.refresh(given["refresh_token"]), 400, "invalid_grant")


def test_a_switch_alone_is_lifted_and_what_it_stopped_goes_on(lab: Lab) -> None:
    given = lab.tokens()
    lab.switch("grant", grant_of(lab, given["access_token"]))
    assert not lab.active(given["access_token"])
    lab.lift("grant", grant_of(lab, given["access_token"]))
    assert lab.active(given["access_token"])
    assert lab.refresh(given["refresh_token"]).status_code == 200


def test_a_password_that_changes_while_it_is_compared_starts_no_session(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = lab.browser()
    page = browser.get(lab.authorize_url())
    passwords = lab.broker.sign_in._passwords
    verify = type(passwords).verify

    def slow(self: object, stored: str | None, password: str) -> bool:
        matches = verify(passwords, stored, password)
        monkeypatch.undo()
        lab.set_password("alice", "another long and good password")
        return matches

    monkeypatch.setattr(type(passwords), "verify", slow)
    refused = browser.sign_in(page)
    assert refused.status_code == 401
    assert browser.sign_in(refused, password="another long and good password").status_code == 200
    fresh = lab.browser()
    assert fresh.sign_in(fresh.get(lab.authorize_url()), password=PASSWORD).status_code == 401


def test_a_client_of_one_tenant_gets_no_token_of_another_at_the_root_door(lab: Lab) -> None:
    refused = landed(lab.consent_page("vera", client_id="web-app", resource=FILES, scope="files:read"))
    assert refused["error"] == "access_denied"
    token = lab.tokens("web-app", user="both", resource=FILES, scope="files:read")["access_token"]
    assert claims(token)["tenant"] == "acme"


def test_a_client_that_was_narrowed_gets_nothing_more_for_what_it_lost(lab: Lab) -> None:
    code, given = lab.code(), lab.tokens()
    lab.put_client(replace(lab.client("desk-app"), resources=("notes",)))
    assert_refused(lab.redeem(code), 400, "invalid_target")
    assert_refused(lab.refresh(given["refresh_token"]), 400, "invalid_target")
    lab.put_client(replace(lab.client("desk-app"), resources=("tickets",)))
    assert lab.redeem(code).status_code == 200
    assert lab.refresh(given["refresh_token"]).status_code == 200


def test_a_scope_that_is_only_implied_reaches_as_far_as_consent_showed(lab: Lab) -> None:
    given = lab.tokens(scope="tickets:write")["access_token"]
    answer = lab.exchange(given, scope="crm:read")
    assert answer.status_code == 200 and claims(answer.json["access_token"])["scope"] == "crm:read"


def test_an_edge_that_grows_later_gives_the_user_no_more_than_was_shown(lab: Lab) -> None:
    given = lab.tokens(scope="tickets:read")["access_token"]
    wider = Edge("tickets", "crm", {"tickets:read": ("crm:read", "crm:write")})
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, wider))
    assert lab.exchange(given).json["scope"] == "crm:read"
    refused = lab.exchange(given, scope="crm:read crm:write")
    assert_refused(refused, 400, "interaction_required")
    browser = lab.browser()
    page = browser.sign_in(browser.get(refused.json["interaction_uri"].removeprefix(ISSUER)))
    assert "Change the CRM" in page.get_data(as_text=True)
    assert browser.allow(page).status_code == 200
    assert lab.exchange(given, scope="crm:read crm:write").json["scope"] == "crm:read crm:write"


def test_refusing_an_extension_changes_nothing_and_does_not_say_otherwise(lab: Lab) -> None:
    given = lab.tokens(scope="tickets:read")["access_token"]
    lab.change(
        lambda tx: lab.broker.changes.put_edge(
            tx, Edge("tickets", "files", {"tickets:read": ("files:read",)})
        )
    )
    target = {"resource": FILES}
    refused = lab.exchange(given, **target)
    browser = lab.browser()
    page = browser.sign_in(browser.get(refused.json["interaction_uri"].removeprefix(ISSUER)))
    done = browser.submit(Page.of(page), decision="deny")
    assert done.status_code == 200 and "extended" not in done.get_data(as_text=True)
    assert_refused(lab.exchange(given, **target), 400, "interaction_required")


def test_a_user_who_left_the_tenant_is_not_exchanged_for(lab: Lab) -> None:
    given = lab.tokens()["access_token"]
    assert lab.exchange(given).status_code == 200
    lab.change(lambda tx: lab.broker.people.put(tx, User("alice", "Alice", None, ())))
    assert_refused(lab.exchange(given), 400, "invalid_request")


def test_consent_that_is_remembered_ends_when_it_was_said_to(lab: Lab) -> None:
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    lab.clock.advance(lab.broker.settings.grant_lifetime - 3600)
    again = lab.browser()
    page = lab.consent_page(browser=again, client_id="web-app")
    assert "code" in landed(page)
    lab.clock.advance(3700)
    asked = lab.consent_page(browser=again, client_id="web-app")
    assert asked.status_code == 200 and b'name="decision"' in asked.data


def test_taking_a_consent_back_ends_every_grant_that_repeats_it(lab: Lab) -> None:
    first = lab.redeem(lab.code("web-app"), "web-app").json
    browser = lab.browser()
    again = lab.redeem(landed(lab.consent_page(browser=browser, client_id="web-app"))["code"], "web-app").json
    assert grant_of(lab, first["access_token"]) != grant_of(lab, again["access_token"])
    assert lab.broker.grants.revoke(grant_of(lab, again["access_token"]), "test")
    assert not lab.active(first["access_token"]) and not lab.active(again["access_token"])
    asked = browser.get(lab.authorize_url("web-app"))
    assert asked.status_code == 200 and b'name="decision"' in asked.data


def again(lab: Lab, browser: Browser) -> str:
    """The access token of one more visit, which nobody is asked about."""
    lab.clock.advance(60)
    code = landed(browser.get(lab.authorize_url("web-app")))["code"]
    return str(lab.redeem(code, "web-app").json["access_token"])


def without_refresh(lab: Lab) -> None:
    """From now on the web app gets no refresh tokens."""
    web = lab.broker.world.database.read(lambda tx: lab.broker.clients.within(tx, "web-app"))
    assert web is not None
    lab.change(lambda tx: lab.broker.clients.put(tx, replace(web, grant_types=("authorization_code",))))


def test_visits_that_repeat_one_sign_in_share_its_grant(lab: Lab) -> None:
    """Else a client that asks again every few minutes would leave a grant behind each time."""
    without_refresh(lab)
    browser, other = lab.browser(), lab.browser()
    lab.code("web-app", browser=browser)
    grants = {grant_of(lab, again(lab, browser)) for _ in range(3)}
    assert len(grants) == lab.rows("access_grant") == 1
    lab.consent_page(browser=other, client_id="web-app")
    grants.add(grant_of(lab, again(lab, other)))
    assert len(grants) == 2, "another sign-in"
    browser.sign_in(browser.get(lab.authorize_url("web-app", prompt="login")))
    grants.add(grant_of(lab, again(lab, browser)))
    assert len(grants) == 3, "a newer sign-in"


def test_each_line_of_refresh_tokens_has_a_grant_of_its_own(lab: Lab) -> None:
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    assert len({grant_of(lab, again(lab, browser)) for _ in range(3)}) == 3


def test_a_grant_that_was_revoked_is_never_given_again(lab: Lab) -> None:
    without_refresh(lab)
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    first, second = again(lab, browser), again(lab, browser)
    assert grant_of(lab, first) == grant_of(lab, second)
    assert lab.revoke(first, "web-app").status_code == 200
    assert not lab.active(first) and not lab.active(second)
    asked = browser.get(lab.authorize_url("web-app"))
    assert asked.status_code == 200 and b'name="decision"' in asked.data


def test_a_repeated_grant_that_nobody_fetched_is_swept_and_others_stay(lab: Lab) -> None:
    wide = "tickets:read offline_access"
    browser = lab.browser()
    lab.code("web-app", browser=browser, scope=wide)  # the consent itself, never used
    used = landed(browser.get(lab.authorize_url("web-app", scope=wide)))["code"]
    token = lab.redeem(used, "web-app").json["refresh_token"]
    landed(browser.get(lab.authorize_url("web-app", scope=wide)))
    lab.clock.advance(86399)
    lab.broker.sweep()
    assert lab.rows("access_grant") == 3
    lab.clock.advance(1)
    lab.broker.sweep()
    assert lab.rows("access_grant") == 2
    assert lab.refresh(token, "web-app").status_code == 200


def test_a_revocation_is_kept_as_long_as_anything_could_live_and_no_longer(lab: Lab) -> None:
    token = lab.tokens()["access_token"]
    grant = grant_of(lab, token)
    [row] = lab.broker.grants.list("alice")
    assert lab.broker.grants.revoke(grant, "test") and lab.rows("denial") == 1
    lab.clock.advance(row.expires_at + 86399 - lab.clock.now())
    lab.broker.sweep()
    assert lab.rows("denial") == 1
    lab.clock.advance(1)
    lab.broker.sweep()
    assert lab.rows("denial") == lab.rows("access_grant") == 0
    assert not list(revived(books_of(lab.broker), 0.0)), "and its end is no contradiction"


def test_a_remembered_consent_gives_no_more_than_this_request_asks(lab: Lab) -> None:
    browser = lab.browser()
    lab.code(
        "web-app",
        browser=browser,
        scope="tickets:read tickets:write",
        boxes={"scope": ["tickets:write", "offline_access"]},
    )
    code = landed(browser.get(lab.authorize_url("web-app", scope="tickets:read")))["code"]
    assert lab.redeem(code, "web-app").json["scope"] == "tickets:read"


def test_an_expired_registration_leaves_no_origin_behind(lab: Lab) -> None:
    lab.register(redirect_uris=["https://passing.example/cb"])
    asking = {"Origin": "https://passing.example"}
    known = lab.post("/token", {"grant_type": "x", "client_id": "desk-app"}, asking)
    assert known.headers["Access-Control-Allow-Origin"] == "https://passing.example"
    lab.clock.advance(lab.broker.settings.registration_unused_lifetime + 1)
    lab.broker.tend()
    gone = lab.post("/token", {"grant_type": "x", "client_id": "desk-app"}, asking)
    assert "Access-Control-Allow-Origin" not in gone.headers


def test_a_token_that_is_not_rotated_lives_on_while_it_is_used(make_lab: object) -> None:
    lab = make_lab(refresh_rotation_confidential=False)
    token = lab.tokens("web-app")["refresh_token"]
    for _ in range(5):
        lab.clock.advance(lab.broker.settings.refresh_lifetime / 3)
        answer = lab.refresh(token, "web-app")
        assert answer.status_code == 200 and "refresh_token" not in answer.json
    lab.clock.advance(lab.broker.settings.refresh_lifetime + 1)
    assert_refused(lab.refresh(token, "web-app"), 400, "invalid_grant")


def test_a_request_too_large_to_read_is_refused_and_recorded(lab: Lab) -> None:
    before = len(lab.facts("token.refused"))
    assert_refused(lab.post("/token", "a=" + "x" * 70_000), 413, "invalid_request")
    assert [record["reason"] for record in lab.facts("token.refused")[before:]] == ["too_large"]


def test_openid_beside_a_resource_takes_nothing_away_and_without_one_is_enough(lab: Lab) -> None:
    for scope, resource in (("openid", TICKETS), ("openid tickets:read", TICKETS), ("openid", None)):
        assert lab.browser().get(lab.authorize_url(scope=scope, resource=resource)).status_code == 200
    asked = lab.authorize_url(scope="openid notes:read", resource=TICKETS)
    assert landed(lab.browser().get(asked))["error"] == "invalid_scope"


def test_a_client_that_asks_for_every_scope_of_the_server_gets_those_of_its_resource(lab: Lab) -> None:
    token = lab.tokens(scope="tickets:read notes:read files:read offline_access")["access_token"]
    assert claims(token)["scope"] == "tickets:read"


def test_an_authorization_form_from_another_site_signs_nobody_out(lab: Lab) -> None:
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    form = {
        "response_type": "code",
        "client_id": "web-app",
        "redirect_uri": CALLBACK,
        "resource": TICKETS,
        "scope": "tickets:read",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    sent = lab.post("/authorize", form)  # SameSite=Lax keeps the cookie back
    assert sent.status_code == 303 and "Set-Cookie" not in sent.headers
    assert "code" in landed(browser.get(sent.headers["Location"].removeprefix(ISSUER)))


def test_edges_for_administrators_need_no_person(lab: Lab) -> None:
    own = lab.client_credentials().json["access_token"]
    assert_refused(lab.exchange(own), 400, "invalid_request")
    lab.change(
        lambda tx: lab.broker.changes.put_edge(
            tx, Edge("tickets", "crm", {"tickets:read": ("crm:read",)}, consent=EdgeConsent.ADMIN)
        )
    )
    answer = lab.exchange(own)
    assert answer.status_code == 200 and claims(answer.json["access_token"])["aud"] == CRM


def test_signing_in_at_a_tenants_door_is_for_its_members(lab: Lab) -> None:
    browser = lab.browser()
    page = browser.get(lab.authorize_url(door="/t/acme"))
    assert browser.sign_in(page, "vera").status_code == 401
    code = landed(browser.allow(browser.sign_in(page, "alice")))
    assert code["iss"] == ACME
