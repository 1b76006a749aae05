"""The modules of the OpenID suite's plan fapi2-security-profile-final about requests, codes and clients, by name."""

import pytest

from broker.protocol import dpop
from tests.fapi import Fapi
from tests.lab import ISSUER, Lab, Page, assert_refused, claims, landed
from tests.proofs import ABSENT, Holder
from tests.pushing import address


@pytest.fixture
def fapi(lab: Lab) -> Fapi:
    return Fapi(lab).registered()


def test_discovery_end_point_verification(lab: Lab) -> None:
    found = lab.get("/.well-known/oauth-authorization-server").json
    assert found["issuer"] == ISSUER
    assert found["pushed_authorization_request_endpoint"] == f"{ISSUER}/par"
    assert found["authorization_response_iss_parameter_supported"] is True
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["response_types_supported"] == ["code"]
    assert "private_key_jwt" in found["token_endpoint_auth_methods_supported"]
    assert "ES256" in found["token_endpoint_auth_signing_alg_values_supported"]
    assert set(found["dpop_signing_alg_values_supported"]) == set(dpop.ALGORITHMS)
    assert "none" not in found["dpop_signing_alg_values_supported"]
    assert {"authorization_code", "refresh_token"} <= set(found["grant_types_supported"])


def test_happy_flow(fapi: Fapi) -> None:
    for client in (fapi, Fapi(fapi.lab, "fapi-two").registered()):
        arrived = client.answer(client.pushed(state=f"st-{client.client_id}"))
        assert (arrived["iss"], arrived["state"]) == (ISSUER, f"st-{client.client_id}")
        answer = client.redeem(arrived["code"])
        assert answer.status_code == 200 and answer.json["token_type"] == "DPoP"
        token = answer.json["access_token"]
        assert claims(token)["client_id"] == client.client_id
        assert client.call(token, client.shown(token)).text == "reached"


def test_user_rejects_authentication(fapi: Fapi) -> None:
    browser = fapi.lab.browser()
    page = browser.sign_in(browser.get(address(fapi.pushed(), "fapi")))
    arrived = landed(browser.submit(Page.of(page), decision="deny"))
    assert (arrived["error"], arrived["state"], arrived["iss"]) == ("access_denied", "st4te", ISSUER)


def test_ensure_authorization_request_without_state_success(fapi: Fapi) -> None:
    assert set(fapi.answer(fapi.pushed(state=None))) == {"code", "iss"}


def said(fapi: Fapi, nonce: str | None) -> dict[str, object]:
    return claims(fapi.tokens(scope="openid tickets:read", nonce=nonce)["id_token"])


def test_ensure_authorization_request_without_nonce_success(fapi: Fapi) -> None:
    assert "nonce" not in said(fapi, None)


def test_ensure_authorization_request_with_64_char_nonce_success(fapi: Fapi) -> None:
    assert said(fapi, "n" * 64)["nonce"] == "n" * 64


def test_ensure_authorization_request_with_long_nonce(fapi: Fapi) -> None:
    assert said(fapi, "n" * 384)["nonce"] == "n" * 384


def test_ensure_authorization_request_with_long_state(fapi: Fapi) -> None:
    assert fapi.answer(fapi.pushed(state="s" * 384))["state"] == "s" * 384


def test_ensure_other_scope_order_succeeds(fapi: Fapi) -> None:
    orders = ("tickets:read customers:read", "customers:read tickets:read")
    found = [set(fapi.tokens(scope=scope)["scope"].split()) for scope in orders]
    assert found[0] == found[1] == {"tickets:read", "customers:read"}


def test_ensure_response_type_code_idtoken_fails(fapi: Fapi) -> None:
    assert_refused(fapi.push(response_type="code id_token"), 400, "unsupported_response_type")


def test_ensure_response_type_token_fails(fapi: Fapi) -> None:
    assert_refused(fapi.push(response_type="token"), 400, "unsupported_response_type")


def test_test_claims_parameter_identity_claims(fapi: Fapi) -> None:
    assert fapi.code(claims='{"userinfo":{"given_name":{"essential":true},"nickname":null}}')
    assert_refused(fapi.push(claims="[]"), 400, "invalid_request")


def test_test_essential_acr_sca_claim(fapi: Fapi) -> None:
    wish = '{"id_token":{"acr":{"essential":true,"values":["urn:openbanking:psd2:sca"]}}}'
    assert_refused(fapi.push(claims=wish), 400, "unmet_authentication_requirements")


# Codes


def test_attempt_reuse_authorization_code_after_one_second(fapi: Fapi) -> None:
    code = fapi.code()
    token = fapi.redeem(code).json["access_token"]
    fapi.lab.clock.advance(1)
    assert_refused(fapi.redeem(code), 400, "invalid_grant")
    assert not fapi.lab.active(token), "what was given for it ends"


def test_ensure_token_endpoint_fails_with_expired_auth_code(fapi: Fapi) -> None:
    code = fapi.code()
    fapi.lab.clock.advance(60)
    assert_refused(fapi.redeem(code), 400, "invalid_grant")


def test_ensure_authorization_code_is_bound_to_client(fapi: Fapi) -> None:
    other = Fapi(fapi.lab, "fapi-two", fapi.key).registered()
    code = fapi.code()
    assert_refused(other.redeem(code), 400, "invalid_grant")
    assert fapi.redeem(code).status_code == 200


def test_ensure_client_id_in_token_endpoint(fapi: Fapi) -> None:
    code = fapi.code()
    assert_refused(fapi.redeem(code, client_id="other-app"), 401, "invalid_client")
    assert fapi.redeem(code, client_id="fapi").status_code == 200


def test_ensure_holder_of_key_required(fapi: Fapi) -> None:
    code = fapi.code()
    assert_refused(fapi.redeem(code, dpop=""), 400, "invalid_dpop_proof")
    token = fapi.redeem(code).json["access_token"]
    assert fapi.call(token, scheme="Bearer").status_code == 401


def test_refresh_token(fapi: Fapi) -> None:
    first = fapi.tokens()["refresh_token"]
    other = Fapi(fapi.lab, "fapi-two", fapi.key).registered()
    assert_refused(other.refresh(first), 400, "invalid_grant")
    assert_refused(
        fapi.refresh(first, client_assertion=None, client_assertion_type=None), 401, "invalid_client"
    )
    answer = fapi.refresh(first)
    assert answer.status_code == 200 and answer.json["token_type"] == "DPoP"
    token = answer.json["access_token"]
    assert fapi.call(token, fapi.shown(token)).text == "reached"


# Client assertions


def test_ensure_signed_client_assertion_with_rs256_fails(lab: Lab) -> None:
    """The algorithm is the registered one."""
    fapi = Fapi(lab)
    rsa = Holder("RS256")
    keys = [fapi.signer.jwk(), {**rsa.jwk, "kid": "rsa", "use": "sig", "alg": "RS256"}]
    fapi.registered(jwks=keys)
    good = claims(fapi.signer.assertion())
    signed = rsa.signed({"alg": "RS256", "kid": "rsa", "typ": "JWT"}, good)
    assert_refused(fapi.push(assertion=signed), 401, "invalid_client")
    assert fapi.push().status_code == 201


def test_ensure_client_assertion_in_token_endpoint(fapi: Fapi) -> None:
    code = fapi.code()
    bare = {"client_assertion": None, "client_assertion_type": None}
    assert_refused(fapi.redeem(code, client_id="fapi", **bare), 401, "invalid_client")
    assert fapi.redeem(code).status_code == 200


def refused_at_both(fapi: Fapi, **changes: object) -> None:
    code = fapi.code()
    assert_refused(fapi.redeem(code, assertion=fapi.signer.assertion(**changes)), 401, "invalid_client")
    assert_refused(fapi.push(assertion=fapi.signer.assertion(**changes)), 401, "invalid_client")
    assert fapi.redeem(code).status_code == 200


def test_ensure_client_assertion_with_exp_is_5_minutes_in_past_fails(fapi: Fapi) -> None:
    now = int(fapi.lab.clock.now())
    refused_at_both(fapi, iat=now - 360, exp=now - 300)


def test_ensure_client_assertion_with_wrong_aud_fails(fapi: Fapi) -> None:
    refused_at_both(fapi, aud="https://other.example")


def test_ensure_client_assertion_with_no_sub_fails(fapi: Fapi) -> None:
    refused_at_both(fapi, sub=ABSENT)


def test_par_ensure_jwt_client_assertions_nbf_8_seconds_in_the_future_is_accepted(fapi: Fapi) -> None:
    now = int(fapi.lab.clock.now())
    assert fapi.push(assertion=fapi.signer.assertion(nbf=now + 8)).status_code == 201


def test_par_ensure_jwt_client_assertions_nbf_over_60_seconds_in_the_future_fails(fapi: Fapi) -> None:
    now = int(fapi.lab.clock.now())
    assertion = fapi.signer.assertion(nbf=now + 65, exp=now + 120)
    assert_refused(fapi.push(assertion=assertion), 401, "invalid_client")


def test_par_test_array_as_audience_fails(fapi: Fapi) -> None:
    assert_refused(fapi.push(assertion=fapi.signer.assertion(aud=[ISSUER])), 401, "invalid_client")


def test_par_test_par_endpoint_url_as_audience_fails(fapi: Fapi) -> None:
    assert_refused(fapi.push(assertion=fapi.signer.assertion(aud=f"{ISSUER}/par")), 401, "invalid_client")


def test_par_test_token_endpoint_url_as_audience_fails(fapi: Fapi) -> None:
    assert_refused(fapi.push(assertion=fapi.signer.assertion(aud=f"{ISSUER}/token")), 401, "invalid_client")
