"""/userinfo: what it takes and what it does not, as RFC 6750 and RFC 9449 say it."""

from collections.abc import Callable

import pytest

from tests import openid
from tests.lab import ACME, CALLBACK, ISSUER, VERIFIER, Lab, assert_refused, claims, landed
from tests.openid import RP
from tests.proofs import Holder


@pytest.fixture(autouse=True)
def client(lab: Lab) -> None:
    openid.add(lab)


def refused(lab: Lab, response: object, status: int, error: str, reason: str) -> str:
    """The refusal, its record, and its challenge."""
    assert_refused(response, status, error)
    record = lab.last("userinfo.refused")
    assert (record["outcome"], record["reason"]) == ("denied", reason), record
    found: str = response.headers.get("WWW-Authenticate", "")
    return found


@pytest.mark.requirement("OIDC-CORE-16")
def test_without_a_token_a_client_is_told_how_and_not_that_anything_is_wrong(lab: Lab) -> None:
    answer = openid.userinfo(lab, None)
    assert refused(lab, answer, 401, "invalid_token", "parameter_missing") == "Bearer"
    assert answer.headers.getlist("WWW-Authenticate")[1].startswith("DPoP algs=")
    basic = openid.userinfo(lab, None, Authorization="Basic YTpi")
    assert refused(lab, basic, 401, "invalid_token", "parameter_missing") == "Bearer"


@pytest.mark.requirement("OIDC-CORE-16")
def test_a_token_that_is_not_for_userinfo_of_this_door_opens_nothing(lab: Lab) -> None:
    got = openid.login(lab)
    wrong = {
        "nothing": ("nonsense", "subject_token_invalid"),
        "an id_token": (got.id_token, "subject_token_invalid"),
        "for a server": (lab.tokens()["access_token"], "resource_mismatch"),
        "of another door": (
            openid.login(lab, door="/t/acme").tokens["access_token"],
            "subject_token_invalid",
        ),
        "a refresh token": (got.tokens["refresh_token"], "subject_token_invalid"),
    }
    for name, (token, reason) in wrong.items():
        said = refused(lab, openid.userinfo(lab, token), 401, "invalid_token", reason)
        assert said.startswith('Bearer error="invalid_token"'), name
    assert openid.userinfo(lab, got.tokens["access_token"]).status_code == 200


def test_every_door_tells_of_its_own_tokens(lab: Lab) -> None:
    got = openid.login(lab, door="/t/acme")
    assert claims(got.tokens["access_token"])["aud"] == f"{ACME}/userinfo"
    assert openid.userinfo(lab, got.tokens["access_token"], door="/t/acme").json["sub"] == "alice"
    assert lab.get("/t/nobody/userinfo").status_code == 404


@pytest.mark.requirement("OIDC-CORE-16")
def test_a_token_past_its_time_is_refused(lab: Lab) -> None:
    token = openid.login(lab).tokens["access_token"]
    lab.clock.advance(299)
    assert openid.userinfo(lab, token).status_code == 200
    lab.clock.advance(1)
    refused(lab, openid.userinfo(lab, token), 401, "invalid_token", "subject_token_expired")


ENDS: dict[str, tuple[Callable[[Lab, openid.Login], object], str]] = {
    "revoked": (lambda lab, got: lab.revoke(got.tokens["access_token"], RP), "grant_off"),
    "user off": (lambda lab, _: lab.switch("user", "alice"), "user_off"),
    "client off": (lambda lab, _: lab.switch("client", RP), "client_off"),
    "tenant off": (lambda lab, _: lab.switch("tenant", "acme"), "tenant_off"),
    "userinfo off": (lambda lab, _: lab.switch("resource", "/userinfo"), "resource_off"),
    "everything off": (lambda lab, _: lab.switch("everything", "*"), "everything_off"),
    "no member": (
        lambda lab, _: lab.apply("users: [{id: alice, tenants: []}]"),
        "not_a_member",
    ),
    "nobody": (
        lambda lab, _: lab.change(lambda tx: lab.broker.people.remove(tx, "alice")),
        "user_off",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ended_tells_nothing_more(lab: Lab, end: str) -> None:
    got = openid.login(lab)
    token = got.tokens["access_token"]
    assert openid.userinfo(lab, token).status_code == 200
    ENDS[end][0](lab, got)
    refused(lab, openid.userinfo(lab, token), 401, "invalid_token", ENDS[end][1])


def test_a_sign_in_that_ended_ends_the_telling_unless_the_client_may_stay_connected(lab: Lab) -> None:
    openid.add(lab, "brief-rp", grant_types=("authorization_code",))
    brief = openid.login(lab, "brief-rp").tokens["access_token"]
    lasting = openid.login(lab).tokens["access_token"]
    assert openid.userinfo(lab, brief).status_code == openid.userinfo(lab, lasting).status_code == 200
    for session, _ in lab.broker.sessions.open():
        assert lab.broker.sessions.end_by_id(session.id)
    refused(lab, openid.userinfo(lab, brief), 401, "invalid_token", "session_over")
    assert openid.userinfo(lab, lasting).status_code == 200


def test_the_token_is_sent_once_and_never_in_the_address(lab: Lab) -> None:
    token = openid.login(lab).tokens["access_token"]
    both = openid.post_userinfo(lab, {"access_token": token}, Authorization=f"Bearer {token}")
    refused(lab, both, 400, "invalid_request", "repeated_parameter")
    twice = lab.post("/userinfo", [("access_token", token), ("access_token", token)])
    refused(lab, twice, 400, "invalid_request", "repeated_parameter")
    assert lab.get(f"/userinfo?access_token={token}").status_code == 401
    assert lab.post(f"/userinfo?access_token={token}", {}).status_code == 401


def test_the_first_telling_with_a_token_is_recorded_and_nothing_is_told_unrecorded(lab: Lab) -> None:
    token = openid.login(lab).tokens["access_token"]
    with lab.without_table("audit_record"):
        assert openid.userinfo(lab, token).status_code == 503
    for _ in range(3):
        openid.userinfo(lab, token)
    (record,) = lab.facts("userinfo.told") or [{}]
    assert (record["subject"], record["client"], record["scope"]) == ("alice", RP, "email openid profile")


def bound(lab: Lab, holder: Holder) -> str:
    """An access token that is bound to a key."""
    browser = lab.browser()
    code = landed(browser.allow(browser.sign_in(browser.get(openid.ask(lab)))))["code"]
    proof = holder.proof(f"{ISSUER}/token", lab.clock.now())
    answer = lab.redeem(code, RP, resource=None, dpop=proof)
    assert answer.json["token_type"] == "DPoP", answer.json
    token: str = answer.json["access_token"]
    return token


def test_a_token_bound_to_a_key_needs_a_proof_of_it_for_this_very_request(lab: Lab) -> None:
    holder = Holder()
    token, here = bound(lab, holder), f"{ISSUER}/userinfo"

    def sent(proof: str | None, scheme: str = "DPoP") -> object:
        headers = {} if proof is None else {"DPoP": proof}
        return openid.userinfo(lab, None, Authorization=f"{scheme} {token}", **headers)

    now = lab.clock.now()
    good = holder.proof(here, now, method="GET", token=token)
    assert sent(good).json["sub"] == "alice"
    assert "replayed" not in refused(lab, sent(good), 401, "invalid_dpop_proof", "dpop_replayed")
    said = refused(lab, sent(None, "Bearer"), 401, "invalid_token", "dpop_missing")
    assert said.startswith('DPoP error="invalid_token"')
    refused(lab, sent(None), 401, "invalid_dpop_proof", "dpop_invalid")
    another = Holder().proof(here, now, method="GET", token=token)
    refused(lab, sent(another), 401, "invalid_token", "dpop_key_mismatch")
    for wrong in (
        holder.proof(f"{ISSUER}/token", now, method="GET", token=token),
        holder.proof(here, now, method="POST", token=token),
        holder.proof(here, now, method="GET", token="another"),
        holder.proof(here, now, method="GET"),
        holder.proof(here, now - 3600, method="GET", token=token),
    ):
        refused(lab, sent(wrong), 401, "invalid_dpop_proof", "dpop_invalid")
    plain = openid.login(lab).tokens["access_token"]
    downgraded = openid.userinfo(lab, None, Authorization=f"DPoP {plain}", DPoP=good)
    assert downgraded.status_code == 401


def test_where_nonces_are_demanded_userinfo_gives_and_takes_them(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(dpop_nonces=True)
    openid.add(lab)
    holder, here = Holder(), f"{ISSUER}/userinfo"
    browser = lab.browser()
    code = landed(browser.allow(browser.sign_in(browser.get(openid.ask(lab)))))["code"]
    form = {"grant_type": "authorization_code", "client_id": RP, "code": code}
    form |= {"redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    url, now = f"{ISSUER}/token", lab.clock.now()
    first = lab.post("/token", form, {"DPoP": holder.proof(url, now)})
    nonce = first.headers["DPoP-Nonce"]
    token = lab.post("/token", form, {"DPoP": holder.proof(url, now, nonce=nonce)}).json["access_token"]

    def sent(**members: object) -> object:
        proof = holder.proof(here, now, method="GET", token=token, **members)
        return openid.userinfo(lab, None, Authorization=f"DPoP {token}", DPoP=proof)

    answer = sent()
    refused(lab, answer, 401, "use_dpop_nonce", "dpop_nonce")
    told = sent(nonce=answer.headers["DPoP-Nonce"])
    assert told.json["sub"] == "alice" and told.headers["DPoP-Nonce"]


def test_pages_of_clients_may_ask_and_no_others(lab: Lab) -> None:
    token = openid.login(lab).tokens["access_token"]
    for origin, known in (("https://client.example", True), ("https://evil.example", False)):
        answer = openid.userinfo(lab, token, Origin=origin)
        assert (answer.headers.get("Access-Control-Allow-Origin") == origin) is known
        preflight = lab.http().options(
            "/userinfo",
            base_url=ISSUER,
            headers={"Origin": origin, "Access-Control-Request-Method": "GET"},
        )
        assert ("GET" in preflight.headers.get("Access-Control-Allow-Methods", "")) is known
    wrong = openid.userinfo(lab, "nonsense", Origin="https://client.example")
    assert wrong.headers["Access-Control-Expose-Headers"] == "DPoP-Nonce, WWW-Authenticate"
