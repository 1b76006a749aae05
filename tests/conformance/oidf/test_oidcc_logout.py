"""The OpenID suite's modules of RP-initiated and back-channel logout, by name.

Front-channel logout and session management are not offered: their modules have nothing to check.
"""

from collections.abc import Iterator
from urllib.parse import urlencode

import jwt
import pytest

from tests import openid
from tests.lab import ISSUER, Lab, Page, assert_page
from tests.openid import AFTER, EVENT, RP, Ear


@pytest.fixture
def ear() -> Iterator[Ear]:
    found = Ear()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def client(lab: Lab, ear: Ear) -> None:
    ear.reached_from(lab)
    openid.add(lab, logout_uri=ear.url, logout_needs_sid=True)


@pytest.mark.requirement("OIDC-RPL-01")
def test_oidcc_rp_initiated_logout_discovery_endpoint_verification(lab: Lab) -> None:
    for door in ("", "/t/acme"):
        found = lab.get(f"{door}/.well-known/openid-configuration").json
        assert found["end_session_endpoint"] == f"{ISSUER}{door}/logout"


@pytest.mark.requirement("OIDC-RPL-02", "OIDC-RPL-03")
def test_oidcc_rp_initiated_logout(lab: Lab) -> None:
    got = openid.login(lab)
    left = got.logout()
    assert (left.status_code, left.headers["Location"]) == (303, f"{AFTER}?state=st4te")
    assert not got.signed_in


@pytest.mark.requirement("OIDC-RPL-04")
def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(lab: Lab) -> None:
    got = openid.login(lab)
    text = assert_page(got.logout(post_logout_redirect_uri="https://client.example/other"), 400)
    assert "redirect_uri_mismatch" in text and got.signed_in


@pytest.mark.requirement("OIDC-RPL-05")
def test_oidcc_rp_initiated_logout_modified_id_token_hint(lab: Lab) -> None:
    got = openid.login(lab)
    head, body, signature = got.id_token.split(".")
    changed = ".".join((head, body, signature[::-1]))
    text = assert_page(got.logout(id_token_hint=changed), 400)
    assert "hint_invalid" in text and got.signed_in


@pytest.mark.requirement("OIDC-RPL-06")
def test_oidcc_rp_initiated_logout_no_id_token_hint(lab: Lab) -> None:
    """The person is asked, and nobody is redirected who said not which client it is."""
    got = openid.login(lab)
    page = got.logout(id_token_hint=None)
    assert "Sign out of" in assert_page(page, 200) and got.signed_in
    done = got.browser.submit(Page.of(page), decision="sign_out")
    assert "You are signed out" in assert_page(done, 200) and not got.signed_in


@pytest.mark.requirement("OIDC-RPL-05")
def test_oidcc_rp_initiated_logout_bad_id_token_hint(lab: Lab) -> None:
    got = openid.login(lab)
    for hint, status in (
        ("bad", 400),
        (got.tokens["access_token"], 400),
        ("", 200),
    ):  # an empty one is none: it is asked
        answer = got.logout(id_token_hint=hint)
        assert (answer.status_code, "Location" in answer.headers) == (status, False), hint
        assert (b'value="sign_out"' in answer.data) is (status == 200) and got.signed_in


def test_oidcc_rp_initiated_logout_no_params(lab: Lab) -> None:
    got = openid.login(lab)
    page = got.logout(id_token_hint=None, post_logout_redirect_uri=None, state=None)
    assert "Sign out of" in assert_page(page, 200)
    assert_page(got.browser.submit(Page.of(page), decision="sign_out"), 200)
    assert not got.signed_in


def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(lab: Lab) -> None:
    got = openid.login(lab)
    assert "You are signed out" in assert_page(got.logout(post_logout_redirect_uri=None), 200)
    assert not got.signed_in


def test_oidcc_rp_initiated_logout_no_state(lab: Lab) -> None:
    left = openid.login(lab).logout(state=None)
    assert (left.status_code, left.headers["Location"]) == (303, AFTER)


def test_oidcc_rp_initiated_logout_only_state(lab: Lab) -> None:
    got = openid.login(lab)
    page = got.logout(id_token_hint=None, post_logout_redirect_uri=None)
    done = got.browser.submit(Page.of(page), decision="sign_out")
    assert "You are signed out" in assert_page(done, 200) and not got.signed_in


@pytest.mark.requirement("OIDC-RPL-04")
def test_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(lab: Lab) -> None:
    got = openid.login(lab)
    assert_page(got.logout(post_logout_redirect_uri=f"{AFTER}?foo=bar"), 400)
    assert got.signed_in


@pytest.mark.requirement("OIDC-BCL-01")
def test_oidcc_backchannel_discovery_endpoint_verification(lab: Lab) -> None:
    found = lab.get("/.well-known/openid-configuration").json
    assert found["backchannel_logout_supported"] is True
    assert found["backchannel_logout_session_supported"] is True


@pytest.mark.requirement("OIDC-BCL-02", "OIDC-BCL-03", "OIDC-BCL-04")
def test_oidcc_backchannel_rp_initiated_logout(lab: Lab, ear: Ear) -> None:
    got = openid.login(lab)
    assert got.logout().headers["Location"] == f"{AFTER}?state=st4te"
    lab.broker.logout_notices.deliver()
    (token,) = ear.heard
    assert jwt.get_unverified_header(token)["typ"] == "logout+jwt"
    said = openid.verified(lab, token)
    first = jwt.decode(got.id_token, options={"verify_signature": False})
    assert (said["iss"], said["sub"], said["aud"]) == (ISSUER, "alice", RP)
    assert said["sid"] == first["sid"] and said["events"] == {EVENT: {}}
    assert set(said) == {"iss", "sub", "aud", "iat", "exp", "jti", "sid", "events"}


def test_a_form_from_the_client_signs_out_too(lab: Lab) -> None:
    """Section 2: GET and POST; from another site the cookie comes only with the visit that follows."""
    got = openid.login(lab)
    form = {"id_token_hint": got.id_token, "post_logout_redirect_uri": AFTER, "state": "s"}
    sent = lab.http().post(
        "/logout", base_url=ISSUER, data=form, headers={"Origin": "https://client.example"}
    )
    assert sent.headers["Location"] == f"{ISSUER}/logout?{urlencode(form)}"
    left = got.browser.get(sent.headers["Location"].removeprefix(ISSUER))
    assert left.headers["Location"] == f"{AFTER}?state=s" and not got.signed_in
