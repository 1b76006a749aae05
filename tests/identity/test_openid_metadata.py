"""What clients that register themselves, or publish a document, say of OpenID Connect."""

import json

import pytest

from broker.identity.clients.documents import read
from broker.identity.clients.documents.address import Here
from broker.runtime.egress import Answer
from broker.runtime.fetcher import Unusable
from tests.lab import CALLBACK, Lab

GIVEN: dict[str, object] = {
    "id_token_signed_response_alg": "EdDSA",
    "post_logout_redirect_uris": ["https://client.example/bye"],
    "backchannel_logout_uri": "https://client.example/logged-out",
    "backchannel_logout_session_required": True,
}
WRONG = [
    ("id_token_signed_response_alg", "HS256"),
    ("id_token_signed_response_alg", "none"),
    ("post_logout_redirect_uris", ["javascript:alert(1)"]),
    ("post_logout_redirect_uris", "https://client.example/bye"),
    ("backchannel_logout_uri", "https://127.0.0.1/logged-out"),
    ("backchannel_logout_uri", "http://client.example/logged-out"),
]
URL = "https://app.example/client.json"


def test_what_a_client_registered_is_told_back_and_may_be_changed(lab: Lab) -> None:
    made = lab.register(**GIVEN).json
    assert {name: made.get(name) for name in GIVEN} == GIVEN
    client = lab.client(made["client_id"])
    assert (client.id_token_alg, client.logout_uri) == ("EdDSA", "https://client.example/logged-out")
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    changed = lab.manage("PUT", uri, token, client_id=made["client_id"]).json
    assert not set(changed) & set(GIVEN)
    assert lab.client(made["client_id"]).post_logout_redirect_uris == ()


@pytest.mark.parametrize(("member", "value"), [*WRONG, ("backchannel_logout_session_required", "yes")])
def test_what_cannot_be_registered_is_named(lab: Lab, member: str, value: object) -> None:
    refused = lab.register(**{**GIVEN, member: value})
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_client_metadata")
    assert refused.json["error_description"].startswith(f"{member}: ")


def document(**changes: object) -> Answer:
    said = {"client_id": URL, "client_name": "App", "redirect_uris": [CALLBACK], **GIVEN, **changes}
    return Answer(200, {"content-type": "application/json"}, json.dumps(said).encode())


def test_a_document_says_the_same() -> None:
    client = read.client(URL, document(), Here("as.example", frozenset({443}), loopback=False))
    assert (client.id_token_alg, client.logout_needs_sid) == ("EdDSA", True)
    assert client.post_logout_redirect_uris == ("https://client.example/bye",)


@pytest.mark.parametrize(
    ("member", "value"), [*WRONG, ("backchannel_logout_uri", "https://as.example/token")]
)
def test_a_document_that_says_what_cannot_be_describes_nobody(member: str, value: object) -> None:
    with pytest.raises(Unusable, match=member):
        read.client(URL, document(**{member: value}), Here("as.example", frozenset({443}), loopback=False))
