import base64
import hmac
import json
from collections.abc import Callable, Iterator

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from broker.protocol import jws
from broker.protocol.jws import ALGORITHMS, Expired, InvalidToken, Reason, UnknownKey

NOW = 1_800_000_000.0
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
RSA_KEY = rsa.generate_private_key(65537, 2048)
PRIVATE = {"ES256": EC_KEY, "EdDSA": ED_KEY, "RS256": RSA_KEY, "PS256": RSA_KEY}


def public_jwk(alg: str, **members: object) -> dict[str, object]:
    maker = {"ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}.get(alg, RSAAlgorithm)
    jwk: dict[str, object] = maker.to_jwk(PRIVATE[alg].public_key(), as_dict=True)
    return {**jwk, "kid": alg, "alg": alg, "use": "sig", "key_ops": ["verify"], **members}


KEYS = jws.keys_from_jwks({"keys": [public_jwk(alg) for alg in ALGORITHMS]})


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def es256(signing_input: bytes) -> bytes:
    r, s = decode_dss_signature(EC_KEY.sign(signing_input, ec.ECDSA(SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def raw_token(header: str | bytes, claims: str | bytes, sign: Callable[[bytes], bytes] = es256) -> str:
    parts = [part.encode() if isinstance(part, str) else part for part in (header, claims)]
    signing_input = ".".join(b64(part) for part in parts)
    return f"{signing_input}.{b64(sign(signing_input.encode()))}"


HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": "ES256"}
CLAIMS = {"exp": NOW + 60, "nbf": NOW, "iat": NOW, "sub": "alice"}


def token(header: dict[str, object] | None = None, claims: dict[str, object] | None = None) -> str:
    """A token signed with ES256 whatever its header says; None removes a member."""
    made = [
        json.dumps({name: value for name, value in {**base, **(over or {})}.items() if value is not None})
        for base, over in ((HEADER, header), (CLAIMS, claims))
    ]
    return raw_token(made[0], made[1])


def verify(text: str, **over: object) -> dict[str, object]:
    arguments: dict[str, object] = {"typ": "at+jwt", "algorithms": ALGORITHMS, "now": NOW, **over}
    return jws.verify(text, KEYS, **arguments)  # type: ignore[arg-type]  # the table names the arguments


def refusal(text: str, **over: object) -> Reason:
    with pytest.raises(InvalidToken) as caught:
        verify(text, **over)
    return caught.value.reason


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_token_of_each_algorithm_verifies_and_not_under_another_key(alg: str) -> None:
    text = jwt.encode(CLAIMS, PRIVATE[alg], algorithm=alg, headers={"kid": alg, "typ": "at+jwt"})
    assert verify(text)["sub"] == "alice"
    tampered = text[:-8] + ("AAAAAAAA" if not text.endswith("AAAAAAAA") else "BBBBBBBB")
    assert refusal(tampered) in (Reason.SIGNATURE, Reason.MALFORMED)
    assert refusal(text, algorithms=[a for a in ALGORITHMS if a != alg]) is Reason.ALGORITHM


def hmac_attacks() -> Iterator[str]:
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    jwk = public_jwk("RS256")
    secrets = [pem, pem.rstrip(), der, json.dumps(jwk).encode(), str(jwk["n"]).encode()]
    for name, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")):
        for secret in secrets:
            yield raw_token(
                json.dumps({**HEADER, "alg": name, "kid": "RS256"}),
                json.dumps(CLAIMS),
                lambda text, secret=secret, digest=digest: hmac.digest(secret, text, digest),
            )


@pytest.mark.attack("JOSE-01")
@pytest.mark.parametrize(
    "alg", ["none", "None", "nOnE", "NONE", "", "null", None, 0, ["ES256"], "ES384", "es256"]
)
@pytest.mark.parametrize("signed", [True, False])
def test_no_algorithm_outside_of_the_list_passes(alg: object, signed: bool) -> None:
    text = token({"alg": alg})
    assert refusal(text if signed else text[: text.rindex(".") + 1]) is Reason.ALGORITHM
    assert verify(token())


@pytest.mark.attack("JOSE-02")
def test_a_public_key_is_never_a_shared_secret() -> None:
    for text in hmac_attacks():
        assert refusal(text) is Reason.ALGORITHM


@pytest.mark.attack("JOSE-02")
def test_the_algorithm_of_the_header_must_be_that_of_the_key() -> None:
    rs = jwt.encode(CLAIMS, RSA_KEY, algorithm="RS256", headers={"kid": "PS256", "typ": "at+jwt"})
    assert refusal(rs) is Reason.ALGORITHM
    assert refusal(token({"alg": "EdDSA"})) is Reason.ALGORITHM


@pytest.mark.attack("JOSE-04")
@pytest.mark.parametrize("kid", ["../../../../dev/null", "' UNION SELECT 'x", "", "ES256\x00", "es256"])
def test_a_kid_is_only_ever_looked_up(kid: str) -> None:
    with pytest.raises(UnknownKey):
        verify(token({"kid": kid}))


@pytest.mark.attack("JOSE-04")
@pytest.mark.parametrize("kid", ["k" * 257, "k" * 10_000, 7, True, ["ES256"], {"a": 1}, None])
def test_a_kid_that_is_no_short_string_is_malformed(kid: object) -> None:
    assert refusal(token({"kid": kid})) is Reason.MALFORMED


@pytest.mark.attack("JOSE-05")
@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["x"], "x": 1},
        {"crit": []},
        {"crit": ["exp", "exp"]},
        {"crit": ["absent"]},
        {"crit": "alg"},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
    ],
)
def test_a_critical_extension_is_refused(header: dict[str, object]) -> None:
    assert refusal(token(header)) is Reason.MALFORMED


@pytest.mark.parametrize(
    "header", [{"jku": "https://evil.example"}, {"jwk": {"kty": "oct"}}, {"x5u": "x"}, {"x5c": ["x"]}]
)
def test_keys_named_in_the_header_are_ignored(header: dict[str, object]) -> None:
    assert verify(token(header))


@pytest.mark.attack("JOSE-06")
def test_only_raw_signatures_of_64_bytes_that_hold_pass_for_es256() -> None:
    text = token()
    signing_input, _, encoded = text.rpartition(".")
    good = base64.urlsafe_b64decode(encoded + "==")
    r, s = int.from_bytes(good[:32]), int.from_bytes(good[32:])
    der = EC_KEY.sign(signing_input.encode(), ec.ECDSA(SHA256()))
    order = P256_ORDER.to_bytes(32)
    for bad in (
        bytes(64),
        order + good[32:],
        good[:32] + order,
        order + order,
        bytes(32) + good[32:],
        der,
        good[:63],
        good + b"\0",
        b"",
        good[32:] + good[:32],
    ):
        assert refusal(f"{signing_input}.{b64(bad)}") is Reason.SIGNATURE
    high_s = r.to_bytes(32) + (P256_ORDER - s).to_bytes(32)
    assert verify(f"{signing_input}.{b64(high_s)}")


def with_trailing_bits(segment: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) | 1]


@pytest.mark.attack("JOSE-07")
@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p + "=",
        lambda p: p + "==",
        lambda p: p + "\n",
        lambda p: " " + p,
        lambda p: p[:4] + "\t" + p[4:],
        lambda p: "+" + p[1:],
        lambda p: "/" + p[1:],
        lambda p: p + "A" * ((1 - len(p)) % 4),
        lambda p: "é" + p,
        lambda p: p + "\0",
    ],
)
def test_only_base64url_without_padding_passes(position: int, spoil: Callable[[str], str]) -> None:
    segments = token().split(".")
    segments[position] = spoil(segments[position])
    assert refusal(".".join(segments)) is Reason.MALFORMED


@pytest.mark.attack("JOSE-07")
def test_bits_that_stand_for_nothing_must_be_zero() -> None:
    header, claims, signature = token().split(".")
    assert len(signature) % 4 == 2
    assert refusal(f"{header}.{claims}.{with_trailing_bits(signature)}") is Reason.MALFORMED
    padded = b64(
        json.dumps({**CLAIMS, "pad": "x" * (-len(json.dumps({**CLAIMS, "pad": ""})) % 3 + 1)}).encode()
    )
    assert len(padded) % 4 == 2
    assert refusal(f"{header}.{with_trailing_bits(padded)}.{signature}") is Reason.MALFORMED


@pytest.mark.attack("JOSE-08")
def test_only_the_compact_serialization_of_one_signature_passes() -> None:
    good = token()
    header, claims, signature = good.split(".")
    for other in (
        "",
        ".",
        "..",
        "...",
        "a",
        f"{header}.{claims}",
        f"{good}.",
        f".{good}",
        f"{good}.{signature}",
        f"{header}.{claims}.{signature}.{header}.{claims}",
        f"{header}..{signature}",
        f".{claims}.{signature}",
        json.dumps({"protected": header, "payload": claims, "signature": signature}),
        json.dumps({"payload": claims, "signatures": [{"protected": header, "signature": signature}] * 2}),
        good + "," + good,
        good + " " + good,
        raw_token(json.dumps({**HEADER, "cty": "JWT"}), good),
    ):
        assert refusal(other) is Reason.MALFORMED, other


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '"x"',
        "1",
        "null",
        "",
        "{",
        '{"alg":"ES256","alg":"ES256"}',
        '{"exp":NaN}',
        '{"exp":Infinity}',
        '{"a":"\\ud800"}',
        "\ufeff{}",
        "[" * 5000,
        '{"n":' + "9" * 5000 + "}",
    ],
)
def test_header_and_claims_are_json_objects_without_duplicates(text: str) -> None:
    assert refusal(raw_token(text, json.dumps(CLAIMS))) is Reason.MALFORMED
    assert refusal(raw_token(json.dumps(HEADER), text)) is Reason.MALFORMED


def test_json_in_another_encoding_is_malformed() -> None:
    assert refusal(raw_token(json.dumps(HEADER), json.dumps(CLAIMS).encode("utf-16"))) is Reason.MALFORMED
    assert refusal(raw_token(json.dumps(HEADER), b'{"a":"\xff"}')) is Reason.MALFORMED


@pytest.mark.attack("JOSE-11")
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    ['"1800000060"', "true", "false", "null", "1e400", "-1e400", "-1", "9223372036854775808", "[]", "{}"],
)
def test_a_time_that_is_no_finite_number_in_range_is_refused(name: str, value: str) -> None:
    claims = {other: json.dumps(time) for other, time in CLAIMS.items()}
    text = ",".join(f'"{other}":{given}' for other, given in {**claims, name: value}.items())
    assert refusal(raw_token(json.dumps(HEADER), f"{{{text}}}")) is Reason.CLAIMS


@pytest.mark.attack("JOSE-11")
def test_exp_is_mandatory_and_a_fraction_of_a_second_is_a_time() -> None:
    assert refusal(token(claims={"exp": None})) is Reason.CLAIMS
    assert verify(token(claims={"exp": NOW + 1.5, "nbf": None, "iat": None}))


@pytest.mark.attack("RS-04")
def test_a_token_lives_from_nbf_until_just_before_exp_and_leeway_widens_both() -> None:
    with pytest.raises(Expired):
        verify(token(claims={"exp": NOW}))
    assert verify(token(claims={"exp": NOW + 0.001}))
    assert verify(token(claims={"exp": NOW - 4}), leeway=5)
    assert refusal(token(claims={"exp": NOW - 5}), leeway=5) is Reason.EXPIRED
    for name in ("nbf", "iat"):
        assert refusal(token(claims={name: NOW + 1})) is Reason.NOT_YET_VALID
        assert verify(token(claims={name: NOW + 5}), leeway=5)
        assert refusal(token(claims={name: NOW + 6}), leeway=5) is Reason.NOT_YET_VALID


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_the_type_is_compared_without_case_and_prefix(typ: str) -> None:
    assert verify(token({"typ": typ}))
    assert verify(token({"typ": typ}), typ=["dpop+jwt", "application/at+jwt"])


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "dpop+jwt", "at+jwt ", "", None, 1, ["at+jwt"], "application/application/at+jwt"]
)
def test_a_token_of_another_type_is_refused(typ: object) -> None:
    assert refusal(token({"typ": typ})) is Reason.TYPE


@pytest.mark.attack("JOSE-15")
def test_a_huge_token_is_refused_unread() -> None:
    fits = token(claims={"pad": "x" * 11_000})
    assert len(fits) < jws.LONGEST and verify(fits)
    assert refusal(token(claims={"pad": "x" * 13_000})) is Reason.MALFORMED
    assert refusal("a" * 1_000_000) is Reason.MALFORMED


@pytest.mark.attack("JOSE-17")
@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": 1},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"alg": "ES384"},
        {"alg": "RS256"},
        {"alg": None},
        {"alg": "none"},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA"},
        {"kty": None},
        {"crv": "P-384"},
        {"d": "AAAA"},
        {"kid": ""},
        {"kid": 1},
        {"kid": None},
        {"kid": "k" * 257},
        {"x": "AAAA"},
        {"x": "A" * 43},
        {"x": 5},
        {"y": None},
        {"x": "=" * 43},
    ],
)
def test_a_key_that_is_not_for_verifying_is_left_out(members: dict[str, object]) -> None:
    good = public_jwk("EdDSA", kid="good")
    found = jws.keys_from_jwks({"keys": [{**public_jwk("ES256"), **members}, good]})
    assert list(found) == ["good"]
    with pytest.raises(UnknownKey):
        jws.verify(token(), found, typ="at+jwt", algorithms=ALGORITHMS, now=NOW)


@pytest.mark.attack("JOSE-17")
def test_a_weak_or_oversized_rsa_key_is_left_out() -> None:
    def numbers(modulus: int, exponent: int) -> dict[str, object]:
        encode = [b64(number.to_bytes((number.bit_length() + 7) // 8)) for number in (modulus, exponent)]
        return {"kty": "RSA", "kid": "r", "n": encode[0], "e": encode[1]}

    modulus = RSA_KEY.public_key().public_numbers().n
    assert jws.keys_from_jwks({"keys": [numbers(modulus, 65537)]})["r"].alg == "RS256"
    for bad in (
        numbers(modulus >> 1 | 1, 65537),
        numbers(1 << 9000 | 1, 65537),
        numbers(modulus, 1),
        numbers(modulus, 2**64 + 1),
    ):
        assert jws.keys_from_jwks({"keys": [bad]}) == {}


@pytest.mark.parametrize(
    "junk", [None, [], {}, {"keys": None}, {"keys": {}}, {"keys": [None, 1, "x", [], {}]}, "x", 1, b""]
)
def test_junk_instead_of_a_key_set_gives_no_key(junk: object) -> None:
    assert jws.keys_from_jwks(junk) == {}


def test_the_first_of_two_keys_with_one_kid_stays_and_optional_members_may_be_absent() -> None:
    bare = {
        name: value for name, value in public_jwk("ES256").items() if name not in ("use", "key_ops", "alg")
    }
    found = jws.keys_from_jwks({"keys": [bare, public_jwk("EdDSA", kid="ES256")]})
    assert found["ES256"].alg == "ES256"


def test_peeking_reads_without_verifying() -> None:
    text = token(claims={"exp": 0})
    assert jws.peek_claims(text)["sub"] == "alice"
    assert jws.read_header(text)["kid"] == "ES256"
    with pytest.raises(InvalidToken):
        jws.peek_claims("x.y.z")
