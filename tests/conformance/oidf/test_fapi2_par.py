"""The modules of the OpenID suite's plan fapi2-security-profile-final about PAR and PKCE, by name."""

from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

import pytest

from tests.fapi import Fapi
from tests.lab import CALLBACK, ISSUER, VERIFIER, Lab, assert_page, assert_refused, claims, landed
from tests.pushing import address, asked


@pytest.fixture
def fapi(lab: Lab) -> Fapi:
    return Fapi(lab).registered()


def test_par_ensure_reused_request_uri_prior_to_auth_completion_succeeds(fapi: Fapi) -> None:
    uri, browser = fapi.pushed(), fapi.lab.browser()
    for _ in range(3):
        assert b'name="password"' in browser.get(address(uri, "fapi")).data
    assert fapi.redeem(fapi.answer(uri, browser)["code"]).status_code == 200


def test_par_attempt_reuse_request_uri(fapi: Fapi) -> None:
    uri = fapi.pushed()
    assert "code" in fapi.answer(uri)
    assert_page(fapi.lab.browser().get(address(uri, "fapi")), 400)


def test_par_attempt_to_use_expired_request_uri(fapi: Fapi) -> None:
    answer = fapi.push()
    assert 5 <= answer.json["expires_in"] < 600
    fapi.lab.clock.advance(answer.json["expires_in"])
    assert_page(fapi.lab.browser().get(address(answer.json["request_uri"], "fapi")), 400)


def test_par_attempt_to_use_request_uri_for_different_client(fapi: Fapi) -> None:
    other = Fapi(fapi.lab, "fapi-two").registered()
    uri = fapi.pushed()
    assert_page(fapi.lab.browser().get(address(uri, other.client_id)), 400)
    assert "code" in fapi.answer(uri)


def test_par_authorization_request_containing_request_uri_form_param(fapi: Fapi) -> None:
    form = {**asked(fapi.lab, "fapi"), **fapi.credentials(), "request_uri": fapi.pushed()}
    assert_refused(fapi.lab.post("/par", form), 400, "invalid_request")


def test_par_attempt_invalid_http_method(fapi: Fapi) -> None:
    answer = fapi.lab.http().put("/par", base_url=ISSUER, data=asked(fapi.lab, "fapi"))
    assert answer.status_code == 405 and "POST" in answer.headers["Allow"]


def test_par_without_duplicate_parameters(fapi: Fapi) -> None:
    """The address that is opened holds client_id and request_uri and nothing else."""
    uri = fapi.pushed()
    opened = dict(parse_qsl(address(uri, "fapi").split("?")[1]))
    assert opened == {"client_id": "fapi", "request_uri": uri}
    for twice in ("client_id", "request_uri"):
        page = fapi.lab.browser().get(f"{address(uri, 'fapi')}&{urlencode({twice: opened[twice]})}")
        assert_page(page, 400)
    form = {**asked(fapi.lab, "fapi"), **fapi.credentials()}
    for name, value in form.items():
        before = fapi.lab.rows("pushed_request")
        answer = fapi.lab.post("/par", [*form.items(), (name, value)])
        assert_refused(answer, 400, "invalid_request")
        assert fapi.lab.rows("pushed_request") == before, name
    assert set(fapi.answer(uri)) == {"code", "iss", "state"}


def test_ensure_unsigned_authorization_request_without_using_par_fails(fapi: Fapi) -> None:
    arrived = landed(fapi.lab.browser().get(fapi.lab.authorize_url("fapi")))
    assert arrived["error"] == "invalid_request" and arrived["iss"] == ISSUER


def test_ensure_different_nonce_inside_and_outside_request_object(fapi: Fapi) -> None:
    uri, browser = fapi.pushed(nonce="inside", scope="openid tickets:read"), fapi.lab.browser()
    page = browser.sign_in(browser.get(address(uri, "fapi", nonce="outside")))
    token = fapi.redeem(landed(browser.allow(page))["code"]).json["id_token"]
    assert claims(token)["nonce"] == "inside"


def test_ensure_different_state_inside_and_outside_request_object(fapi: Fapi) -> None:
    uri, browser = fapi.pushed(state="inside"), fapi.lab.browser()
    page = browser.sign_in(browser.get(address(uri, "fapi", state="outside")))
    assert landed(browser.allow(page))["state"] == "inside"


def test_state_only_outside_request_object_not_used(fapi: Fapi) -> None:
    uri, browser = fapi.pushed(state=None), fapi.lab.browser()
    page = browser.sign_in(browser.get(address(uri, "fapi", state="outside")))
    assert "state" not in landed(browser.allow(page))


def test_par_ensure_pkce_required(fapi: Fapi) -> None:
    assert_refused(fapi.push(code_challenge=None, code_challenge_method=None), 400, "invalid_request")
    assert_refused(fapi.push(code_challenge=None), 400, "invalid_request")


def test_par_plain_pkce_rejected(fapi: Fapi) -> None:
    answer = fapi.push(code_challenge=VERIFIER, code_challenge_method="plain")
    assert_refused(answer, 400, "invalid_request")
    assert_refused(fapi.push(code_challenge=VERIFIER, code_challenge_method=None), 400, "invalid_request")


def test_ensure_pkce_code_verifier_required(fapi: Fapi) -> None:
    code = fapi.code()
    assert_refused(fapi.redeem(code, code_verifier=None), 400, "invalid_request")
    assert fapi.redeem(code).status_code == 200


def test_incorrect_pkce_code_verifier_rejected(fapi: Fapi) -> None:
    code = fapi.code()
    assert_refused(fapi.redeem(code, code_verifier="w" * 43), 400, "invalid_grant")
    assert fapi.redeem(code).status_code == 200


def test_ensure_registered_redirect_uri(fapi: Fapi) -> None:
    for uri in ("https://client.example/other", CALLBACK + "?x=1", CALLBACK + "/"):
        assert_refused(fapi.push(redirect_uri=uri), 400, "invalid_request")


@pytest.fixture
def two_uris(fapi: Fapi) -> Fapi:
    kept = fapi.lab.client("fapi")
    fapi.lab.put_client(replace(kept, redirect_uris=(CALLBACK, "https://client.example/cb2")))
    return fapi


def test_ensure_redirect_uri_in_authorization_request(two_uris: Fapi) -> None:
    assert_refused(two_uris.push(redirect_uri=None), 400, "invalid_request")
    assert two_uris.push().status_code == 201


def test_ensure_request_object_without_redirect_uri_fails(two_uris: Fapi) -> None:
    """What was pushed without it is not mended by the address that is opened."""
    uri = two_uris.pushed()
    browser = two_uris.lab.browser()
    page = browser.sign_in(browser.get(address(uri, "fapi", redirect_uri="https://client.example/cb2")))
    assert browser.allow(page).headers["Location"].startswith(CALLBACK + "?code=")
    assert_refused(two_uris.push(redirect_uri=None), 400, "invalid_request")
