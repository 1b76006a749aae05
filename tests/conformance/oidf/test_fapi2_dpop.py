"""The modules of the OpenID suite's plan fapi2-security-profile-final about DPoP, by name."""

import pytest

from tests.fapi import Fapi
from tests.lab import ISSUER, TICKETS, Lab, assert_refused, claims
from tests.proofs import ABSENT, Holder
from tests.pushing import address

OTHER = Holder()


@pytest.fixture
def fapi(lab: Lab) -> Fapi:
    return Fapi(lab).registered()


def test_access_token_type_header_case_sensitivity(fapi: Fapi) -> None:
    token = fapi.tokens()["access_token"]
    for scheme in ("DPoP", "dpop", "DPOP", "dPoP"):
        assert fapi.call(token, fapi.shown(token), scheme=scheme).text == "reached"


def test_check_dpop_proof_nbf_exp(fapi: Fapi) -> None:
    """They are not members of a proof; a good proof that has them is a good proof."""
    now = int(fapi.lab.clock.now())
    token = fapi.redeem(fapi.code(), dpop=fapi.proof("/token", nbf=now, exp=now + 60)).json["access_token"]
    assert fapi.call(token, fapi.shown(token, nbf=now, exp=now + 60)).text == "reached"


@pytest.mark.parametrize("endpoint", ["token", "resource"])
def test_ensure_dpopproof_with_iat_10seconds_before_succeeds(fapi: Fapi, endpoint: str) -> None:
    moved(fapi, -10, endpoint)


@pytest.mark.parametrize("endpoint", ["token", "resource"])
def test_ensure_dpopproof_with_iat_10seconds_after_succeeds(fapi: Fapi, endpoint: str) -> None:
    moved(fapi, 10, endpoint)


def moved(fapi: Fapi, seconds: int, endpoint: str) -> None:
    when = {"iat": int(fapi.lab.clock.now()) + seconds}
    early = fapi.proof("/token", **(when if endpoint == "token" else {}))
    answer = fapi.redeem(fapi.code(), dpop=early)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    token = answer.json["access_token"]
    shown = fapi.shown(token, **(when if endpoint == "resource" else {}))
    assert fapi.call(token, shown).text == "reached"


def test_ensure_mismatched_dpop_jkt_fails(fapi: Fapi) -> None:
    assert_refused(fapi.push(dpop=fapi.proof("/par"), dpop_jkt=OTHER.jkt), 400, "invalid_dpop_proof")
    assert fapi.push(dpop=fapi.proof("/par"), dpop_jkt=fapi.key.jkt).status_code == 201


def test_ensure_token_endpoint_fails_with_mismatched_dpop_proof_jkt(fapi: Fapi) -> None:
    code = fapi.code(dpop=fapi.proof("/par"))
    assert_refused(fapi.redeem(code, dpop=fapi.proof("/token", OTHER)), 400, "invalid_dpop_proof")
    assert fapi.redeem(code).status_code == 200


def test_ensure_token_endpoint_fails_with_mismatched_dpop_jkt(fapi: Fapi) -> None:
    code = fapi.code(dpop_jkt=fapi.key.jkt)
    assert_refused(fapi.redeem(code, dpop=fapi.proof("/token", OTHER)), 400, "invalid_dpop_proof")
    assert fapi.redeem(code).status_code == 200


def test_ensure_dpopproof_at_par_endpoint_binding_success(fapi: Fapi) -> None:
    answer = fapi.redeem(fapi.code(dpop=fapi.proof("/par")))
    assert claims(answer.json["access_token"])["cnf"] == {"jkt": fapi.key.jkt}


def test_ensure_dpop_auth_code_binding_success(fapi: Fapi) -> None:
    answer = fapi.redeem(fapi.code(dpop_jkt=fapi.key.jkt))
    assert claims(answer.json["access_token"])["cnf"] == {"jkt": fapi.key.jkt}


RSA, PRIVATE = Holder("RS256"), {"d": "AAAA"}
WRONG: dict[str, dict[str, object]] = {
    "no typ": {"header": {"typ": ABSENT}},
    "wrong typ": {"header": {"typ": "JWT"}},
    "no alg": {"header": {"alg": ABSENT}},
    "alg none": {"header": {"alg": "none"}},
    "alg of another family": {"header": {"alg": "RS256"}},
    "symmetric alg": {"header": {"alg": "HS256"}},
    "no jwk": {"header": {"jwk": ABSENT}},
    "jwk of another key": {"header": {"jwk": OTHER.jwk}},
    "private jwk": {"private": True},
    "no jti": {"jti": ABSENT},
    "no htm": {"htm": ABSENT},
    "wrong htm": {"htm": "PUT"},
    "htm in small letters": {"htm": "get"},
    "no htu": {"htu": ABSENT},
    "wrong htu": {"htu": f"{ISSUER}/token"},
    "other path": {"htu": TICKETS + "/x"},
    "other host": {"htu": "https://mcp2.example/mcp"},
    "no iat": {"iat": ABSENT},
    "iat an hour ago": {"iat": -3600},
    "iat in an hour": {"iat": 3600},
    "iat a text": {"iat": "now"},
    "no ath": {"ath": ABSENT},
    "ath of another token": {"ath": "x" * 43},
}


@pytest.mark.parametrize("step", WRONG)
def test_dpop_negative_tests(fapi: Fapi, step: str) -> None:
    token = fapi.tokens()["access_token"]
    changes = dict(WRONG[step])
    if changes.pop("private", False):
        changes["header"] = {"jwk": fapi.key.jwk | PRIVATE}
    if isinstance(changes.get("iat"), int):
        changes["iat"] = int(fapi.lab.clock.now()) + int(str(changes["iat"]))
    answer = fapi.call(token, fapi.shown(token, **changes))
    assert answer.status_code == 401 and "DPoP" in answer.headers["www-authenticate"]
    assert fapi.call(token, fapi.shown(token)).text == "reached"


@pytest.mark.parametrize(
    "step", ["several", "malformed", "empty", "bad signature", "reused", "other key", "none", "bearer"]
)
def test_dpop_negative_tests_of_the_header(fapi: Fapi, step: str) -> None:
    token = fapi.tokens()["access_token"]
    good = fapi.shown(token)
    sent: dict[str, tuple[str, ...]] = {
        "several": (good, fapi.shown(token)),
        "malformed": ("a.b.c",),
        "empty": ("",),
        "bad signature": (good[:-6] + "AAAAAA",),
        "reused": (good,),
        "other key": (fapi.shown(token, OTHER),),
        "none": (),
        "bearer": (good,),
    }
    if step == "reused":
        assert fapi.call(token, good).text == "reached"
    answer = fapi.call(token, *sent[step], scheme="Bearer" if step == "bearer" else "DPoP")
    assert answer.status_code == 401, answer.text
    assert fapi.call(token, fapi.shown(token)).text == "reached"


@pytest.mark.parametrize(
    "url",
    [
        TICKETS + "?query=1",
        TICKETS + "#fragment",
        "HTTPS://mcp1.example/mcp",
        "https://MCP1.example/mcp",
        "https://mcp1.example:443/mcp",
    ],
)
def test_dpop_negative_tests_of_addresses_that_are_the_same(fapi: Fapi, url: str) -> None:
    """Query and fragment are not looked at; scheme and host have no case, and the default port no name."""
    token = fapi.tokens()["access_token"]
    assert fapi.call(token, fapi.shown(token, htu=url)).text == "reached"


def test_ensure_server_handles_non_matching_intent_id(fapi: Fapi) -> None:
    """An ecosystem's parameter: what is not known here has no say."""
    uri = fapi.pushed(openbanking_intent_id="urn:intent:one")
    page = fapi.lab.browser().get(address(uri, "fapi", openbanking_intent_id="urn:intent:two"))
    assert page.status_code == 200 and "code" in fapi.answer(uri)
