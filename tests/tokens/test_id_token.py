"""id_tokens: for whom, with what in them, and what a user who unticked a box keeps to themselves."""

import jwt
import pytest

from tests import openid
from tests.lab import DEVICE, GLOBEX, ISSUER, TICKETS, Lab, Page, claims, header, landed
from tests.openid import RP


@pytest.fixture(autouse=True)
def client(lab: Lab) -> None:
    openid.add(lab)


def test_openid_and_nothing_else_gives_a_token_for_userinfo_alone(lab: Lab) -> None:
    got = openid.login(lab)
    access = claims(got.tokens["access_token"])
    assert (access["aud"], access["scope"]) == (f"{ISSUER}/userinfo", "openid profile email")
    assert (access["tenant"], access["client_id"]) == ("acme", RP)
    assert header(got.tokens["access_token"])["typ"] == "at+jwt"
    assert header(got.id_token)["typ"] == "JWT"


def test_with_a_resource_the_token_is_for_that_and_the_id_token_tells_who_the_user_is(lab: Lab) -> None:
    got = openid.login(lab, scope="openid email tickets:read", resource=TICKETS)
    access = claims(got.tokens["access_token"])
    assert (access["aud"], access["scope"]) == (TICKETS, "tickets:read")
    assert got.tokens["scope"] == "tickets:read openid email"
    assert (got.said["email"], got.said["email_verified"]) == ("alice@example.com", False)
    assert "name" not in got.said
    assert openid.userinfo(lab, got.tokens["access_token"]).status_code == 401


def test_openid_alone_at_a_resource_asks_for_what_the_resource_gives_by_default(lab: Lab) -> None:
    got = openid.login(lab, scope="openid", resource=TICKETS)
    assert claims(got.tokens["access_token"])["scope"] == "tickets:read"


def test_a_client_that_asks_for_every_scope_of_the_server_is_not_refused(lab: Lab) -> None:
    listed = lab.get("/.well-known/oauth-authorization-server").json["scopes_supported"]
    assert {"openid", "profile", "email", "offline_access"} <= set(listed)
    got = openid.login(lab, scope=" ".join(listed), resource=TICKETS)
    assert set(claims(got.tokens["access_token"])["scope"].split()) >= {"tickets:read", "tickets:write"}
    assert got.said["name"] == "Alice"


def test_without_openid_nothing_is_told_of_the_user(lab: Lab) -> None:
    got = openid.login(lab, scope="profile email tickets:read", resource=TICKETS)
    assert "id_token" not in got.tokens and got.tokens["scope"] == "tickets:read"
    assert "id_token" not in lab.tokens()


def test_a_box_that_was_unticked_is_not_told(lab: Lab) -> None:
    page = lab.consent_page(client_id=RP, scope="openid profile email", resource=None)
    assert Page.of(page).values("scope") == ["profile", "email", "offline_access"]
    text = page.get_data(as_text=True)
    for words in ("Know who you are", "That it is you, by your user ID", "Your name", "Your e-mail address"):
        assert words in text
    got = openid.login(lab, boxes={"scope": ["email"]})
    assert got.tokens["scope"] == "openid email" and "refresh_token" not in got.tokens
    told = openid.userinfo(lab, got.tokens["access_token"]).json
    assert "name" not in told and told["email"] == "alice@example.com"
    got = openid.login(
        lab, boxes={"scope": ["tickets:read"]}, scope="openid email tickets:read", resource=TICKETS
    )
    assert "email" not in got.said and got.tokens["scope"] == "tickets:read openid"


def test_what_is_asked_about_the_user_beyond_what_was_allowed_is_asked_anew(lab: Lab) -> None:
    first = openid.login(lab, scope="openid")
    again = first.browser.get(openid.ask(lab, scope="openid"))
    assert again.status_code == 303
    wider = first.browser.get(openid.ask(lab, scope="openid email"))
    assert wider.status_code == 200 and b"Your e-mail address" in wider.data
    assert landed(first.browser.get(openid.ask(lab, scope="openid email", prompt="none")))["error"] == (
        "consent_required"
    )


def test_a_client_is_told_only_what_it_is_registered_for(lab: Lab) -> None:
    openid.add(lab, "rp-few", scopes=("openid", "email", "tickets:read"))
    got = openid.login(lab, "rp-few")
    assert got.tokens["scope"] == "openid email"
    openid.add(lab, "rp-none", scopes=("tickets:read",))
    asked = openid.ask(lab, "rp-none", scope="openid tickets:read", resource=TICKETS)
    page = lab.browser()
    arrived = landed(page.allow(page.sign_in(page.get(asked))))
    assert "id_token" not in lab.redeem(arrived["code"], "rp-none").json
    assert landed(lab.browser().get(openid.ask(lab, "rp-none")))["error"] == "invalid_scope"


@pytest.mark.parametrize(("alg", "digest"), [("EdDSA", "sha512"), ("RS256", "sha256"), ("PS256", "sha256")])
def test_the_algorithm_is_the_clients_and_so_is_the_hash(lab: Lab, alg: str, digest: str) -> None:
    openid.add(lab, "rp-alg", id_token_alg=alg)
    got = openid.login(lab, "rp-alg")
    said = openid.verified(lab, got.id_token, "rp-alg")
    assert header(got.id_token)["alg"] == alg
    assert said["at_hash"] == openid.half_hash(got.tokens["access_token"], digest)


def test_a_key_for_another_algorithm_is_made_at_a_tenants_door_too(lab: Lab) -> None:
    openid.add(lab, "rp-alg", id_token_alg="EdDSA")
    got = openid.login(lab, "rp-alg", user="vera", door="/t/globex")
    assert openid.verified(lab, got.id_token, "rp-alg", "/t/globex")["iss"] == GLOBEX


def test_how_and_when_the_user_signed_in_is_told_and_stays_through_refreshes(lab: Lab) -> None:
    got = openid.login(lab)
    assert got.said["auth_time"] == int(lab.clock.now())
    assert (got.said["acr"], got.said["amr"]) == ("urn:mcp-token-broker:acr:password", ["pwd"])
    lab.clock.advance(100)
    again = openid.verified(lab, lab.refresh(got.tokens["refresh_token"], RP).json["id_token"])
    for name in ("auth_time", "acr", "amr", "sid", "sub"):
        assert again[name] == claims(got.id_token)[name]
    assert again["exp"] == again["iat"] + 300 == int(lab.clock.now()) + 300


def test_a_refresh_for_less_tells_less(lab: Lab) -> None:
    got = openid.login(lab)
    less = lab.refresh(got.tokens["refresh_token"], RP, scope="openid email").json
    assert less["scope"] == "openid email"
    assert "name" not in openid.userinfo(lab, less["access_token"]).json
    mute = lab.refresh(less["refresh_token"], RP, scope="email").json
    assert "id_token" not in mute and mute["scope"] == "email"
    assert openid.userinfo(lab, mute["access_token"]).status_code == 403
    whole = lab.refresh(mute["refresh_token"], RP).json
    assert whole["scope"] == "openid profile email" and whole["id_token"]


def test_each_id_token_leaves_its_record(lab: Lab) -> None:
    got = openid.login(lab)
    record = lab.last("id_token.issued")
    assert (record["subject"], record["client"], record["scope"]) == ("alice", RP, "openid profile email")
    assert record["txn"] == lab.last("token.issued")["txn"]
    lab.refresh(got.tokens["refresh_token"], RP)
    assert len(lab.facts("id_token.issued")) == 2
    assert lab.last("consent.granted")["change"]["identity"] == ["openid", "profile", "email"]


def test_a_user_of_two_tenants_chooses_at_the_root_door(lab: Lab) -> None:
    page = lab.consent_page(user="both", client_id=RP, scope="openid", resource=None)
    assert b"For which organization?" in page.data
    got = openid.login(lab, user="both", boxes={"tenant": "globex"})
    assert claims(got.tokens["access_token"])["tenant"] == "globex"
    assert openid.userinfo(lab, got.tokens["access_token"]).json["sub"] == "both"


def test_a_clients_own_work_has_no_user_to_tell_of(lab: Lab) -> None:
    for resource, scope in ((f"{ISSUER}/userinfo", "openid"), (f"{ISSUER}/userinfo", None)):
        answer = lab.client_credentials("web-app", resource=resource, scope=scope)
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_target")
    assert "id_token" not in lab.client_credentials().json


def test_a_token_for_userinfo_is_not_exchanged_and_nobody_asks_about_it(lab: Lab) -> None:
    token = openid.login(lab).tokens["access_token"]
    assert lab.exchange(token).json["error"] == "invalid_request"
    assert not lab.active(token)
    subject = lab.tokens(scope="tickets:read")["access_token"]
    assert lab.exchange(subject, resource=f"{ISSUER}/userinfo").json["error"] == "invalid_target"
    assert lab.exchange(subject, resource=None, audience="/userinfo").json["error"] == "invalid_target"


def test_userinfo_of_another_door_cannot_be_asked_for(lab: Lab) -> None:
    there = openid.ask(lab, scope="openid", resource=f"{GLOBEX}/userinfo")
    assert landed(lab.browser().get(there))["error"] == "invalid_target"
    here = openid.ask(lab, scope="openid", resource=f"{ISSUER}/userinfo")
    assert lab.browser().get(here).status_code == 200


def test_no_id_token_without_its_record(lab: Lab) -> None:
    browser = lab.browser()
    code = landed(browser.allow(browser.sign_in(browser.get(openid.ask(lab)))))["code"]
    with lab.without_table("audit_record"):
        assert lab.redeem(code, RP, resource=None).status_code == 503
    assert jwt.get_unverified_header(lab.redeem(code, RP, resource=None).json["id_token"])["alg"] == "ES256"


def test_a_device_learns_who_connected_it(lab: Lab) -> None:
    scopes = ("openid", "profile", "tickets:read")
    openid.add(lab, "tv-rp", redirect_uris=(), grant_types=(DEVICE,), scopes=scopes)
    code = lab.connected("tv-rp", scope="openid profile tickets:read")
    answer = lab.poll(code, "tv-rp")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    said = openid.verified(lab, answer.json["id_token"], "tv-rp")
    assert (said["sub"], said["name"]) == ("alice", "Alice") and "nonce" not in said
    assert claims(answer.json["access_token"])["scope"] == "tickets:read"
