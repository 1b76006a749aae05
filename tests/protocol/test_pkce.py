import pytest

from broker.protocol import pkce

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_vector_of_appendix_b() -> None:
    assert pkce.challenge_of(VERIFIER) == CHALLENGE
    assert pkce.valid_verifier(VERIFIER)
    assert pkce.valid_challenge(CHALLENGE)


@pytest.mark.parametrize("verifier", ["a" * 42, "a" * 129, "a" * 42 + "+", "a" * 43 + "\n", "é" * 50, ""])
def test_a_verifier_of_wrong_length_or_alphabet_is_not_valid(verifier: str) -> None:
    assert not pkce.valid_verifier(verifier)


@pytest.mark.parametrize("verifier", ["a" * 43, "~" * 128, "A-._~0" * 10])
def test_a_verifier_of_43_to_128_unreserved_characters_is(verifier: str) -> None:
    assert pkce.valid_verifier(verifier)


@pytest.mark.parametrize(
    "challenge", ["", CHALLENGE[:-1], CHALLENGE + "=", CHALLENGE + "A", CHALLENGE + "\n", "." * 43]
)
def test_what_is_no_sha_256_is_no_challenge(challenge: str) -> None:
    assert not pkce.valid_challenge(challenge)
