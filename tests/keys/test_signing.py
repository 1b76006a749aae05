"""Keys of every algorithm, their names, and the tokens that they sign."""

import json

import jwt as pyjwt
import pytest

from keys.jwt import encode
from keys.local import LocalSigner, SignerClosed, generate
from keys.model import ALGORITHMS, public_members, thumbprint

RFC_7638_KEY = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
    "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
    "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
    "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
CLAIMS = {"iss": "https://as.example", "sub": "zoë", "scope": "tickets:read", "exp": 1800000000}


@pytest.fixture(scope="module", params=ALGORITHMS)
def signer(request: pytest.FixtureRequest) -> LocalSigner:
    private, _ = generate(request.param)
    return LocalSigner(private, request.param)


def verified(token: str, signer: LocalSigner) -> object:
    key = pyjwt.PyJWK({**signer.public_jwk(), "alg": signer.alg})
    return pyjwt.decode_complete(token, key, algorithms=[signer.alg], options={"verify_exp": False})


def test_a_token_of_every_algorithm_verifies_and_its_header_is_exact(signer: LocalSigner) -> None:
    token = verified(encode(signer, CLAIMS, "at+jwt"), signer)
    assert isinstance(token, dict)
    assert token["header"] == {"alg": signer.alg, "kid": signer.kid, "typ": "at+jwt"}
    assert token["payload"] == CLAIMS


def test_a_changed_token_does_not_verify(signer: LocalSigner) -> None:
    token = encode(signer, CLAIMS, "at+jwt")
    header, payload, signature = token.split(".")
    other = encode(signer, {**CLAIMS, "sub": "bob"}, "at+jwt").split(".")[1]
    for changed in (f"{header}.{other}.{signature}", f"{header}.{payload}.{signature[:-6]}AAAAAA"):
        with pytest.raises(pyjwt.InvalidSignatureError):
            verified(changed, signer)
    assert verified(token, signer)


def test_the_signature_is_the_signers_own() -> None:
    class Remote:
        kid = "a-key-elsewhere"
        alg = "ES256"
        asked: bytes = b""

        def public_jwk(self) -> dict[str, str]:
            return {}

        def sign(self, message: bytes) -> bytes:
            self.asked = message
            return b"from elsewhere"

        def close(self) -> None:
            pass

    remote = Remote()
    token = encode(remote, {"a": 1}, "at+jwt")
    message, _, signature = token.rpartition(".")
    assert remote.asked == message.encode()
    assert pyjwt.utils.base64url_decode(signature) == b"from elsewhere"
    assert pyjwt.utils.base64url_decode(message.split(".")[1]) == b'{"a":1}'


@pytest.mark.parametrize(
    ("claims", "typ"), [({"a": float("nan")}, "at+jwt"), ({"a": b"bytes"}, "at+jwt"), ({"a": 1}, "")]
)
def test_what_is_no_token_is_not_signed(claims: dict[str, object], typ: str) -> None:
    private, _ = generate("ES256")
    signer = LocalSigner(private, "ES256")
    with pytest.raises((ValueError, TypeError)):
        encode(signer, claims, typ)
    assert encode(signer, {"a": 1}, "at+jwt")


@pytest.mark.attack("KEYS-12")
def test_an_algorithm_that_is_not_ours_is_never_used() -> None:
    private, _ = generate("ES256")
    signer = LocalSigner(private, "ES256")
    assert encode(signer, CLAIMS, "at+jwt")
    for alg in ("none", "HS256", "ES384"):
        signer.alg = alg
        with pytest.raises(NotImplementedError):
            encode(signer, CLAIMS, "at+jwt")
        with pytest.raises(ValueError, match=alg):
            generate(alg)


def test_a_key_signs_with_its_own_algorithm_only() -> None:
    private, jwk = generate("ES256")
    assert LocalSigner(private, "ES256").kid == thumbprint(jwk)
    for alg in ("EdDSA", "RS256", "PS256", "HS256", "none"):
        with pytest.raises(ValueError, match=alg):
            LocalSigner(private, alg)


def test_es256_signatures_are_always_r_and_s_of_32_bytes() -> None:
    private, _ = generate("ES256")
    signer = LocalSigner(private, "ES256")
    # Short r or s come once in 256: enough messages to meet some.
    assert {len(signer.sign(str(number).encode())) for number in range(1000)} == {64}


def test_a_closed_signer_signs_no_more(signer: LocalSigner) -> None:
    private, _ = generate("EdDSA")
    closed = LocalSigner(private, "EdDSA")
    assert closed.sign(b"")
    closed.close()
    with pytest.raises(SignerClosed):
        closed.sign(b"")
    assert closed.public_jwk()


@pytest.mark.attack("KEYS-06")
def test_the_thumbprint_of_rfc_7638_section_3_1() -> None:
    assert thumbprint(RFC_7638_KEY) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("jwk", [{"kty": "oct", "k": "AAAA"}, {}, {"kty": "EC", "crv": "P-256", "x": "AAAA"}])
def test_only_a_whole_public_key_has_a_thumbprint(jwk: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="public key"):
        thumbprint(jwk)


@pytest.mark.attack("KEYS-06")
def test_a_thousand_keys_have_a_thousand_names() -> None:
    names = {thumbprint(generate("EdDSA")[1]) for _ in range(1000)}
    assert len(names) == 1000
    assert {len(name) for name in names} == {43}


def test_a_generated_public_key_has_public_members_only(signer: LocalSigner) -> None:
    jwk = signer.public_jwk()
    assert public_members({**jwk, "d": "secret", "kid": "x"}) == jwk
    assert "d" not in json.dumps(sorted(jwk))
