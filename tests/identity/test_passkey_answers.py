"""WebAuthn level 3 section 5.1: what is looked up of an authenticator's answer is what it can be, and nothing else."""

import json

import pytest

from broker.identity.users.credentials.relying_party import Answer, NotProven, encoded


def written(credential: object) -> str:
    data = encoded(json.dumps({"type": "webauthn.get", "challenge": "Y2hhbGxlbmdl"}).encode())
    return json.dumps({"id": credential, "response": {"clientDataJSON": data}})


def test_the_id_of_a_credential_is_read() -> None:
    assert Answer.read(written("Y3JlZGVudGlhbA")).credential == "Y3JlZGVudGlhbA"


@pytest.mark.parametrize("name", ["a\x00b", "\x00", "Y3Jl ZGVu", "Y3JlZA==", "+/+/", "ä", "", 7, None])
def test_an_id_that_is_not_base64url_reaches_no_query(name: object) -> None:
    with pytest.raises(NotProven):
        Answer.read(written(name))
