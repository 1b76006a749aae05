"""DPOP: the key that an authorization request names, pushed or not, and the key that userinfo wants to see."""

from dataclasses import replace

import pytest

from tests import openid
from tests.lab import ISSUER, Lab, assert_refused, basic, claims, landed
from tests.openid import RP
from tests.proofs import Holder
from tests.pushing import arrives, asked, proof_for, push, pushed

KEY, OTHER = Holder(), Holder()


def redeemed(lab: Lab, code: str, holder: Holder | None) -> object:
    proof = None if holder is None else proof_for(lab, holder, "/token")
    return lab.redeem(code, "web-app", dpop=proof)


@pytest.mark.attack("DPOP-19")
@pytest.mark.parametrize("named", ["by the proof", "by dpop_jkt", "by both"])
def test_the_key_of_a_pushed_request_is_the_key_of_its_token(lab: Lab, named: str) -> None:
    dpop = proof_for(lab, KEY) if named != "by dpop_jkt" else None
    jkt = KEY.jkt if named != "by the proof" else None
    answer = push(lab, dpop=dpop, dpop_jkt=jkt)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    code = arrives(lab, answer.json["request_uri"])["code"]
    lab.refused(redeemed(lab, code, OTHER), 400, "invalid_dpop_proof", "dpop_key_mismatch")
    lab.refused(redeemed(lab, code, None), 400, "invalid_dpop_proof", "dpop_missing")
    token = redeemed(lab, code, KEY)
    assert token.status_code == 200 and claims(token.json["access_token"])["cnf"] == {"jkt": KEY.jkt}


@pytest.mark.attack("DPOP-19")
def test_a_push_that_proves_another_key_than_it_names_is_refused(lab: Lab) -> None:
    answer = push(lab, dpop=proof_for(lab, OTHER), dpop_jkt=KEY.jkt)
    lab.refused(answer, 400, "invalid_dpop_proof", "dpop_key_mismatch", "request.refused")
    assert lab.rows("pushed_request") == lab.rows("spent") == 0
    assert push(lab, dpop=proof_for(lab, KEY), dpop_jkt=KEY.jkt).status_code == 201


@pytest.mark.attack("DPOP-19")
@pytest.mark.parametrize("jkt", ["", "k", "k" * 42, "k" * 44, "k" * 42 + "=", "k" * 42 + "B"])
def test_a_malformed_thumbprint_is_not_pushed(lab: Lab, jkt: str) -> None:
    answer = lab.post("/par", {**asked(lab), "dpop_jkt": jkt}, basic("web-app"))
    lab.refused(answer, 400, "invalid_request", "malformed", "request.refused")
    assert lab.rows("pushed_request") == 0


@pytest.mark.attack("DPOP-19")
def test_a_proof_at_the_endpoint_for_pushes_is_one_for_that_endpoint(lab: Lab) -> None:
    for changes in ({"path": "/token"}, {"path": "/t/acme/par"}, {"htm": "GET"}):
        answer = push(lab, dpop=proof_for(lab, KEY, **changes))
        lab.refused(answer, 400, "invalid_dpop_proof", "dpop_invalid", "request.refused")
    text = proof_for(lab, KEY)
    assert push(lab, dpop=text).status_code == 201
    again = push(lab, dpop=text)
    lab.refused(again, 400, "invalid_dpop_proof", "dpop_replayed", "request.refused")
    form, headers = lab._as("web-app", dict(asked(lab)))
    two = lab.http().post(
        "/par",
        base_url=ISSUER,
        data=form,
        headers=[*headers.items(), ("DPoP", proof_for(lab, KEY)), ("DPoP", proof_for(lab, KEY))],
    )
    assert_refused(two, 400, "invalid_dpop_proof")


def test_where_nonces_are_wanted_a_push_gets_one(make_lab: object) -> None:
    lab = make_lab(dpop_nonces=True)
    answer = push(lab, dpop=proof_for(lab, KEY))
    assert_refused(answer, 400, "use_dpop_nonce")
    nonce = answer.headers["DPoP-Nonce"]
    answer = push(lab, dpop=proof_for(lab, KEY, nonce=nonce))
    assert answer.status_code == 201 and answer.headers["DPoP-Nonce"]


def test_a_client_bound_to_keys_may_push_without_a_proof_and_not_redeem(lab: Lab) -> None:
    """The proof comes with the request that gives a token."""
    lab.put_client(replace(lab.client("web-app"), dpop_bound=True))
    code = arrives(lab, pushed(lab))["code"]
    lab.refused(redeemed(lab, code, None), 400, "invalid_dpop_proof", "dpop_missing")
    assert redeemed(lab, code, KEY).status_code == 200


@pytest.mark.attack("DPOP-17")
def test_userinfo_tells_only_the_holder_of_the_key(lab: Lab) -> None:
    openid.add(lab)
    arrived = openid.login(lab)
    assert openid.userinfo(lab, arrived.tokens["access_token"]).status_code == 200
    page = arrived.browser.get(openid.ask(lab))
    code = landed(page if page.status_code == 303 else arrived.browser.allow(page))["code"]
    token = lab.redeem(code, RP, resource=None, dpop=proof_for(lab, KEY, "/token")).json["access_token"]

    def ask(holder: Holder, scheme: str = "DPoP") -> object:
        proof = holder.proof(f"{ISSUER}/userinfo", lab.clock.now(), "GET", token)
        return lab.get("/userinfo", Authorization=f"{scheme} {token}", DPoP=proof)

    assert ask(KEY).status_code == 200 and ask(KEY).json["sub"] == "alice"
    for wrong in (ask(OTHER), ask(KEY, "Bearer"), lab.get("/userinfo", Authorization=f"Bearer {token}")):
        assert wrong.status_code == 401 and 'error="invalid_token"' in wrong.headers["WWW-Authenticate"]
        assert b"alice" not in wrong.data
