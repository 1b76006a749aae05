"""RFC 9449: attacks on proofs at the token endpoint; those at a resource are in tests/guard/test_possession.py."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import httpx2
import pytest
import redis
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from werkzeug.test import TestResponse

from broker.guard.asgi import GuardMiddleware
from broker.guard.guard import Guard
from broker.guard.possession import Sent
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.model import Client, Registered
from broker.protocol import dpop
from broker.protocol.dpop import InvalidProof
from broker.protocol.errors import OAuthError
from broker.protocol.nonces import Nonces
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.runtime import log
from tests.lab import ACME, CALLBACK, ISSUER, NOTES, SECRETS, TICKETS, Lab, assert_refused, basic, claims
from tests.proofs import ABSENT, Holder, base64url

KEY, OTHER = Holder(), Holder()


def proof(lab: Lab, holder: Holder = KEY, door: str = "", **changes: object) -> str:
    return holder.proof(f"{ISSUER}{door}/token", lab.clock.now(), **changes)


def bound(lab: Lab, holder: Holder = KEY, client_id: str = "desk-app") -> dict[str, str]:
    """The answer of a whole sign-in, bound to the holder's key."""
    answer = lab.redeem(lab.code(client_id), client_id, dpop=proof(lab, holder))
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.json


def nightly(lab: Lab, text: str | None) -> TestResponse:
    """The client's own work: the shortest way to a token."""
    return lab.client_credentials(dpop=text)


def registered(lab: Lab, client_id: str, **members: object) -> None:
    lab.put_client(replace(lab.client(client_id), **members))


def assert_bound(answer: TestResponse, holder: Holder = KEY) -> None:
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.json["token_type"] == "DPoP"
    assert claims(answer.json["access_token"])["cnf"] == {"jkt": holder.jkt}


@pytest.mark.parametrize("alg", dpop.ALGORITHMS)
@pytest.mark.requirement("EXT-DPOP-03")
def test_a_proof_binds_the_token_to_its_key(lab: Lab, alg: str) -> None:
    holder = Holder(alg)
    assert_bound(nightly(lab, proof(lab, holder)), holder)
    assert_bound(lab.redeem(lab.code(), dpop=proof(lab, holder)), holder)


def test_without_a_proof_the_token_is_a_bearer_token(lab: Lab) -> None:
    answer = nightly(lab, None)
    assert answer.json["token_type"] == "Bearer" and "cnf" not in claims(answer.json["access_token"])
    assert lab.rows("spent") == 0 and "DPoP-Nonce" not in answer.headers


@pytest.mark.attack("DPOP-01")
@pytest.mark.parametrize("client", ["desk-app", "web-app"])
def test_a_client_registered_for_dpop_gets_no_code_redeemed_without_a_proof(lab: Lab, client: str) -> None:
    registered(lab, client, dpop_bound=True)
    code = lab.code(client)
    lab.refused(lab.redeem(code, client), 400, "invalid_dpop_proof", "dpop_missing")
    assert_bound(lab.redeem(code, client, dpop=proof(lab)))


@pytest.mark.attack("DPOP-01")
@pytest.mark.requirement("EXT-DPOP-02")
def test_a_client_registered_for_dpop_gets_nothing_else_without_a_proof_either(lab: Lab) -> None:
    subject = lab.tokens()
    for client in ("nightly", "tickets-server", "desk-app"):
        registered(lab, client, dpop_bound=True)
    requests: tuple[Callable[..., TestResponse], ...] = (
        lambda **header: lab.client_credentials(**header),
        lambda **header: lab.exchange(subject["access_token"], **header),
        lambda **header: lab.refresh(subject["refresh_token"], **header),
    )
    for request in requests:
        lab.refused(request(), 400, "invalid_dpop_proof", "dpop_missing")
        assert_bound(request(dpop=proof(lab)))


@pytest.mark.attack("DPOP-03")
@pytest.mark.parametrize(
    "text", ["", "abc", "a.b", "a.b.c.d.e", '{"payload":"e30","signatures":[]}', "{}", "é.b.c", "x" * 8000]
)
def test_what_is_no_compact_jws_is_no_proof(lab: Lab, text: str) -> None:
    record = lab.refused(nightly(lab, text), 400, "invalid_dpop_proof", "dpop_invalid")
    assert record["detail"] == "malformed" and record["client"] == "nightly"


@pytest.mark.attack("DPOP-03")
def test_two_proofs_are_one_too_many(lab: Lab) -> None:
    form, headers = lab._as("nightly", {"grant_type": "client_credentials"})
    both = [("DPoP", proof(lab)), ("DPoP", proof(lab)), *headers.items()]
    answer = lab.http().post("/token", base_url=ISSUER, data=form, headers=both)
    lab.refused(answer, 400, "invalid_dpop_proof", "dpop_invalid")
    joined = f"{proof(lab)}, {proof(lab)}"
    lab.refused(nightly(lab, joined), 400, "invalid_dpop_proof", "dpop_invalid")
    answer = lab.http().post("/token", base_url=ISSUER, data=form, headers=both[1:])
    assert_bound(answer)


@pytest.mark.attack("DPOP-03")
def test_two_proofs_are_one_too_many_though_a_server_hands_them_over_apart(lab: Lab) -> None:
    """WSGI joins what comes twice; another gateway may not."""
    door, origin = lab.broker.estate().doors.root, Origin("req", "203.0.113.7", ISSUER)
    form = Parameters({"grant_type": ("client_credentials",)})
    for proofs, fine in (((proof(lab), proof(lab)), False), ((proof(lab),), True)):
        attempt = Attempt(basic("nightly")["Authorization"], form, f"{ISSUER}/token", proofs)
        if fine:
            assert lab.broker.pipeline.issue(door, attempt, origin).members["token_type"] == "DPoP"
        else:
            with pytest.raises(OAuthError, match="invalid_dpop_proof"):
                lab.broker.pipeline.issue(door, attempt, origin)


@pytest.mark.attack("DPOP-04")
@pytest.mark.parametrize("typ", [ABSENT, "JWT", "at+jwt", "client-authentication+jwt", "", 7])
def test_another_type_is_no_proof(lab: Lab, typ: object) -> None:
    record = lab.refused(
        nightly(lab, proof(lab, header={"typ": typ})), 400, "invalid_dpop_proof", "dpop_invalid"
    )
    assert record["detail"] == "type"


@pytest.mark.attack("DPOP-05")
def test_an_algorithm_that_is_not_offered_or_does_not_fit_its_key_makes_no_proof(lab: Lab) -> None:
    def unsigned(alg: object) -> str:
        return proof(lab, header={"alg": alg}).rsplit(".", 1)[0] + "."

    big = Holder("ES384", curve=ec.SECP384R1)
    secret = base64url(b"k" * 32)
    wrong = {
        "none": unsigned("none"),
        "signed none": proof(lab, header={"alg": "none"}),
        "absent": proof(lab, header={"alg": ABSENT}),
        "HS256": proof(lab, header={"alg": "HS256", "jwk": {"kty": "oct", "k": secret}}),
        "HS256 with an EC key": proof(lab, header={"alg": "HS256"}),
        "RS256": proof(lab, Holder("RS256")),
        "ES384": proof(lab, big),
        "ES256 with a P-384 key": proof(lab, big, header={"alg": "ES256"}),
        "PS256 of 1024 bits": proof(lab, Holder("PS256", bits=1024)),
    }
    for name, text in wrong.items():
        record = lab.refused(nightly(lab, text), 400, "invalid_dpop_proof", "dpop_invalid")
        assert record["detail"] in ("algorithm", "key"), name
    assert (
        "RS256"
        not in lab.get("/.well-known/oauth-authorization-server").json["dpop_signing_alg_values_supported"]
    )
    assert lab.rows("spent") == 0


@pytest.mark.attack("DPOP-08")
def test_a_proof_that_shows_a_private_key_is_refused_and_told_to_nobody(
    lab: Lab, capfd: pytest.CaptureFixture[str]
) -> None:
    private = ECAlgorithm.to_jwk(KEY.key, as_dict=True)
    before = structlog.get_config()
    try:
        log.configure("debug")
        for shown in (private, {**KEY.jwk, "d": ""}, {"kty": "oct", "k": private["d"]}):
            answer = nightly(lab, proof(lab, header={"jwk": shown}))
            lab.refused(answer, 400, "invalid_dpop_proof", "dpop_invalid")
            assert private["d"] not in answer.get_data(as_text=True)
    finally:
        structlog.configure(**before)
    told = capfd.readouterr()
    assert '"reason": "dpop_invalid"' in told.out + told.err, "the requests were logged at all"
    assert private["d"] not in told.out + told.err
    assert private["d"].encode() not in lab.dump()


@pytest.mark.attack("DPOP-10")
def test_a_proof_is_for_the_door_that_it_is_sent_to(lab: Lab) -> None:
    url = f"{ISSUER}/token"
    for htu in (
        f"{ACME}/token",
        "https://other.example/token",
        f"{ISSUER}/introspect",
        url.replace("s:", ":"),
        7,
    ):
        record = lab.refused(nightly(lab, proof(lab, htu=htu)), 400, "invalid_dpop_proof", "dpop_invalid")
        assert record["detail"] == "htu"
    for htu in (url, f"{url}?x=y#z", "HTTPS://AS.Example:443/token"):
        assert_bound(nightly(lab, proof(lab, htu=htu)))
    assert_bound(lab.client_credentials(door="/t/acme", dpop=proof(lab, door="/t/acme")))
    lab.refused(
        lab.client_credentials(door="/t/acme", dpop=proof(lab)), 400, "invalid_dpop_proof", "dpop_invalid"
    )


def test_a_proof_is_for_the_method_that_it_is_sent_with(lab: Lab) -> None:
    for htm in ("GET", "post", ABSENT):
        lab.refused(nightly(lab, proof(lab, htm=htm)), 400, "invalid_dpop_proof", "dpop_invalid")


def test_the_address_behind_a_proxy_is_the_public_one(lab: Lab) -> None:
    """Whatever name and path the proxy uses for us: what clients know is the issuer."""
    form, headers = lab._as("nightly", {"grant_type": "client_credentials", "dpop": proof(lab)})
    headers |= {
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example",
        "X-Forwarded-Proto": "http",
    }
    assert_bound(lab.post("/token", form, headers))


def test_the_alias_for_clients_with_certificates_is_an_address_too(make_lab: Callable[..., Lab]) -> None:
    """A client may authenticate with its certificate and bind its tokens to a key."""
    lab = make_lab(mtls_origin="https://mtls.example")
    for path in ("", "/t/acme"):
        alias = f"https://mtls.example{path}/token"
        assert (
            lab.get(f"/.well-known/oauth-authorization-server{path}").json["mtls_endpoint_aliases"][
                "token_endpoint"
            ]
            == alias
        )
        for htu in (alias, f"{ISSUER}{path}/token"):
            assert_bound(lab.client_credentials(door=path, dpop=proof(lab, htu=htu)))
    wrong = proof(lab, htu="https://mtls.example/t/acme/token")
    lab.refused(nightly(lab, wrong), 400, "invalid_dpop_proof", "dpop_invalid")


@pytest.mark.attack("DPOP-13")
def test_a_proof_works_once_in_every_process_and_after_a_restart(lab: Lab) -> None:
    text, other = proof(lab), lab.replica()
    assert_bound(nightly(lab, text))

    def refused(process: Lab) -> None:
        process.refused(nightly(process, text), 400, "invalid_dpop_proof", "dpop_replayed")
        assert_bound(nightly(process, proof(lab)))

    refused(lab)
    refused(other)
    again = other.restarted()
    refused(again)
    again.broker.close()
    assert len(lab.facts("token.issued")) == 4


@pytest.mark.attack("DPOP-13")
def test_a_proof_works_once_though_redis_was_emptied_or_is_gone(
    make_lab: Callable[..., Lab], redis_url: str
) -> None:
    prefix = "dpop-emptied:"
    lab = make_lab(redis_url=redis_url, redis_prefix=prefix)
    text = proof(lab)
    assert_bound(nightly(lab, text))
    with redis.Redis.from_url(redis_url) as operator:
        kept = list(operator.scan_iter(f"{prefix}*"))
        assert kept and operator.delete(*kept) == len(kept)
    lab.refused(nightly(lab, text), 400, "invalid_dpop_proof", "dpop_replayed")
    without = make_lab(redis_url="redis://127.0.0.1:1/0")
    text = proof(without)
    assert_bound(nightly(without, text))
    without.refused(nightly(without, text), 400, "invalid_dpop_proof", "dpop_replayed")


@pytest.mark.attack("DPOP-13")
def test_a_proof_is_remembered_for_as_long_as_any_process_would_take_it(lab: Lab) -> None:
    """The sweeping process's clock may be a minute ahead: what it forgets must be too old for everybody."""
    text = proof(lab, iat=int(lab.clock.now()) + 60)
    assert_bound(nightly(lab, text))
    for wait, error, kept in (
        (119, "invalid_dpop_proof", 1),
        (60, "use_dpop_nonce", 1),
        (2, "use_dpop_nonce", 0),
    ):
        lab.clock.advance(wait)
        lab.broker.sweep()
        assert_refused(nightly(lab, text), 400, error)
        assert lab.rows("spent") == kept


def test_a_proof_of_a_refused_request_is_not_used_up(lab: Lab) -> None:
    text = proof(lab)
    assert_refused(lab.redeem("mcpb_ac_wrong", dpop=text), 400, "invalid_grant")
    assert_bound(lab.redeem(lab.code(), dpop=text))


def test_two_keys_and_two_doors_may_choose_the_same_jti(lab: Lab) -> None:
    assert_bound(nightly(lab, proof(lab, jti="1")))
    assert_bound(nightly(lab, proof(lab, OTHER, jti="1")), OTHER)
    assert_bound(lab.client_credentials(door="/t/acme", dpop=proof(lab, door="/t/acme", jti="1")))
    lab.refused(nightly(lab, proof(lab, jti="1")), 400, "invalid_dpop_proof", "dpop_replayed")


@pytest.mark.attack("DPOP-14")
def test_no_flood_pushes_a_used_proof_out_of_memory(make_lab: Callable[..., Lab]) -> None:
    """What is remembered grows by as much as one source may send in a minute, and forgets nothing that could return."""
    lab = make_lab(dpop_proofs_per_minute=30)
    first = proof(lab, iat=int(lab.clock.now()) + 50)
    assert_bound(nightly(lab, first))
    answers = [nightly(lab, proof(lab, Holder())) for _ in range(40)]
    assert [answer.status_code for answer in answers] == [200] * 29 + [429] * 11
    lab.refused(answers[-1], 429, "temporarily_unavailable", "rate_limited")
    assert lab.rows("spent") == 30
    lab.clock.advance(61)
    lab.broker.sweep()
    lab.refused(nightly(lab, first), 400, "invalid_dpop_proof", "dpop_replayed")
    assert_bound(nightly(lab, proof(lab)))


def test_a_flood_from_one_address_stops_nobody_else(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(dpop_proofs_per_minute=2)
    form, headers = lab._as("nightly", {"grant_type": "client_credentials"})
    for number, source in enumerate(["203.0.113.1"] * 3 + ["203.0.113.2"]):
        answer = lab.post("/token", form, headers | {"DPoP": proof(lab)}, source)
        assert answer.status_code == (429 if number == 2 else 200)
    assert lab.post("/token", form, headers, "203.0.113.1").status_code == 200, (
        "without a proof there is no limit"
    )


def test_a_flood_costs_no_signatures(make_lab: Callable[..., Lab]) -> None:
    """The limit is asked before anything costs time."""
    lab = make_lab(dpop_proofs_per_minute=1)
    assert_bound(nightly(lab, proof(lab)))
    for text in ("abc", proof(lab, OTHER), proof(lab, header={"alg": "none"})):
        assert_refused(nightly(lab, text), 429, "temporarily_unavailable")


@pytest.mark.attack("DPOP-15")
@pytest.mark.requirement("EXT-DPOP-04")
def test_a_door_that_demands_nonces_takes_current_ones_of_its_own(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(dpop_nonces=True)

    def demanded(answer: TestResponse) -> str:
        lab.refused(answer, 400, "use_dpop_nonce", "dpop_nonce")
        return answer.headers["DPoP-Nonce"]

    nonce = demanded(nightly(lab, proof(lab)))
    answer = nightly(lab, proof(lab, nonce=nonce))
    assert_bound(answer)
    assert answer.headers["DPoP-Nonce"] == nonce, "the one to use next"
    elsewhere = demanded(lab.client_credentials(door="/t/acme", dpop=proof(lab, door="/t/acme")))
    strange = Nonces(b"another server's key").issue(ISSUER, lab.clock.now())
    for wrong in (elsewhere, strange, "", nonce[:-1], nonce + "A"):
        assert demanded(nightly(lab, proof(lab, nonce=wrong))) == nonce
    assert demanded(nightly(lab, proof(lab))) == nonce, "and nobody gets around it by leaving it out"
    lab.clock.advance(240)
    fresh = demanded(nightly(lab, proof(lab, nonce=nonce)))
    assert fresh != nonce
    assert_bound(nightly(lab, proof(lab, nonce=fresh)))


@pytest.mark.attack("DPOP-15")
def test_every_answer_to_a_proof_carries_the_nonce_that_the_door_demands(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(dpop_nonces=True)
    nonce = nightly(lab, proof(lab)).headers["DPoP-Nonce"]
    good = proof(lab, nonce=nonce)
    assert nightly(lab, good).headers["DPoP-Nonce"] == nonce
    for answer in (
        nightly(lab, good),
        nightly(lab, "abc"),
        lab.client_credentials(scope="unheard:of", dpop=proof(lab, nonce=nonce)),
        lab.post("/token", {"grant_type": "client_credentials", "client_id": "nobody"}, {"DPoP": good}),
    ):
        assert answer.status_code in (400, 401) and answer.headers["DPoP-Nonce"] == nonce
    assert "DPoP-Nonce" not in nightly(lab, None).headers


def test_a_nonce_of_any_process_is_taken_by_all(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(dpop_nonces=True)
    nonce = nightly(lab, proof(lab)).headers["DPoP-Nonce"]
    replica = lab.replica()
    assert_bound(nightly(replica, proof(lab, nonce=nonce)))
    replica.broker.close()


@pytest.mark.attack("FAULT-23")
@pytest.mark.parametrize("off", [-86400, -3600, -61, 61, 3600])
def test_a_client_whose_clock_is_wrong_is_helped_with_a_nonce(lab: Lab, off: int) -> None:
    wrong = int(lab.clock.now()) + off
    answer = nightly(lab, proof(lab, iat=wrong))
    record = lab.refused(answer, 400, "use_dpop_nonce", "dpop_nonce")
    assert record["detail"] == "the time of the proof is too far off"
    nonce = answer.headers["DPoP-Nonce"]
    text = proof(lab, iat=wrong, nonce=nonce)
    assert_bound(nightly(lab, text))
    lab.refused(nightly(lab, text), 400, "invalid_dpop_proof", "dpop_replayed")
    lab.clock.advance(239)
    lab.broker.sweep()
    assert nightly(lab, text).status_code == 400
    assert_refused(nightly(lab, proof(lab, iat=wrong, nonce="made up")), 400, "use_dpop_nonce")


@pytest.mark.attack("FAULT-23")
@pytest.mark.parametrize("off", [-60, -10, 10, 60])
def test_a_clock_that_is_a_minute_off_is_tolerated(lab: Lab, off: int) -> None:
    assert_bound(nightly(lab, proof(lab, iat=int(lab.clock.now()) + off)))


@pytest.mark.attack("FAULT-23")
@pytest.mark.parametrize("ahead", [90, -90])
def test_a_process_whose_clock_is_wrong_asks_for_a_nonce_and_takes_the_other_process_s(
    lab: Lab, ahead: int
) -> None:
    """A proof made by a right clock, at a process 90 seconds off: refused with a reason, and with a way on."""
    now, replica = lab.clock.now(), lab.replica()
    lab.clock.advance(ahead)  # from here the replica reads it; the client's clock stands still
    answer = nightly(replica, KEY.proof(f"{ISSUER}/token", now))
    replica.refused(answer, 400, "use_dpop_nonce", "dpop_nonce")
    nonce = answer.headers["DPoP-Nonce"]
    assert_bound(nightly(replica, KEY.proof(f"{ISSUER}/token", now, nonce=nonce)))
    replica.broker.close()
    lab.clock.advance(-ahead)
    assert_bound(nightly(lab, KEY.proof(f"{ISSUER}/token", now, nonce=nonce)))


@pytest.mark.attack("FAULT-23")
def test_a_token_of_a_process_whose_clock_is_ahead_waits_for_its_time(lab: Lab) -> None:
    """The server forgives itself nothing; a guard forgives five seconds, whatever the case allows."""
    replica, guard = lab.replica(), guarded(lab)
    lab.clock.advance(90)
    early = replica.client_credentials().json["access_token"]
    lab.clock.advance(-90)
    assert not lab.active(early) and call(guard, "Bearer", early).status_code == 401
    lab.clock.advance(84)
    assert not lab.active(early) and call(guard, "Bearer", early).status_code == 401
    lab.clock.advance(1)
    assert not lab.active(early) and call(guard, "Bearer", early).text == "reached"
    lab.clock.advance(5)
    assert lab.active(early)
    replica.broker.close()


@pytest.mark.attack("DPOP-19")
def test_a_code_is_for_the_key_that_was_named_when_it_was_asked_for(lab: Lab) -> None:
    code = lab.code(dpop_jkt=KEY.jkt)
    lab.refused(lab.redeem(code), 400, "invalid_dpop_proof", "dpop_missing")
    lab.refused(lab.redeem(code, dpop=proof(lab, OTHER)), 400, "invalid_dpop_proof", "dpop_key_mismatch")
    assert_bound(lab.redeem(code, dpop=proof(lab)))
    lab.refused(lab.redeem(code, dpop=proof(lab, OTHER)), 400, "invalid_dpop_proof", "dpop_key_mismatch")
    assert lab.facts("grant.revoked") == [], "who holds another key cannot even end the grant"
    assert_refused(lab.redeem(code, dpop=proof(lab)), 400, "invalid_grant")
    assert len(lab.facts("grant.revoked")) == 1


@pytest.mark.attack("DPOP-19")
@pytest.mark.parametrize(
    "jkt", ["", "k", "k" * 42, "k" * 44, "k" * 42 + "=", "k" * 42 + "!", "k" * 42 + "8 ", "k" * 42 + "B"]
)
def test_a_malformed_thumbprint_ends_the_request(lab: Lab, jkt: str) -> None:
    answer = lab.browser().get(lab.authorize_url(dpop_jkt=jkt))
    assert answer.status_code == 303 and "error=invalid_request" in answer.headers["Location"]
    assert answer.headers["Location"].startswith(CALLBACK)
    assert lab.facts("authorization.refused")[-1]["reason"] == "malformed"


@pytest.mark.attack("DPOP-19")
def test_a_thumbprint_that_comes_twice_ends_the_request(lab: Lab) -> None:
    url = lab.authorize_url(dpop_jkt=KEY.jkt) + f"&dpop_jkt={OTHER.jkt}"
    assert "error=invalid_request" in lab.browser().get(url).headers["Location"]


@pytest.mark.attack("DPOP-19")
def test_a_remembered_consent_gives_a_code_for_the_key_of_this_request(lab: Lab) -> None:
    browser = lab.browser()
    lab.code("web-app", browser=browser)
    code = lab.code("web-app", browser=browser, dpop_jkt=KEY.jkt)
    lab.refused(
        lab.redeem(code, "web-app", dpop=proof(lab, OTHER)), 400, "invalid_dpop_proof", "dpop_key_mismatch"
    )
    assert_bound(lab.redeem(code, "web-app", dpop=proof(lab)))


@pytest.mark.attack("DPOP-21")
def test_a_proof_is_no_client_assertion(lab: Lab) -> None:
    lab.put_client(
        Client(
            "key-app",
            "Key App",
            "acme",
            "private_key_jwt",
            Registered.ADMIN,
            grant_types=("client_credentials",),
            resources=("tickets",),
            jwks=json.dumps({"keys": [KEY.jwk | {"kid": "k"}]}),
        )
    )
    now = int(lab.clock.now())
    form = {
        "grant_type": "client_credentials",
        "client_id": "key-app",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": proof(lab, iss="key-app", sub="key-app", aud=ISSUER, exp=now + 60),
    }
    for headers in ({}, {"DPoP": form["client_assertion"]}):
        assert_refused(lab.post("/token", form, headers), 401, "invalid_client")


@pytest.mark.attack("DPOP-21")
@pytest.mark.parametrize("typ", [ABSENT, "JWT", "client-authentication+jwt"])
def test_a_client_assertion_is_no_proof(lab: Lab, typ: object) -> None:
    now = int(lab.clock.now())
    content = {"iss": "nightly", "sub": "nightly", "aud": ISSUER, "jti": "j", "iat": now, "exp": now + 60}
    plain = KEY.signed({"typ": typ, "alg": "ES256", "kid": "k"}, content)
    dressed = KEY.signed(
        {"typ": typ, "alg": "ES256", "jwk": KEY.jwk}, {**content, "htm": "POST", "htu": f"{ISSUER}/token"}
    )
    for assertion in (plain, dressed):
        lab.refused(nightly(lab, assertion), 400, "invalid_dpop_proof", "dpop_invalid")


@pytest.mark.attack("DPOP-23")
def test_introspection_tells_the_binding(lab: Lab) -> None:
    answer = lab.introspect(bound(lab)["access_token"]).json
    assert answer["active"] and answer["cnf"] == {"jkt": KEY.jkt} and answer["token_type"] == "DPoP"
    answer = lab.introspect(lab.tokens()["access_token"]).json
    assert answer["active"] and "cnf" not in answer and answer["token_type"] == "Bearer"


@pytest.mark.attack("DPOP-17")
def test_a_server_that_introspects_sees_that_another_key_is_another(lab: Lab) -> None:
    token = bound(lab)["access_token"]
    jkt = lab.introspect(token).json["cnf"]["jkt"]
    sent = {"method": "GET", "url": TICKETS, "token": token}
    assert dpop.verify(KEY.proof(TICKETS, lab.clock.now(), "GET", token), **sent).jkt == jkt
    assert dpop.verify(OTHER.proof(TICKETS, lab.clock.now(), "GET", token), **sent).jkt != jkt
    with pytest.raises(InvalidProof):
        dpop.verify(KEY.proof(TICKETS, lab.clock.now(), "GET", token + "x"), **sent)


def guarded(lab: Lab, resource: str = TICKETS) -> GuardMiddleware:
    """A server, in front of which a guard stands with this broker's keys."""

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})

    guard = Guard(
        resource=resource, issuers={ISSUER: ["acme"]}, keys=lab.broker.door_keys, clock=lab.clock.now
    )
    return GuardMiddleware(app, guard)


def call(
    guard: GuardMiddleware, scheme: str, token: str, text: str | None = None, url: str = TICKETS
) -> httpx2.Response:
    async def run() -> httpx2.Response:
        headers = {"Authorization": f"{scheme} {token}", **({} if text is None else {"DPoP": text})}
        transport = httpx2.ASGITransport(app=guard)
        async with httpx2.AsyncClient(transport=transport) as client:
            return await client.get(url, headers=headers)

    return asyncio.run(run())


@pytest.mark.attack("DPOP-17")
def test_a_bound_token_of_this_server_works_at_a_guard_with_its_own_key_alone(lab: Lab) -> None:
    token, guard = bound(lab)["access_token"], guarded(lab)
    assert call(guard, "DPoP", token, KEY.proof(TICKETS, lab.clock.now(), "GET", token)).text == "reached"
    answer = call(guard, "DPoP", token, OTHER.proof(TICKETS, lab.clock.now(), "GET", token))
    assert answer.status_code == 401
    assert 'DPoP error="invalid_token"' in answer.headers["www-authenticate"]
    assert call(guard, "Bearer", lab.tokens()["access_token"]).text == "reached"


@pytest.mark.attack("RS-20")
def test_a_token_that_another_server_got_hold_of_is_of_no_use_to_it(lab: Lab) -> None:
    """A client was talked into sending its token for the ticket desk to the operator of the notes server."""
    token, guard = bound(lab)["access_token"], guarded(lab)
    caught = KEY.proof("https://mcp2.example/mcp", lab.clock.now(), "GET", token)
    own = OTHER.proof(TICKETS, lab.clock.now(), "GET", token)
    for scheme, text in (
        ("Bearer", None),
        ("Bearer", caught),
        ("DPoP", None),
        ("DPoP", caught),
        ("DPoP", own),
    ):
        assert call(guard, scheme, token, text).status_code == 401
    for mine in ({}, {"dpop": proof(lab, OTHER)}):
        refused = lab.exchange(token, "notes-server", **mine)
        lab.refused(refused, 400, "invalid_request", "subject_token_foreign")
    assert call(guard, "DPoP", token, KEY.proof(TICKETS, lab.clock.now(), "GET", token)).text == "reached"


@pytest.mark.attack("EXCH-25")
@pytest.mark.parametrize("demands", [False, True])
def test_a_guard_with_a_key_of_its_own_carries_the_binding_downstream(
    make_lab: Callable[..., Lab], demands: bool
) -> None:
    """From the client's key to the server's: at each step only its holder can use the token."""
    lab = make_lab(dpop_nonces=demands)

    def token_endpoint(request: httpx2.Request) -> httpx2.Response:
        headers = {name: request.headers[name] for name in ("authorization", "dpop")}
        answer = lab.post(request.url.path, request.content, headers)
        return httpx2.Response(answer.status_code, headers=list(answer.headers), content=answer.data)

    nonce = nightly(lab, "a.b.c").headers.get("DPoP-Nonce", ABSENT)
    token = lab.redeem(lab.code(), dpop=proof(lab, nonce=nonce)).json["access_token"]
    guard = Guard(
        resource=TICKETS,
        issuers={ISSUER: ["acme"]},
        keys=lab.broker.door_keys,
        clock=lab.clock.now,
        client_id="tickets-server",
        client_secret=SECRETS["tickets-server"],
        http=httpx2.Client(transport=httpx2.MockTransport(token_endpoint)),
        dpop_key=OTHER.key,
    )
    sent = Sent("GET", TICKETS, "dpop", (KEY.proof(TICKETS, lab.clock.now(), "GET", token),))
    with guard.calling(guard.verify(token, sent), token):
        further = guard.exchange_sync(resource=NOTES)
    assert claims(further)["cnf"] == {"jkt": OTHER.jkt}
    desk = guarded(lab, NOTES)
    header = guard.dpop_proof(method="GET", url=NOTES, token=further)
    assert call(desk, "DPoP", further, header, NOTES).text == "reached"
    assert (
        call(desk, "DPoP", further, KEY.proof(NOTES, lab.clock.now(), "GET", further), NOTES).status_code
        == 401
    )


def test_a_client_bound_to_its_certificate_sends_no_proof(lab: Lab) -> None:
    registered(lab, "nightly", certificate_bound=True)
    lab.refused(nightly(lab, proof(lab)), 400, "invalid_dpop_proof", "dpop_invalid")


def test_what_strangers_do_with_proofs_is_counted_not_recorded_one_by_one(lab: Lab) -> None:
    """Anybody can name a public client."""
    for _ in range(30):
        assert_refused(lab.refresh("mcpb_rt_x", dpop="abc"), 400, "invalid_dpop_proof")
    assert len(lab.facts("token.refused")) == 10


def test_a_page_may_send_proofs_and_read_nonces(lab: Lab) -> None:
    origin = "https://client.example"
    asked = lab.http().options("/token", base_url=ISSUER, headers={"Origin": origin})
    assert "dpop" in asked.headers["Access-Control-Allow-Headers"]
    answer = lab.post("/token", {"grant_type": "refresh_token"}, {"Origin": origin, "DPoP": "abc"})
    assert "DPoP-Nonce" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.requirement("EXT-DPOP-01")
def test_discovery_says_which_algorithms_proofs_may_use(lab: Lab) -> None:
    for path in ("oauth-authorization-server", "openid-configuration", "oauth-authorization-server/t/acme"):
        document = lab.get(f"/.well-known/{path}").json
        assert document["dpop_signing_alg_values_supported"] == ["ES256", "Ed25519", "EdDSA", "PS256"]
