"""The modules of the OpenID suite's plan oidcc-basic-certification, by name: what each checks, in tests of our own."""

import json
from urllib.parse import parse_qsl

import pytest

from tests import openid
from tests.lab import CALLBACK, CHALLENGE, ISSUER, Lab, assert_page, claims, landed
from tests.openid import RP


@pytest.fixture(autouse=True)
def client(lab: Lab) -> None:
    openid.add(lab)


@pytest.mark.requirement("OIDC-CORE-01", "OIDC-CORE-02", "OIDC-CORE-03")
def test_oidcc_server(lab: Lab) -> None:
    got = openid.login(lab)
    assert got.tokens["token_type"] == "Bearer"
    assert got.tokens["scope"].split() == ["openid", "profile", "email"]
    said = got.said
    assert (said["iss"], said["sub"], said["aud"], said["nonce"]) == (ISSUER, "alice", RP, "n0nce")
    assert said["at_hash"] == openid.half_hash(got.tokens["access_token"])
    told = openid.userinfo(lab, got.tokens["access_token"])
    assert told.json["sub"] == said["sub"]


def test_oidcc_response_type_missing(lab: Lab) -> None:
    arrived = landed(lab.browser().get(openid.ask(lab, response_type=None)))
    assert arrived["error"] == "invalid_request" and arrived["state"] == "st4te"


@pytest.mark.requirement("OIDC-CORE-04")
def test_oidcc_idtoken_signature(lab: Lab) -> None:
    got = openid.login(lab)
    assert got.said["sub"] == "alice"
    head, body, signature = got.id_token.split(".")
    forged = ".".join((head, body, signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BBBB")))
    with pytest.raises(Exception, match="Signature verification failed"):
        openid.verified(lab, forged)


@pytest.mark.requirement("OIDC-DISC-05")
def test_oidcc_idtoken_unsigned(lab: Lab) -> None:
    """Not offered: `none` is neither listed nor registered."""
    assert (
        "none"
        not in lab.get("/.well-known/openid-configuration").json["id_token_signing_alg_values_supported"]
    )
    refused = lab.register(id_token_signed_response_alg="none")
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_client_metadata")
    assert lab.register(id_token_signed_response_alg="ES256").status_code == 201


@pytest.mark.requirement("OIDC-CORE-10", "OIDC-CORE-11")
def test_oidcc_userinfo_get(lab: Lab) -> None:
    got = openid.login(lab)
    told = openid.userinfo(lab, got.tokens["access_token"])
    assert told.status_code == 200 and told.mimetype == "application/json"
    assert told.json == {
        "sub": "alice",
        "name": "Alice",
        "preferred_username": "alice",
        "email": "alice@example.com",
        "email_verified": False,
    }


@pytest.mark.requirement("OIDC-CORE-10")
def test_oidcc_userinfo_post_header(lab: Lab) -> None:
    got = openid.login(lab)
    told = openid.post_userinfo(lab, {}, Authorization=f"Bearer {got.tokens['access_token']}")
    assert (told.status_code, told.json["sub"]) == (200, "alice")


def test_oidcc_userinfo_post_body(lab: Lab) -> None:
    got = openid.login(lab)
    told = openid.post_userinfo(lab, {"access_token": got.tokens["access_token"]})
    assert (told.status_code, told.json["sub"]) == (200, "alice")


def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(lab: Lab) -> None:
    assert "nonce" not in openid.login(lab, nonce=None).said


def asked_for(lab: Lab, scope: str) -> set[str]:
    """The claims of /userinfo that come with a scope; the id_token has none of them."""
    got = openid.login(lab, scope=scope)
    assert set(got.said) & {"name", "preferred_username", "email", "address", "phone_number"} == set()
    return set(openid.userinfo(lab, got.tokens["access_token"]).json)


@pytest.mark.requirement("OIDC-CORE-12")
def test_oidcc_scope_profile(lab: Lab) -> None:
    assert asked_for(lab, "openid profile") == {"sub", "name", "preferred_username"}


@pytest.mark.requirement("OIDC-CORE-12")
def test_oidcc_scope_email(lab: Lab) -> None:
    assert asked_for(lab, "openid email") == {"sub", "email", "email_verified"}


@pytest.mark.requirement("OIDC-CORE-05")
def test_oidcc_scope_address(lab: Lab) -> None:
    """Not offered, and ignored."""
    assert asked_for(lab, "openid address") == {"sub"}


@pytest.mark.requirement("OIDC-CORE-05")
def test_oidcc_scope_phone(lab: Lab) -> None:
    """Not offered, and ignored."""
    assert asked_for(lab, "openid phone") == {"sub"}


def test_oidcc_scope_all(lab: Lab) -> None:
    told = asked_for(lab, "openid profile email address phone")
    assert told == {"sub", "name", "preferred_username", "email", "email_verified"}


def test_oidcc_alternate_happy_flow(lab: Lab) -> None:
    """Other spellings of the same: another order of scopes, the scheme in another case."""
    got = openid.login(lab, scope="email openid profile")
    token = got.tokens["access_token"]
    assert got.said["sub"] == "alice"
    assert openid.userinfo(lab, None, Authorization=f"bearer {token}").json["email"] == "alice@example.com"


def test_oidcc_display_page(lab: Lab) -> None:
    assert openid.login(lab, display="page").said["sub"] == "alice"


def test_oidcc_display_popup(lab: Lab) -> None:
    assert openid.login(lab, display="popup").said["sub"] == "alice"


@pytest.mark.requirement("OIDC-CORE-06")
def test_oidcc_prompt_login(lab: Lab) -> None:
    first = openid.login(lab)
    lab.clock.advance(2)
    page = first.browser.get(openid.ask(lab, prompt="login"))
    assert b'name="password"' in page.data
    second = openid.login(lab, browser=first.browser, prompt="login")
    assert second.said["auth_time"] == lab.clock.now() > first.said["auth_time"]
    assert second.said["sub"] == first.said["sub"]


@pytest.mark.requirement("OIDC-CORE-07")
def test_oidcc_prompt_none_not_logged_in(lab: Lab) -> None:
    arrived = landed(lab.browser().get(openid.ask(lab, prompt="none")))
    assert (arrived["error"], arrived["state"]) == ("login_required", "st4te")


@pytest.mark.requirement("OIDC-CORE-07")
def test_oidcc_prompt_none_logged_in(lab: Lab) -> None:
    first = openid.login(lab)
    lab.clock.advance(2)
    second = openid.login(lab, browser=first.browser, prompt="none")
    assert [second.said[name] for name in ("sub", "auth_time")] == [
        first.said[name] for name in ("sub", "auth_time")
    ]


@pytest.mark.requirement("OIDC-CORE-08")
def test_oidcc_max_age_1(lab: Lab) -> None:
    first = openid.login(lab)
    lab.clock.advance(2)
    assert b'name="password"' in first.browser.get(openid.ask(lab, max_age="1")).data
    second = openid.login(lab, browser=first.browser, max_age="1")
    assert second.said["auth_time"] > first.said["auth_time"]


@pytest.mark.requirement("OIDC-CORE-08")
def test_oidcc_max_age_10000(lab: Lab) -> None:
    first = openid.login(lab)
    lab.clock.advance(2)
    second = openid.login(lab, browser=first.browser, max_age="10000")
    assert second.said["auth_time"] == first.said["auth_time"]


def test_oidcc_ensure_request_with_unknown_parameter_succeeds(lab: Lab) -> None:
    assert openid.login(lab, extra="foobar").said["sub"] == "alice"


def test_oidcc_id_token_hint(lab: Lab) -> None:
    first = openid.login(lab)
    second = openid.login(lab, browser=first.browser, prompt="none", id_token_hint=first.id_token)
    assert second.said["sub"] == first.said["sub"]
    other = openid.login(lab, user="bob")
    arrived = landed(other.browser.get(openid.ask(lab, prompt="none", id_token_hint=first.id_token)))
    assert arrived["error"] == "login_required"


def test_oidcc_login_hint(lab: Lab) -> None:
    page = lab.browser().get(openid.ask(lab, login_hint="buffy@client.example"))
    assert page.status_code == 200
    assert openid.login(lab, login_hint="alice").said["sub"] == "alice"


def test_oidcc_ui_locales(lab: Lab) -> None:
    assert openid.login(lab, ui_locales="se").said["sub"] == "alice"


def test_oidcc_claims_locales(lab: Lab) -> None:
    assert openid.login(lab, claims_locales="se").said["sub"] == "alice"


def test_oidcc_ensure_request_with_acr_values_succeeds(lab: Lab) -> None:
    listed = lab.get("/.well-known/openid-configuration").json["acr_values_supported"]
    got = openid.login(lab, acr_values=listed[0])
    assert got.said["acr"] in listed and got.said["amr"] == ["pwd"]


def test_oidcc_codereuse(lab: Lab) -> None:
    browser = lab.browser()
    page = browser.sign_in(browser.get(openid.ask(lab)))
    code = landed(browser.allow(page))["code"]
    first = lab.redeem(code, RP, resource=None)
    assert first.status_code == 200
    second = lab.redeem(code, RP, resource=None)
    assert (second.status_code, second.json["error"]) == (400, "invalid_grant")


def test_oidcc_codereuse_30seconds(lab: Lab) -> None:
    """What came of the code dies with its second use."""
    browser = lab.browser()
    page = browser.sign_in(browser.get(openid.ask(lab)))
    code = landed(browser.allow(page))["code"]
    token = lab.redeem(code, RP, resource=None).json["access_token"]
    assert openid.userinfo(lab, token).status_code == 200
    lab.clock.advance(30)
    assert lab.redeem(code, RP, resource=None).json["error"] == "invalid_grant"
    assert openid.userinfo(lab, token).status_code == 401


@pytest.mark.requirement("OIDC-CORE-09")
def test_oidcc_ensure_registered_redirect_uri(lab: Lab) -> None:
    text = assert_page(lab.browser().get(openid.ask(lab, redirect_uri=f"{CALLBACK}/other")), 400)
    assert "We stopped before sending you on" in text


def test_oidcc_ensure_post_request_succeeds(lab: Lab) -> None:
    path, _, query = openid.ask(lab).partition("?")
    browser = lab.browser()
    page = browser.post(path, parse_qsl(query))
    assert b'name="password"' in page.data
    assert "code" in landed(browser.allow(browser.sign_in(page)))


def test_oidcc_server_client_secret_post(lab: Lab) -> None:
    browser = lab.browser()
    page = browser.sign_in(browser.get(openid.ask(lab, "post-app")))
    code = landed(browser.allow(page))["code"]
    answer = lab.redeem(code, "post-app", resource=None)
    assert openid.verified(lab, answer.json["id_token"], "post-app")["sub"] == "alice"


@pytest.mark.requirement("OIDC-DISC-06")
def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(lab: Lab) -> None:
    found = lab.get("/.well-known/openid-configuration").json
    assert found["request_uri_parameter_supported"] is False
    arrived = lab.browser().get(openid.ask(lab, request_uri="https://client.example/request.jwt"))
    assert landed(arrived)["error"] in ("request_uri_not_supported", "invalid_request_uri", "invalid_request")


@pytest.mark.requirement("OIDC-CORE-13")
def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(lab: Lab) -> None:
    assert lab.get("/.well-known/openid-configuration").json["request_parameter_supported"] is False
    arrived = landed(lab.browser().get(openid.ask(lab, request="eyJhbGciOiJub25lIn0.e30.")))
    assert arrived["error"] == "request_not_supported"


def test_oidcc_claims_essential(lab: Lab) -> None:
    """The parameter is not offered; an essential claim that cannot be had is no error."""
    assert lab.get("/.well-known/openid-configuration").json["claims_parameter_supported"] is False
    wished = json.dumps({"userinfo": {"name": {"essential": True}}})
    assert openid.login(lab, claims=wished).said["sub"] == "alice"


def test_oidcc_ensure_request_object_with_redirect_uri(lab: Lab) -> None:
    """Request objects are not offered: nothing in one can say where the answer goes."""
    arrived = lab.browser().get(openid.ask(lab, request="eyJhbGciOiJub25lIn0.e30.", redirect_uri=CALLBACK))
    assert landed(arrived)["error"] == "request_not_supported"
    assert arrived.headers["Location"].startswith(CALLBACK)


@pytest.mark.requirement("OIDC-CORE-14", "OIDC-CORE-15")
def test_oidcc_refresh_token(lab: Lab) -> None:
    got = openid.login(lab)
    lab.clock.advance(60)
    answer = lab.refresh(got.tokens["refresh_token"], RP).json
    said, first = openid.verified(lab, answer["id_token"]), claims(got.id_token)
    assert [said[name] for name in ("iss", "sub", "aud", "auth_time", "sid")] == [
        first[name] for name in ("iss", "sub", "aud", "auth_time", "sid")
    ]
    assert said["iat"] > first["iat"] and "nonce" not in said
    assert said["at_hash"] == openid.half_hash(answer["access_token"])
    assert openid.userinfo(lab, answer["access_token"]).json["sub"] == "alice"


def test_oidcc_ensure_request_with_valid_pkce_succeeds(lab: Lab) -> None:
    got = openid.login(lab, code_challenge=CHALLENGE, code_challenge_method="S256")
    assert got.said["sub"] == "alice"
