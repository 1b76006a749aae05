"""RFC 9449 section 4.3, by itself; what the endpoints make of it is in tests/attacks/test_dpop.py."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol import dpop, jwk
from broker.protocol.dpop import LEEWAY, InvalidProof, Proof, ProofKey
from broker.protocol.nonces import WINDOW, Nonces
from tests.proofs import ABSENT, Holder, hash_of

NOW = 1_800_000_000.0
URL = "https://as.example/token"

# RFC 9449 section 4.1 (figure 1) and section 7.1 (figure 13): one key, at a token endpoint and at a resource.
EXAMPLE = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
    ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0"
    "IjoxNTYyMjYyNjE2fQ"
    ".2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
EXAMPLE_AT_A_RESOURCE = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
    ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRy"
    "ZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9"
    ".2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
EXAMPLE_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
EXAMPLE_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def refusal(text: str, url: str = URL, method: str = "POST", token: str | None = None) -> str:
    with pytest.raises(InvalidProof) as refused:
        dpop.verify(text, method=method, url=url, token=token)
    return refused.value.reason


def test_the_example_of_rfc_9449_section_4_1_is_verified() -> None:
    found = dpop.verify(EXAMPLE, method="POST", url="https://server.example.com/token")
    assert (found.jkt, found.jti, found.nonce) == (EXAMPLE_THUMBPRINT, "-BwC3ESc6acc2lTc", None)
    assert found.timely(1562262616) and not found.timely(1562262616 + 3600)
    assert refusal(EXAMPLE[:-1] + "w", "https://server.example.com/token") == "signature"


def test_the_example_of_rfc_9449_section_7_1_is_verified_beside_its_token() -> None:
    at = {"method": "GET", "url": "https://resource.example.org/protectedresource"}
    found = dpop.verify(EXAMPLE_AT_A_RESOURCE, token=EXAMPLE_TOKEN, **at)
    assert found.jkt == EXAMPLE_THUMBPRINT
    assert refusal(EXAMPLE_AT_A_RESOURCE, token=EXAMPLE_TOKEN + "x", **at) == "ath"
    assert refusal(EXAMPLE, "https://server.example.com/token", token=EXAMPLE_TOKEN) == "ath"


def test_the_thumbprints_of_rfc_7638_and_rfc_8037_are_found() -> None:
    rsa = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK"
        "RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMic"
        "AtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3"
        "XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    assert jwk.thumbprint(rsa) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    edwards = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert jwk.thumbprint(edwards) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert all(dpop.is_thumbprint(jwk.thumbprint(key)) for key in (rsa, edwards))
    for wrong in ("", "k" * 42, "k" * 44, "k" * 42 + "B", "k" * 42 + "=", "k" * 41 + "+k"):
        assert not dpop.is_thumbprint(wrong), wrong


@pytest.mark.parametrize("alg", dpop.ALGORITHMS)
def test_a_proof_by_each_algorithm_offered_is_verified(alg: str) -> None:
    holder = Holder(alg)
    found = dpop.verify(holder.proof(URL, NOW, jti="j", nonce="n"), method="POST", url=URL)
    assert found == Proof(holder.jkt, "j", "n", NOW - LEEWAY, NOW + LEEWAY)
    broken = holder.proof(URL, NOW)
    middle = len(broken) - 20
    assert (
        refusal(broken[:middle] + ("A" if broken[middle] != "A" else "B") + broken[middle + 1 :])
        == "signature"
    )


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": ABSENT}, "type"),
        ({"typ": "JWT"}, "type"),
        ({"typ": "at+jwt"}, "type"),
        ({"typ": ["dpop+jwt"]}, "type"),
        ({"alg": ABSENT}, "algorithm"),
        ({"alg": "none"}, "algorithm"),
        ({"alg": "HS256"}, "algorithm"),
        ({"alg": "RS256"}, "algorithm"),
        ({"alg": "PS256"}, "key"),
        ({"crit": ["b64"], "b64": False}, "malformed"),
        ({"crit": []}, "malformed"),
        ({"jwk": ABSENT}, "key"),
        ({"jwk": "key"}, "key"),
        ({"jwk": []}, "key"),
        ({"jwk": {}}, "key"),
        ({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}, "key"),
        ({"jwk": {"kty": ["EC"]}}, "key"),
    ],
)
def test_a_header_that_is_not_a_proofs_is_refused(header: dict[str, object], reason: str) -> None:
    assert refusal(Holder().proof(URL, NOW, header=header)) == reason


@pytest.mark.parametrize(
    "members",
    [
        {"d": "AAAA"},
        {"k": "AAAA"},
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"alg": "ES384"},
        {"alg": "EdDSA"},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"x": "AAAA"},
        {"y": 7},
        {"x": ABSENT},
    ],
)
def test_a_key_that_is_not_public_or_not_for_the_algorithm_is_refused(members: dict[str, object]) -> None:
    holder = Holder()
    key = {name: value for name, value in (holder.jwk | members).items() if value is not ABSENT}
    assert refusal(holder.proof(URL, NOW, header={"jwk": key})) == "key"
    kept = holder.jwk | {"use": "sig", "key_ops": ["verify"], "alg": "ES256", "ext": True}
    found = dpop.verify(holder.proof(URL, NOW, header={"jwk": kept}), method="POST", url=URL)
    assert found.jkt == holder.jkt, "members that say nothing of the key are not part of its thumbprint"


def test_weak_keys_and_keys_of_other_curves_are_refused() -> None:
    for holder in (Holder("PS256", bits=1024), Holder("ES256", curve=ec.SECP384R1)):
        assert refusal(holder.proof(URL, NOW)) == "key"
    zero = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()}
    assert refusal(Holder("EdDSA").proof(URL, NOW, header={"jwk": zero})) == "key"


def test_one_key_has_one_thumbprint() -> None:
    """The last character of 32 bytes in base64url has two bits that mean nothing: they have to be zero."""
    holder = Holder("EdDSA")
    x = str(holder.jwk["x"])
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = x[:-1] + letters[letters.index(x[-1]) + 1]
    assert base64.urlsafe_b64decode(other + "=") == base64.urlsafe_b64decode(x + "=")
    assert refusal(holder.proof(URL, NOW, header={"jwk": holder.jwk | {"x": other}})) == "key"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"jti": ABSENT}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
        ({"jti": "j" * 513}, "jti"),
        ({"htm": ABSENT}, "htm"),
        ({"htm": "GET"}, "htm"),
        ({"htm": "post"}, "htm"),
        ({"htm": ["POST"]}, "htm"),
        ({"htu": ABSENT}, "htu"),
        ({"iat": ABSENT}, "claims"),
        ({"iat": "1800000000"}, "claims"),
        ({"iat": True}, "claims"),
        ({"iat": -1}, "claims"),
        ({"iat": 2**63}, "claims"),
        ({"exp": "soon"}, "claims"),
        ({"nbf": None}, "claims"),
        ({"nonce": 7}, "claims"),
    ],
)
def test_a_claim_that_is_missing_or_wrong_is_refused(claims: dict[str, object], reason: str) -> None:
    assert refusal(Holder().proof(URL, NOW, **claims)) == reason


@pytest.mark.parametrize(
    "text", ["", "abc", "a.b", "a.b.c", "a.b.c.d.e", '{"protected":"e30"}', "ä.ö.ü", "." * 20_000]
)
def test_what_is_no_compact_jws_is_refused(text: str) -> None:
    assert refusal(text) == "malformed"


@pytest.mark.attack("DPOP-10")
@pytest.mark.parametrize(
    ("htu", "same"),
    [
        ("https://as.example/token", True),
        ("HTTPS://AS.Example/token", True),
        ("https://as.example:443/token", True),
        ("https://as.example:0443/token", True),
        ("https://as.example:/token", True),
        ("https://as.example/token?a=b&c", True),
        ("https://as.example/token#fragment", True),
        ("https://as.example/token?a#b?c", True),
        ("https://as.example/%74oke%6E", True),
        ("https://as.example/token/", False),
        ("https://as.example/Token", False),
        ("https://as.example/t/acme/token", False),
        ("https://as.example/./token", False),
        ("https://as.example//token", False),
        ("https://as.example/", False),
        ("https://as.example", False),
        ("https://other.example/token", False),
        ("https://as.example.evil.example/token", False),
        ("http://as.example/token", False),
        ("http://as.example:443/token", False),
        ("https://as.example:8443/token", False),
        ("https://user@as.example/token", False),
        ("https://as.example\\@evil.example/token", False),
        ("//as.example/token", False),
        ("/token", False),
        (" https://as.example/token", False),
        ("https://as.example/token\n", False),
        ("https://as.example/to\tken", False),
        ("https://as.example/tok%e", False),
        ("https://as.exämple/token", False),
        ("", False),
        (7, False),
        (None, False),
        (["https://as.example/token"], False),
        ({"url": "https://as.example/token"}, False),
    ],
)
def test_htu_is_compared_in_its_normal_form(htu: object, same: bool) -> None:
    text = Holder().proof(URL, NOW, htu=htu)
    if same:
        assert dpop.verify(text, method="POST", url=URL).timely(NOW)
    else:
        assert refusal(text) == "htu"


def test_escapes_are_compared_in_their_normal_form() -> None:
    at = "https://mcp.example/%c3%a9/~a%2Fb"
    for htu in ("https://mcp.example/%C3%A9/%7ea%2fb", at):
        dpop.verify(Holder().proof(htu, NOW), method="POST", url=at)
    assert refusal(Holder().proof("https://mcp.example/%C3%A9/~a/b", NOW), at) == "htu"
    for empty in ("https://mcp.example", "https://mcp.example/"):
        dpop.verify(Holder().proof("https://mcp.example/", NOW), method="POST", url=empty)


def test_a_proof_is_timely_for_a_minute_either_way_and_within_its_own_times() -> None:
    def timely(now: float, **claims: object) -> bool:
        return dpop.verify(Holder().proof(URL, NOW, **claims), method="POST", url=URL).timely(now)

    assert [timely(NOW + off) for off in (-61, -60, -10, 0, 10, 60, 61)] == [False, *[True] * 5, False]
    assert timely(NOW, exp=NOW + 300, nbf=NOW - 300) and not timely(NOW + 61, exp=NOW + 300)
    assert not timely(NOW, exp=NOW - 61) and timely(NOW, exp=NOW - 59)
    assert not timely(NOW, nbf=NOW + 61) and timely(NOW, nbf=NOW + 59)
    assert timely(NOW, iat=NOW + 0.5)


def test_our_own_proofs_are_such_proofs() -> None:
    key = ProofKey(ec.generate_private_key(ec.SECP256R1()))
    made = key.proof(method="GET", url=URL, now=NOW + 0.9, jti="j", nonce="n", token="t")
    found = dpop.verify(made, method="GET", url=URL, token="t")
    assert (found.jkt, found.jti, found.nonce) == (key.jkt, "j", "n") and found.timely(NOW)
    content = json.loads(base64.urlsafe_b64decode(made.split(".")[1] + "=="))
    assert content == {
        "jti": "j",
        "htm": "GET",
        "htu": URL,
        "iat": int(NOW),
        "nonce": "n",
        "ath": hash_of("t"),
    }
    assert "ath" not in json.loads(
        base64.urlsafe_b64decode(key.proof(method="GET", url=URL, now=NOW, jti="j").split(".")[1] + "==")
    )
    with pytest.raises(ValueError, match="P-256"):
        ProofKey(ec.generate_private_key(ec.SECP384R1()))


@given(st.text())
def test_no_text_in_the_header_raises_anything_else(text: str) -> None:
    with pytest.raises(InvalidProof):
        dpop.verify(text, method="POST", url=URL)


@given(
    st.dictionaries(
        st.sampled_from(["jti", "htm", "htu", "iat", "exp", "nonce"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(max_size=3), max_size=2),
    )
)
def test_no_claims_raise_anything_else(claims: dict[str, object]) -> None:
    with pytest.raises(InvalidProof):
        dpop.verify(
            _HOLDER.signed({"typ": "dpop+jwt", "alg": "ES256", "jwk": _HOLDER.jwk}, claims),
            method="POST",
            url=URL,
        )


_HOLDER = Holder()


def test_a_nonce_is_taken_in_its_window_and_the_next() -> None:
    nonces = Nonces(b"k" * 32)
    start = NOW - NOW % WINDOW
    nonce = nonces.issue("https://as.example", start)
    assert nonce == nonces.issue("https://as.example", start + WINDOW - 1)
    ends = start + 2 * WINDOW
    assert [
        nonces.ends(nonce, "https://as.example", start + after) for after in (0, WINDOW, 2 * WINDOW - 1)
    ] == [ends] * 3
    assert nonces.ends(nonce, "https://as.example", ends) is None
    behind = start - 60
    assert nonces.ends(nonce, "https://as.example", behind) == ends, (
        "a process whose clock is a minute behind"
    )


def test_a_nonce_is_of_its_place_and_its_key() -> None:
    nonce = Nonces(b"k" * 32).issue("https://as.example", NOW)
    assert Nonces(b"k" * 32).ends(nonce, "https://as.example", NOW) is not None
    assert Nonces(b"k" * 32).ends(nonce, "https://as.example/t/acme", NOW) is None
    assert Nonces(b"o" * 32).ends(nonce, "https://as.example", NOW) is None
    for other in ("", "ä", nonce[:-1], nonce + "A", nonce.swapcase()):
        assert Nonces(b"k" * 32).ends(other, "https://as.example", NOW) is None
