"""Clients that sign assertions, under attack: the CLAUTH cases about `private_key_jwt`."""

import base64
import hmac
import itertools
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import jwt
import pytest
import redis
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.protocol import jws
from tests.assertions import GRANT, JWT_BEARER, KeyHost, Signer
from tests.lab import ACME, GLOBEX, ISSUER, SECRETS, Lab, assert_refused, basic, claims
from tests.proofs import ABSENT, Holder, base64url

_sources = itertools.count()


@pytest.fixture
def signer(lab: Lab) -> Signer:
    return Signer(lab).registered()


@pytest.fixture
def host() -> Iterator[KeyHost]:
    found = KeyHost()
    yield found
    found.close()


def refuses(signer: Signer, assertion: str, detail: str | None = None, **more: str) -> None:
    """401 for this assertion, recorded as an invalid one (`detail` says what of it), and nothing happens."""
    lab = signer.lab
    before = lab.state()
    # From somewhere else each time: the limit on failures is not what is tried.
    answer = signer.asks(assertion, source=f"198.51.100.{next(_sources) % 250}", **more)
    record = lab.refused(answer, 401, "invalid_client", "client_assertion_invalid")
    if detail is not None:
        assert str(record["detail"]).endswith(f": {detail}"), record
    assert lab.state() == before


@pytest.mark.attack("CLAUTH-05")
def test_a_client_registered_for_keys_may_use_nothing_else(lab: Lab, signer: Signer) -> None:
    # As if a secret had been left in the table from the time before.
    lab.sql(
        "INSERT INTO client_secret (client_id, hash, tenant, expires_at)"
        " SELECT 'signer', hash, tenant, expires_at FROM client_secret WHERE client_id = 'nightly'"
    )
    before = lab.state()
    secret = SECRETS["nightly"]
    posted = {**GRANT, "client_id": "signer", "client_secret": secret}
    for answer in (
        lab.post("/token", GRANT, basic("signer", secret)),
        lab.post("/token", posted),
        lab.post("/token", {**GRANT, "client_id": "signer"}),
    ):
        lab.refused(answer, 401, "invalid_client", "client_method_mismatch")
    assert lab.state() == before
    assert signer.asks().status_code == 200


@pytest.mark.attack("CLAUTH-05")
def test_a_client_registered_for_a_secret_may_not_sign_though_it_has_keys(lab: Lab) -> None:
    signer = Signer(lab, "nightly")
    lab.put_client(
        replace(lab.client("nightly"), jwks=json.dumps({"keys": [signer.jwk()]})), SECRETS["nightly"]
    )
    lab.refused(signer.asks(), 401, "invalid_client", "client_method_mismatch")
    assert lab.client_credentials("nightly").status_code == 200


@pytest.mark.attack("CLAUTH-15")
@pytest.mark.parametrize(
    ("times", "detail"),
    [
        ({"exp": ABSENT}, "claims"),
        ({"exp": -300}, "expired"),
        ({"exp": -11}, "expired"),
        ({"exp": 86400}, "exp"),
        ({"exp": 611}, "exp"),
        ({"iat": 3600}, "not_yet_valid"),
        ({"nbf": 60}, "not_yet_valid"),
        ({"nbf": 11}, "not_yet_valid"),
    ],
)
@pytest.mark.requirement("EXT-CC-05")
def test_an_assertion_outside_of_its_time_is_refused(
    signer: Signer, times: dict[str, object], detail: str
) -> None:
    now = signer.lab.clock.now()
    moved = {name: value if value is ABSENT else now + float(str(value)) for name, value in times.items()}
    refuses(signer, signer.assertion(**moved), detail)
    assert signer.asks().status_code == 200


@pytest.mark.attack("CLAUTH-15")
@pytest.mark.parametrize("text", ['"1900000000"', "true", "1e400", "null", "[]", "-1", "NaN"])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_of_an_assertion_that_is_no_number_is_refused(signer: Signer, name: str, text: str) -> None:
    mark = 1234567890
    head, body, _ = signer.assertion(**{name: mark}).split(".")
    payload = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode().replace(str(mark), text)
    signed = f"{head}.{base64url(payload.encode())}"
    key = signer.holder.key
    refuses(signer, f"{signed}.{base64url(_es256(key, signed.encode()))}", client_id="signer")
    assert signer.asks().status_code == 200


@pytest.mark.attack("CLAUTH-15")
@pytest.mark.parametrize("times", [{"nbf": 8}, {"iat": 8}, {"exp": -8}, {"exp": 600}, {"iat": -86400}])
def test_the_clock_of_a_client_may_be_a_little_off(signer: Signer, times: dict[str, int]) -> None:
    now = int(signer.lab.clock.now())
    assertion = signer.assertion(**{name: now + value for name, value in times.items()})
    assert signer.asks(assertion).status_code == 200


@pytest.mark.attack("FAULT-23")
@pytest.mark.parametrize(("ahead", "detail"), [(90, "expired"), (-90, "not_yet_valid")])
def test_an_assertion_at_a_process_whose_clock_is_wrong_is_refused_with_a_reason(
    signer: Signer, ahead: int, detail: str
) -> None:
    now = int(signer.lab.clock.now())
    assertion = signer.assertion(nbf=now)
    signer.lab.clock.advance(ahead)  # from here this process reads it; the client's clock stands still
    refuses(signer, assertion, detail)
    signer.lab.clock.advance(-ahead)
    assert signer.asks(assertion).status_code == 200


@pytest.mark.attack("CLAUTH-16")
@pytest.mark.parametrize(
    "audience",
    [
        f"{ISSUER}/token",
        f"{ISSUER}/par",
        [ISSUER],
        [ISSUER, "https://other.example"],
        f"{ISSUER}/",
        ISSUER.upper(),
        ACME,
        GLOBEX,
        "",
        {"iss": ISSUER},
        None,
        ABSENT,
    ],
)
def test_the_audience_of_an_assertion_is_the_issuer_alone(signer: Signer, audience: object) -> None:
    refuses(signer, signer.assertion(aud=audience), "aud")
    assert signer.asks().status_code == 200


@pytest.mark.attack("CLAUTH-16")
def test_each_door_is_an_audience_of_its_own(signer: Signer) -> None:
    refuses(signer, signer.assertion(aud=ISSUER), "aud", door="/t/acme")
    assert signer.asks(signer.assertion(aud=ACME), door="/t/acme").status_code == 200


@pytest.mark.attack("CLAUTH-17")
@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ({"iss": "nightly"}, "iss"),
        ({"iss": ABSENT}, "iss"),
        ({"iss": ["signer"]}, "iss"),
        ({"iss": "SIGNER"}, "iss"),
    ],
)
def test_the_issuer_of_an_assertion_is_the_client(
    signer: Signer, said: dict[str, object], detail: str
) -> None:
    refuses(signer, signer.assertion(**said), detail)
    assert signer.asks().status_code == 200


@pytest.mark.attack("CLAUTH-17")
@pytest.mark.parametrize("subject", [ABSENT, None, 7, "", "sig\0ner", "x" * 600])
@pytest.mark.parametrize("named", [True, False])
def test_an_assertion_without_a_subject_is_nobodys(signer: Signer, subject: object, named: bool) -> None:
    lab = signer.lab
    before = lab.state()
    more = {"client_id": "signer"} if named else {}
    answer = signer.asks(signer.assertion(sub=subject), **more)
    lab.refused(answer, 401, "invalid_client", "client_assertion_invalid" if named else "client_unknown")
    assert lab.state() == before
    assert signer.asks(**more).status_code == 200


@pytest.mark.attack("CLAUTH-17")
def test_another_clients_key_signs_for_nobody_else(lab: Lab, signer: Signer) -> None:
    other = Signer(lab, "other-signer").registered()
    forged = other.assertion(iss="signer", sub="signer")
    refuses(signer, forged, "signature")
    assert other.asks().status_code == 200
    assert signer.asks().status_code == 200


@pytest.mark.attack("CLAUTH-17")
def test_the_client_id_in_the_form_is_the_one_that_signed(lab: Lab, signer: Signer) -> None:
    Signer(lab, "other-signer").registered()
    for named in ("other-signer", "nightly", "nobody", "SIGNER"):
        refuses(signer, signer.assertion(), "client_id", client_id=named)
    assert signer.asks(client_id="signer").status_code == 200


@pytest.mark.attack("CLAUTH-18")
def test_an_assertion_works_once(lab: Lab, signer: Signer) -> None:
    assertion = signer.assertion()
    assert signer.asks(assertion).status_code == 200
    issued = len(lab.facts("token.issued"))
    record = lab.refused(signer.asks(assertion), 401, "invalid_client", "client_assertion_replayed")
    assert record["client"] == "signer"
    for endpoint in ("introspect", "revoke"):
        answer = lab.post(f"/{endpoint}", {**signer.form(assertion), "token": "x"})
        lab.refused(answer, 401, "invalid_client", "client_assertion_replayed")
    assert len(lab.facts("token.issued")) == issued


@pytest.mark.attack("CLAUTH-18")
@pytest.mark.parametrize("endpoint", ["introspect", "revoke"])
def test_an_assertion_used_at_another_endpoint_is_used(lab: Lab, signer: Signer, endpoint: str) -> None:
    assertion = signer.assertion()
    assert lab.post(f"/{endpoint}", {**signer.form(assertion), "token": "x"}).status_code == 200
    lab.refused(signer.asks(assertion), 401, "invalid_client", "client_assertion_replayed")
    answer = lab.post(f"/{endpoint}", {**signer.form(assertion), "token": "x"})
    lab.refused(answer, 401, "invalid_client", "client_assertion_replayed")


@pytest.mark.attack("CLAUTH-18")
def test_an_assertion_is_spent_at_every_replica_and_after_a_restart(lab: Lab, signer: Signer) -> None:
    assertion = signer.assertion(exp=lab.clock.now() + 600)
    assert signer.asks(assertion).status_code == 200
    replica = lab.replica()
    try:
        elsewhere = Signer(replica, holder=signer.holder)
        replica.refused(elsewhere.asks(assertion), 401, "invalid_client", "client_assertion_replayed")
        assert elsewhere.asks().status_code == 200
    finally:
        replica.broker.close()
    again = lab.restarted()
    try:
        again.broker.tend()
        later = Signer(again, holder=signer.holder)
        again.refused(later.asks(assertion), 401, "invalid_client", "client_assertion_replayed")
        again.clock.advance(599 + 9)  # its last second, with the leeway
        again.broker.tend()
        again.refused(later.asks(assertion), 401, "invalid_client", "client_assertion_replayed")
        again.clock.advance(2)
        again.broker.tend()
        again.refused(later.asks(assertion), 401, "invalid_client", "client_assertion_invalid")
        again.clock.advance(86400)
        again.broker.tend()
        assert again.rows("spent") == 0
    finally:
        again.broker.close()


@pytest.mark.attack("CLAUTH-18")
def test_an_assertion_is_spent_whatever_redis_forgot(
    make_lab: Callable[..., Lab], redis_url: str, counters: dict[str, object]
) -> None:
    lab = make_lab() if counters else make_lab(redis_url=redis_url, redis_prefix="clauth18:")
    signer = Signer(lab).registered()
    assertion = signer.assertion()
    lab.refused(signer.asks(signer.assertion(aud="x")), 401, "invalid_client", "client_assertion_invalid")
    assert signer.asks(assertion).status_code == 200
    with redis.Redis.from_url(redis_url) as operator:
        assert operator.delete(*operator.scan_iter(f"{lab.broker.settings.redis_prefix}*")) > 0
    lab.refused(signer.asks(assertion), 401, "invalid_client", "client_assertion_replayed")


@pytest.mark.attack("CLAUTH-18")
@pytest.mark.parametrize("jti", [ABSENT, None, "", 7, ["a"], "x" * 257])
def test_an_assertion_needs_an_id(signer: Signer, jti: object) -> None:
    refuses(signer, signer.assertion(jti=jti), "jti")
    assert signer.asks(signer.assertion(jti="x" * 256)).status_code == 200


@pytest.mark.attack("CLAUTH-18")
def test_two_clients_may_choose_the_same_id(lab: Lab, signer: Signer) -> None:
    other = Signer(lab, "other-signer").registered()
    assert signer.asks(signer.assertion(jti="same")).status_code == 200
    assert other.asks(other.assertion(jti="same")).status_code == 200
    lab.refused(signer.asks(signer.assertion(jti="same")), 401, "invalid_client", "client_assertion_replayed")


@pytest.mark.attack("CLAUTH-18")
def test_a_request_refused_for_another_reason_uses_nothing_up(lab: Lab, signer: Signer) -> None:
    assertion, before = signer.assertion(), lab.state()
    wrong = signer.asks(assertion, scope="no-such-scope")
    assert_refused(wrong, 400, "invalid_scope")
    code = {"grant_type": "authorization_code", "code": "no-such-code", "redirect_uri": "https://x.example"}
    assert_refused(
        lab.post("/token", {**signer.form(assertion), **code, "code_verifier": "v" * 43}),
        400,
        "invalid_grant",
    )
    assert lab.state() == before
    assert signer.asks(assertion).status_code == 200


@pytest.mark.attack("CLAUTH-19")
@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_the_algorithm_of_an_assertion_is_the_registered_one(lab: Lab, alg: str) -> None:
    signer = Signer(lab, holder=Holder(alg)).registered()
    for wrong in ("none", "None", "", None, ABSENT, "ES256K", "HS256", "RS512", 7, [alg]):
        refuses(signer, signer.assertion({"alg": wrong}), "algorithm")
        unsigned = signer.assertion({"alg": wrong})
        refuses(signer, unsigned[: unsigned.rindex(".") + 1])
    another = Signer(lab, "signer", Holder("RS256" if alg == "ES256" else "ES256"))
    refuses(signer, another.assertion())
    assert signer.asks().status_code == 200


@pytest.mark.attack("CLAUTH-19")
@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_the_public_key_of_a_client_is_no_shared_secret(lab: Lab, alg: str) -> None:
    signer = Signer(lab, holder=Holder(alg)).registered()
    public = signer.holder.key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.rstrip(), der, json.dumps(signer.jwk()).encode(), b""):
        for kid in ("first", ABSENT):
            signed = signer.assertion({"alg": "HS256", "kid": kid}).rpartition(".")[0]
            mac = hmac.digest(secret, signed.encode(), "sha256")
            refuses(signer, f"{signed}.{base64url(mac)}", "algorithm")
    assert signer.asks().status_code == 200


@pytest.mark.attack("CLAUTH-19")
def test_an_algorithm_that_was_registered_is_the_only_one(lab: Lab) -> None:
    """One RSA key without `alg` can verify both algorithms; the registration says which of them counts."""
    signer = Signer(lab, holder=Holder("PS256"))
    bare = {name: value for name, value in signer.jwk().items() if name != "alg"}
    signer.registered([bare], assertion_alg="PS256")
    other = Signer(lab, holder=Holder("RS256"))
    other.holder.key = signer.holder.key
    refuses(signer, other.assertion(), "algorithm")
    assert signer.asks().status_code == 200


@pytest.mark.attack("CLAUTH-21")
def test_keys_that_an_assertion_brings_along_are_ignored(lab: Lab, signer: Signer) -> None:
    mine = Holder()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        attacker = Signer(lab, "signer", mine)
        for header in (
            {"jwk": mine.jwk},
            {"jwk": mine.jwk, "kid": ABSENT},
            {"x5c": ["AA=="], "x5t#S256": "AA"},
            *({name: f"{s}://127.0.0.1:{port}/k"} for name in ("jku", "x5u") for s in ("http", "https")),
            {"jku": f"http://127.0.0.1:{port}/k", "kid": "mine"},
        ):
            refuses(signer, attacker.assertion(header))
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert signer.asks(signer.assertion({"jwk": mine.jwk, "jku": "https://evil.example"})).status_code == 200


@pytest.mark.attack("CLAUTH-22")
def test_a_flood_of_unknown_kids_fetches_the_keys_once(lab: Lab, host: KeyHost) -> None:
    host.reached_from(lab)
    signer = _at(lab, host)
    assert signer.asks().status_code == 200
    assert host.seen == ["/jwks.json"]
    lab.clock.advance(31)  # within its freshness, past the cool-down
    for number in range(100):
        _refused_from(signer, signer.assertion({"kid": f"unknown-{number}"}), number)
    assert len(host.seen) == 2
    lab.clock.advance(29)
    _refused_from(signer, signer.assertion({"kid": "unknown"}), 200)
    assert len(host.seen) == 2
    lab.clock.advance(1)
    _refused_from(signer, signer.assertion({"kid": "unknown"}), 201)
    assert len(host.seen) == 3
    assert signer.asks().status_code == 200


@pytest.mark.attack("CLAUTH-22")
def test_known_keys_verify_while_their_host_is_away(lab: Lab, host: KeyHost) -> None:
    host.reached_from(lab)
    signer = _at(lab, host)
    assert signer.asks().status_code == 200
    for status, body in ((503, b""), (429, b"{}"), (200, b"<html>")):
        host.status, host.body = status, body
        lab.clock.advance(700)  # neither fresh nor within the cool-down
        asked = len(host.seen)
        for number in range(20):
            _refused_from(signer, signer.assertion({"kid": f"unknown-{number}"}), number)
            assert signer.asks().status_code == 200
        assert len(host.seen) == asked + 1
        host.publish(signer.jwk())
        lab.clock.advance(31)
        assert signer.asks().status_code == 200
    host.status = 503
    lab.clock.advance(10_000)  # longer than old keys are believed
    lab.refused(signer.asks(), 503, "temporarily_unavailable", "client_keys_unavailable")


@pytest.mark.parametrize(("status", "body"), [(404, b"{}"), (410, b""), (200, b'{"keys": []}')])
def test_a_key_that_its_client_took_back_is_dead_within_minutes(
    lab: Lab, host: KeyHost, status: int, body: bytes
) -> None:
    host.reached_from(lab)
    signer = _at(lab, host)
    assert signer.asks().status_code == 200
    host.status, host.body = status, body
    lab.clock.advance(601)
    assert signer.asks().status_code == 401
    host.status = 503
    lab.clock.advance(31)
    assert signer.asks().status_code in (401, 503), "nor does it come back when the host goes away"


@pytest.mark.attack("CLAUTH-22")
def test_a_host_that_never_answered_is_not_asked_at_each_attempt(lab: Lab, host: KeyHost) -> None:
    host.reached_from(lab)
    signer = _at(lab, host)
    host.status = 500
    for number in range(40):
        answer = signer.asks(source=f"198.51.100.{number}")
        lab.refused(answer, 503, "temporarily_unavailable", "client_keys_unavailable")
        assert answer.headers["Retry-After"]
    assert len(host.seen) == 1
    host.publish(signer.jwk())
    lab.clock.advance(31)
    assert signer.asks().status_code == 200


def test_a_key_that_was_added_is_found_and_one_that_was_removed_dies(lab: Lab, host: KeyHost) -> None:
    host.reached_from(lab)
    old = _at(lab, host)
    new = Signer(lab, kid="second")
    assert old.asks().status_code == 200
    host.publish(new.jwk())
    lab.clock.advance(31)
    assert new.asks().status_code == 200
    lab.refused(old.asks(), 401, "invalid_client", "client_assertion_invalid")
    reused = Signer(lab, kid="second")  # another key under a name that is known
    host.publish(reused.jwk())
    lab.clock.advance(31)
    assert reused.asks().status_code == 200


@pytest.mark.attack("CLAUTH-22")
def test_keys_are_fetched_over_https_from_the_public_internet_alone(lab: Lab, host: KeyHost) -> None:
    signer = _at(lab, host)  # what production may reach, it does not
    lab.refused(signer.asks(), 401, "invalid_client", "client_keys_unavailable")
    assert host.seen == []


@pytest.mark.attack("CLAUTH-24")
@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        (None, 400, "invalid_request"),
        ("", 400, "invalid_request"),
        ("urn:ietf:params:oauth:client-assertion-type:saml2-bearer", 401, "invalid_client"),
        (JWT_BEARER.upper(), 401, "invalid_client"),
        (JWT_BEARER.title(), 401, "invalid_client"),
        (JWT_BEARER + " ", 401, "invalid_client"),
        ("urn:ietf:params:oauth:grant-type:jwt-bearer", 401, "invalid_client"),
    ],
)
def test_only_the_type_of_jwt_assertions_is_understood(
    signer: Signer, kind: str | None, status: int, error: str
) -> None:
    lab, before = signer.lab, signer.lab.state()
    form = {**signer.form(), "client_assertion_type": kind}
    sent = {name: value for name, value in form.items() if value is not None}
    for more in ({}, {"client_id": "signer"}):
        assert_refused(lab.post("/token", {**sent, **more}), status, error)
    alone = {**GRANT, "client_id": "desk-app", "client_assertion_type": JWT_BEARER}
    assert_refused(lab.post("/token", alone), 400, "invalid_request")
    assert lab.state() == before
    assert lab.post("/token", {**form, "client_assertion_type": JWT_BEARER}).status_code == 200


@pytest.mark.attack("CLAUTH-25")
@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": ["x"], "x": 1},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
        {"crit": "exp"},
        {"crit": None},
        {"crit": {}},
    ],
)
def test_an_assertion_with_an_extension_is_refused(signer: Signer, header: dict[str, object]) -> None:
    refuses(signer, signer.assertion(header), "malformed")
    assert signer.asks().status_code == 200


@pytest.mark.attack("JOSE-14")
@pytest.mark.parametrize(
    "typ", ["at+jwt", "dpop+jwt", "application/at+jwt", "logout+jwt", "resource-metadata+jwt", "", 7, None]
)
def test_a_token_of_another_type_is_no_assertion(signer: Signer, typ: object) -> None:
    refuses(signer, signer.assertion({"typ": typ}), "type")
    good_types = ("JWT", "jwt", "oauth-client-auth+jwt", "client-authentication+jwt")
    for good in (*good_types, "application/client-authentication+jwt", ABSENT):
        assert signer.asks(signer.assertion({"typ": good})).status_code == 200


@pytest.mark.attack("JOSE-14")
def test_what_the_server_signs_is_no_assertion_and_an_assertion_is_no_token(lab: Lab, signer: Signer) -> None:
    token = signer.asks().json["access_token"]
    made = {**claims(token), "iss": "signer", "sub": "signer", "aud": ISSUER, "jti": "own"}
    refuses(signer, lab.signed(made, typ="JWT"))
    assertion = signer.assertion()
    assert not lab.active(assertion)
    assert_refused(lab.exchange(assertion), 400, "invalid_request")
    assert signer.asks(assertion).status_code == 200


def test_an_unknown_client_is_refused_in_the_same_words_and_with_the_same_work(
    lab: Lab, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = Signer(lab, "stranger")
    plain = Signer(lab, "nightly")
    forger = Signer(lab, "signer")
    work: list[str] = []
    signed = jws._signed

    def counted(parts: jws.Parts, key: jws.VerificationKey) -> bool:
        work.append(key.alg)
        return signed(parts, key)

    monkeypatch.setattr(jws, "_signed", counted)
    answers = []
    for one in (forger, stranger, plain):
        answers.append(one.asks())
        assert work == ["ES256"], one.client_id
        work.clear()
    assert len({answer.get_data() for answer in answers}) == 1
    for answer in answers:
        assert_refused(answer, 401, "invalid_client")


def test_guessing_with_assertions_is_slowed(lab: Lab, signer: Signer) -> None:
    forger = Signer(lab, "signer")
    limit = lab.broker.settings.failures_per_minute
    for _ in range(limit):
        assert_refused(forger.asks(source="198.51.100.9"), 401, "invalid_client")
    assert_refused(signer.asks(source="198.51.100.9"), 429, "temporarily_unavailable")
    assert signer.asks(source="198.51.100.10").status_code == 200


def _at(lab: Lab, host: KeyHost) -> Signer:
    """A client whose key is at the host."""
    signer = Signer(lab)
    host.publish(signer.jwk())
    return signer.registered(jwks_uri=host.url)


def _refused_from(signer: Signer, assertion: str, number: int) -> None:
    answer = signer.asks(assertion, source=f"198.51.{100 + number // 200}.{number % 200}")
    signer.lab.refused(answer, 401, "invalid_client", "client_assertion_invalid")


def _es256(key: ec.EllipticCurvePrivateKey, text: bytes) -> bytes:
    return bytes(jwt.PyJWS().get_algorithm_by_name("ES256").sign(text, key))
