"""Client authentication under attack: the CLAUTH cases about secrets, and about keys when they are registered."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from broker.admin.model import EstateProblems
from broker.cli.local import credentials_of, origin_of
from broker.identity.clients.clients import secret_hash
from broker.identity.clients.model import Client, Registered
from tests.lab import CALLBACK, SECRETS, TICKETS, Lab, assert_refused, basic, claims
from tests.proofs import Holder, base64url

GRANT = {"grant_type": "client_credentials"}


@pytest.mark.attack("CLAUTH-01")
@pytest.mark.parametrize("client_id", ["nightly", "web-app", "post-app"])
def test_a_confidential_client_without_credentials_is_refused(lab: Lab, client_id: str) -> None:
    before = lab.state()
    record = lab.refused(
        lab.post("/token", {**GRANT, "client_id": client_id}), 401, "invalid_client", "client_method_mismatch"
    )
    assert record["client"] == client_id
    lab.refused(
        lab.post("/token", {**GRANT, "client_id": client_id, "client_secret": ""}),
        401,
        "invalid_client",
        "client_method_mismatch",
    )
    lab.refused(lab.post("/token", GRANT), 401, "invalid_client", "client_unknown")
    assert lab.state() == before
    assert lab.client_credentials("nightly").status_code == 200


@pytest.mark.attack("CLAUTH-01")
def test_an_unknown_client_is_refused_in_the_same_words_as_a_wrong_secret(lab: Lab) -> None:
    wrong = lab.post("/token", GRANT, basic("nightly", "x" * 43))
    unknown = lab.post("/token", GRANT, basic("nobody", "x" * 43))
    foreign = lab.post("/t/globex/token", GRANT, basic("nightly"))
    for answer, reason in zip(
        (wrong, unknown, foreign),
        ("client_authentication_failed", "client_unknown", "client_unknown"),
        strict=True,
    ):
        assert_refused(answer, 401, "invalid_client")
        assert answer.get_data() == wrong.get_data()
        assert answer.headers["WWW-Authenticate"] == wrong.headers["WWW-Authenticate"]
        assert reason in [record["reason"] for record in lab.facts("token.refused")]
    assert lab.client_credentials().status_code == 200


@pytest.mark.attack("CLAUTH-04")
@pytest.mark.parametrize("endpoint", ["token", "introspect", "revoke"])
def test_the_authenticated_client_and_the_one_named_are_one(lab: Lab, endpoint: str) -> None:
    tokens = lab.tokens("web-app")
    forms = {
        "token": {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
        "introspect": {"token": tokens["access_token"]},
        "revoke": {"token": tokens["refresh_token"]},
    }
    before = lab.state()
    attacker = basic("notes-server" if endpoint == "introspect" else "other-app")
    victim = "tickets-server" if endpoint == "introspect" else "web-app"
    answer = lab.post(f"/{endpoint}", {**forms[endpoint], "client_id": victim}, attacker)
    lab.refused(answer, 400, "invalid_request", "client_authentication_repeated")
    assert lab.state() == before
    assert lab.active(tokens["access_token"])
    same = lab.post(f"/{endpoint}", {**forms[endpoint], "client_id": victim}, basic(victim))
    assert same.status_code == 200


@pytest.mark.attack("CLAUTH-08")
@pytest.mark.parametrize("prefix", ["", "sha256:", "$sha256$"])
def test_the_stored_digest_of_a_secret_is_not_the_secret(lab: Lab, prefix: str) -> None:
    digest = prefix + secret_hash(SECRETS["nightly"])
    lab.refused(
        lab.post("/token", GRANT, basic("nightly", digest)),
        401,
        "invalid_client",
        "client_authentication_failed",
    )
    posted = {**GRANT, "client_id": "post-app", "client_secret": prefix + secret_hash(SECRETS["post-app"])}
    lab.refused(lab.post("/token", posted), 401, "invalid_client", "client_authentication_failed")
    assert not lab.facts("token.issued")
    assert lab.client_credentials().status_code == 200


@pytest.mark.attack("CLAUTH-09")
def test_every_byte_of_a_secret_counts(lab: Lab) -> None:
    secret = "mcpb_cs_" + "aB3-" * 18  # 80 bytes
    assert len(secret) == 80
    for name, method in (("long-basic", "client_secret_basic"), ("long-post", "client_secret_post")):
        lab.put_client(
            Client(
                name,
                name,
                "acme",
                method,
                Registered.ADMIN,
                (),
                ("client_credentials",),
                resources=("tickets",),
            ),
            secret,
        )
    before = lab.state()
    wrong = (
        secret[:72] + "12345678",
        secret[:72],
        secret[:-1],
        secret + " ",
        " " + secret,
        secret + "\n",
        secret.swapcase(),
        secret.upper(),
        secret + "a",
        secret.replace("a", "\u0430"),
    )
    for attempt in wrong:
        lab.clock.advance(30)  # below the limit on failures: this is not what is tried
        answer = lab.post("/token", GRANT, basic("long-basic", attempt))
        lab.refused(answer, 401, "invalid_client", "client_authentication_failed")
        answer = lab.post("/token", {**GRANT, "client_id": "long-post", "client_secret": attempt})
        lab.refused(answer, 401, "invalid_client", "client_authentication_failed")
    assert_refused(lab.post("/token", GRANT, basic("long-basic", secret + "\0x")), 401, "invalid_client")
    posted = {**GRANT, "client_id": "long-post", "client_secret": secret + "\0x"}
    assert_refused(lab.post("/token", posted), 400, "invalid_request")
    assert lab.state() == before
    assert lab.post("/token", GRANT, basic("long-basic", secret)).status_code == 200
    assert lab.post("/token", {**posted, "client_secret": secret}).status_code == 200


@pytest.mark.attack("CLAUTH-10")
@pytest.mark.parametrize("digest", ["", " ", "x", "rubbish", "é", "0" * 64, "*", None])
def test_a_stored_digest_that_is_missing_or_broken_matches_nothing(lab: Lab, digest: str | None) -> None:
    if digest is None:
        lab.sql("DELETE FROM client_secret WHERE client_id IN ('nightly', 'post-app')")
    else:
        lab.sql("UPDATE client_secret SET hash = ? WHERE client_id IN ('nightly', 'post-app')", digest)
    for secret in ("", "x", "é", "None", SECRETS["nightly"]):
        assert_refused(lab.post("/token", GRANT, basic("nightly", secret)), 401, "invalid_client")
    for secret in ("", "x", "é", SECRETS["post-app"]):
        posted = {**GRANT, "client_id": "post-app", "client_secret": secret}
        assert_refused(lab.post("/token", posted), 401, "invalid_client")
    assert not lab.facts("token.issued")
    lab.sql("DELETE FROM client_secret WHERE client_id = 'nightly'")
    lab.put_client(lab.client("nightly"), SECRETS["nightly"])
    assert lab.client_credentials().status_code == 200


@pytest.mark.attack("CLAUTH-13")
def test_guessing_is_slowed_for_the_guesser_and_not_for_the_client(lab: Lab) -> None:
    answers = [lab.post("/token", GRANT, basic("nightly", f"{i:043}"), "198.51.100.9") for i in range(50)]
    limit = lab.broker.settings.failures_per_minute
    for answer in answers[:limit]:
        assert_refused(answer, 401, "invalid_client")
    for answer in answers[limit:]:
        assert_refused(answer, 429, "temporarily_unavailable")
    assert_refused(
        lab.post("/token", GRANT, basic("nightly"), "198.51.100.9"), 429, "temporarily_unavailable"
    )
    assert lab.post("/token", GRANT, basic("nightly"), "203.0.113.80").status_code == 200
    lab.clock.advance(int(answers[-1].headers["Retry-After"]))
    assert lab.post("/token", GRANT, basic("nightly"), "198.51.100.9").status_code == 200
    lab.broker.tend()
    recorded = [record for record in lab.facts("token.refused") if record["source"] == "198.51.100.9"]
    counted = [record["count"] for record in lab.facts("refusals.counted")]
    assert len(recorded) + sum(counted) == 51 and len(recorded) == 10


@pytest.mark.attack("CLAUTH-28")
@pytest.mark.parametrize("how", ["switched off", "deleted"])
def test_a_client_that_is_off_or_deleted_can_do_nothing(lab: Lab, how: str) -> None:
    refresh = lab.tokens("web-app")["refresh_token"]
    token = lab.tokens()["access_token"]
    for name in ("web-app", "tickets-server", "post-app"):
        if how == "deleted":
            lab.change(lambda tx, name=name: lab.broker.clients.remove(tx, name))
        else:
            lab.switch("client", name)
    before = lab.state()
    reason = "client_off" if how == "switched off" else "client_unknown"
    attempts = (
        lambda: lab.refresh(refresh, "web-app"),
        lambda: lab.client_credentials("web-app", resource=TICKETS),
        lambda: lab.revoke(refresh, "web-app"),
        lambda: lab.introspect(token),
        lambda: lab.exchange(token),
        lambda: lab.revoke(refresh, "post-app"),
        lambda: lab.introspect(token, door="/t/acme"),
    )
    for attempt in attempts:
        lab.refused(attempt(), 401, "invalid_client", reason)
    assert lab.state() == before
    assert lab.client_credentials("nightly").status_code == 200


@pytest.mark.attack("CLAUTH-28")
def test_a_client_that_was_changed_is_judged_by_its_new_self(lab: Lab) -> None:
    assert lab.client_credentials().status_code == 200
    lab.put_client(replace(lab.client("nightly"), scopes=("customers:read",)))
    changed = lab.client_credentials()
    assert claims(changed.json["access_token"])["scope"] == "customers:read"
    lab.put_client(replace(lab.client("nightly"), method="client_secret_post"))
    lab.refused(lab.client_credentials(), 401, "invalid_client", "client_method_mismatch")


DAY = 24 * 3600


def rotated(lab: Lab, overlap: float) -> str:
    return credentials_of(lab.broker).rotate_secret("nightly", origin_of(lab.broker), overlap)


def answers(lab: Lab, *secrets: str) -> list[int]:
    return [lab.post("/token", GRANT, basic("nightly", secret)).status_code for secret in secrets]


@pytest.mark.attack("CLAUTH-14")
def test_two_secrets_overlap_and_the_older_dies(lab: Lab) -> None:
    old = SECRETS["nightly"]
    new = rotated(lab, DAY)
    assert answers(lab, old, new) == [200, 200]
    lab.clock.advance(DAY - 1)
    assert answers(lab, old, new) == [200, 200]
    lab.clock.advance(1)
    lab.refused(
        lab.post("/token", GRANT, basic("nightly", old)),
        401,
        "invalid_client",
        "client_authentication_failed",
    )
    assert answers(lab, old, new) == [401, 200]
    lab.clock.advance(365 * DAY)
    assert answers(lab, new) == [200]


@pytest.mark.attack("CLAUTH-14")
def test_of_three_secrets_two_are_valid(lab: Lab) -> None:
    first, second = SECRETS["nightly"], rotated(lab, DAY)
    third = rotated(lab, DAY)
    assert answers(lab, first, second, third) == [401, 200, 200]
    lab.clock.advance(DAY)
    assert answers(lab, first, second, third) == [401, 401, 200]
    fourth = rotated(lab, 0)
    assert answers(lab, third, fourth) == [401, 200]


@pytest.mark.attack("CLAUTH-14")
def test_a_secret_is_told_once(lab: Lab) -> None:
    new = rotated(lab, DAY)
    assert lab.facts("estate.applied")[-1]["change"]["fields"] == ["client_secret"]
    assert new.encode() not in lab.dump() and new not in json.dumps(lab.facts())
    registered = lab.register(token_endpoint_auth_method="client_secret_basic").json
    assert registered["client_secret_expires_at"] == 0
    assert registered["client_secret"].encode() not in lab.dump()


def small_order() -> Iterator[str]:
    """Every encoding of a point of edwards25519 whose order divides 8, the ones that are not canonical too."""
    p = 2**255 - 19
    eighth = int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    )
    for y in (0, 1, p - 1, p, p + 1, eighth, p - eighth):
        for sign in (0, 1):
            yield base64url((y | sign << 255).to_bytes(32, "little"))


def rsa_jwk(modulus: int, exponent: int = 65537) -> dict[str, object]:
    n, e = (base64url(number.to_bytes(-(-number.bit_length() // 8))) for number in (modulus, exponent))
    return {"kty": "RSA", "n": n, "e": e}


EC, RSA = Holder().jwk, Holder("RS256").jwk
MODULUS = Holder("RS256").key.public_key().public_numbers().n
WEAK: dict[str, list[dict[str, object]]] = {
    "rsa 1024": [rsa_jwk(rsa.generate_private_key(65537, 1024).public_key().public_numbers().n)],
    "rsa 2047": [rsa_jwk(MODULUS >> 1 | 1)],
    "rsa exponent 1": [rsa_jwk(MODULUS, 1)],
    "rsa even exponent": [rsa_jwk(MODULUS, 65536)],
    "rsa even modulus": [rsa_jwk(MODULUS - 1)],
    "off the curve": [{**EC, "y": EC["x"]}],
    "at infinity": [{**EC, "x": base64url(bytes(32)), "y": base64url(bytes(32))}],
    "another curve": [Holder("ES384", ec.SECP384R1).jwk],
    "no ed25519 point": [{"kty": "OKP", "crv": "Ed25519", "x": base64url((2).to_bytes(32, "little"))}],
    "x25519": [{"kty": "OKP", "crv": "X25519", "x": base64url((9).to_bytes(32, "little"))}],
    "oct": [{"kty": "oct", "k": base64url(bytes(32))}],
    "oct among others": [EC, {"kty": "oct", "k": base64url(bytes(32)), "kid": "o"}],
    **{f"member {name}": [{**RSA, name: "AA"}] for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")},
    "200 keys": [{**EC, "kid": str(number)} for number in range(200)],
    "21 keys": [{**EC, "kid": str(number)} for number in range(21)],
    "no key": [],
    "one kid twice": [{**EC, "kid": "a"}, {**RSA, "kid": "a"}],
    "a kid that is a number": [{**EC, "kid": 7}],
    "for encryption": [{**EC, "use": "enc"}],
    "to sign with": [{**EC, "key_ops": ["sign"]}],
    "a shared algorithm": [{**EC, "alg": "HS256"}],
    "an algorithm that is not offered": [{**Holder("EdDSA").jwk, "alg": "Ed25519"}],
    "an algorithm of another kind": [{**EC, "alg": "RS256"}],
    **{
        f"small order {number}": [{"kty": "OKP", "crv": "Ed25519", "x": x}]
        for number, x in enumerate(small_order())
    },
}
ESTATE = """
clients:
  - {client_id: new-app, type: confidential, token_endpoint_auth_method: private_key_jwt, jwks: %s,
     grant_types: [client_credentials]}
"""


@pytest.mark.attack("CLAUTH-27")
@pytest.mark.parametrize("which", WEAK)
def test_weak_wrong_and_private_keys_cannot_be_registered(lab: Lab, which: str) -> None:
    jwks = {"keys": WEAK[which]}
    before = lab.state()
    answer = lab.register(token_endpoint_auth_method="private_key_jwt", jwks=jwks)
    assert_refused(answer, 400, "invalid_client_metadata")
    with pytest.raises(EstateProblems, match=r"clients\[0\]\.jwks: "):
        lab.apply(ESTATE % json.dumps(jwks))
    assert lab.state() == before


@pytest.mark.attack("CLAUTH-27")
@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256", "PS256"])
def test_good_keys_can_be_registered(lab: Lab, alg: str) -> None:
    jwk = {**Holder(alg).jwk, "kid": "first", "alg": alg, "use": "sig", "key_ops": ["verify"]}
    jwks = {"keys": [jwk, {**EC, "kid": "second"}, RSA]}
    lab.apply(ESTATE % json.dumps(jwks))
    kept = json.loads(lab.client("new-app").jwks or "")["keys"]
    assert [key.get("kid") for key in kept] == ["first", "second", None]
    answer = lab.register(token_endpoint_auth_method="private_key_jwt", jwks=jwks, redirect_uris=[CALLBACK])
    assert answer.status_code == 201, answer.json
    assert "client_secret" not in answer.json


@pytest.mark.attack("CLAUTH-27")
def test_a_key_set_that_is_none_cannot_be_registered(lab: Lab) -> None:
    for jwks in ([], "x", 7, {}, {"keys": {}}, {"keys": [None]}, {"keys": ["x"]}, {"keys": None}):
        answer = lab.register(token_endpoint_auth_method="private_key_jwt", jwks=jwks)
        assert_refused(answer, 400, "invalid_client_metadata")
    answer = lab.register(token_endpoint_auth_method="private_key_jwt")
    assert_refused(answer, 400, "invalid_client_metadata")
