"""RFC 9701: the answer about a token as a JWT, who gets it, how it is signed, and when plain JSON comes instead."""

from dataclasses import replace

import jwt
import pytest

from tests.lab import ACME, FILES, ISSUER, NOTES, Lab, assert_refused, basic, claims

SIGNED = "application/token-introspection+jwt"


@pytest.fixture
def token(lab: Lab) -> str:
    return lab.tokens()["access_token"]


def ask(lab: Lab, token: str, client: str = "tickets-server", accept: str | None = SIGNED, door: str = ""):
    return lab.post(
        f"{door}/introspect", {"token": token}, basic(client) | ({"Accept": accept} if accept else {})
    )


def read(lab: Lab, answer, client: str = "tickets-server", alg: str = "ES256", door: str = ""):
    """The JWT as another program verifies it: with the door's published keys and nothing of ours."""
    assert (answer.status_code, answer.content_type) == (200, SIGNED), answer.get_data(as_text=True)
    assert answer.headers["Cache-Control"] == "no-store"
    text = answer.get_data(as_text=True)
    head = jwt.get_unverified_header(text)
    assert (head["typ"], head["alg"]) == ("token-introspection+jwt", alg)
    key = jwt.PyJWKSet.from_dict(lab.get(f"{door}/jwks").json)[head["kid"]]
    said = jwt.decode(text, key, [alg], audience=client, issuer=ISSUER + door, options={"verify_iat": False})
    assert set(said) == {"iss", "aud", "iat", "token_introspection"}
    assert said["iat"] == int(lab.clock.now())
    return said["token_introspection"]


@pytest.mark.requirement("JWTI-03", "JWTI-04", "JWTI-05", "JWTI-06", "JWTI-07", "JWTI-09")
def test_the_signed_answer_says_the_same_to_the_caller_alone(lab: Lab, token: str) -> None:
    plain = ask(lab, token, accept=None)
    assert plain.content_type == "application/json"
    assert (
        read(lab, ask(lab, token)) == plain.json == {"active": True, "token_type": "Bearer", **claims(token)}
    )


@pytest.mark.requirement("JWTI-08")
def test_of_what_is_dead_or_not_the_callers_it_says_nothing_more(lab: Lab, token: str) -> None:
    assert read(lab, ask(lab, token, "notes-server"), "notes-server", "EdDSA") == {"active": False}
    assert lab.last("token.introspected")["reason"] == "not_the_callers"
    assert read(lab, ask(lab, token, "nightly"), "nightly") == {"active": False}
    assert read(lab, ask(lab, "garbage")) == {"active": False}
    lab.switch("user", "alice")
    assert read(lab, ask(lab, token)) == {"active": False}


def test_the_door_that_is_asked_signs(lab: Lab) -> None:
    token = lab.tokens(door="/t/acme", resource=FILES, scope="files:read")["access_token"]
    told = read(lab, ask(lab, token, "files-server", door="/t/acme"), "files-server", door="/t/acme")
    assert (told["active"], told["iss"]) == (True, ACME)
    assert read(lab, ask(lab, token, "files-server"), "files-server") == {"active": False}


@pytest.mark.requirement("JWTI-10")
@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256", "PS256"])
def test_the_caller_chooses_the_algorithm_and_else_its_resource_does(lab: Lab, alg: str) -> None:
    token = lab.tokens(resource=NOTES, scope="notes:read")["access_token"]
    assert read(lab, ask(lab, token, "notes-server"), "notes-server", "EdDSA")["active"]
    lab.put_client(replace(lab.client("notes-server"), introspection_alg=alg))
    assert read(lab, ask(lab, token, "notes-server"), "notes-server", alg)["active"]


@pytest.mark.requirement("JWTI-11")
@pytest.mark.parametrize("door", ["", "/t/initech"])
def test_discovery_names_the_algorithms(lab: Lab, door: str) -> None:
    found = lab.get(f"/.well-known/oauth-authorization-server{door}").json
    assert found["introspection_signing_alg_values_supported"] == ["ES256", "EdDSA", "RS256", "PS256"]
    assert not {name for name in found if name.startswith("introspection_encryption")}


NAMED = {
    SIGNED: True,
    SIGNED.upper(): True,
    f"{SIGNED};v=1": True,
    f"{SIGNED}, application/json": True,
    f"{SIGNED}, */*": True,
    f"text/html, {SIGNED};q=0.3": True,
    f"{SIGNED};q=0.5, application/json;q=0.4, */*": True,
    f"{SIGNED};q=0.4, application/json;q=0.5": False,
    f"{SIGNED};q=0.9, */*": False,
    f"{SIGNED};q=0": False,
    f"{SIGNED};q=0, */*;q=0": False,
    "application/*": False,
    "*/*": False,
    "application/json": False,
    "application/jwt": False,
    "text/html": False,
    "%%%;;q=,,": False,
    None: False,
}


def test_it_is_signed_where_that_is_named_and_json_is_not_preferred(lab: Lab) -> None:
    for accept, signed in NAMED.items():
        answer = ask(lab, "garbage", accept=accept)
        assert answer.status_code == 200, accept
        assert answer.content_type == (SIGNED if signed else "application/json"), accept


@pytest.mark.requirement("JWTI-01", "JWTI-02")
@pytest.mark.parametrize(
    ("headers", "form", "status"),
    [
        ({}, {}, 400),
        ({}, {"client_id": "tickets-server"}, 400),
        ({}, {"client_id": "desk-app"}, 400),
        ({}, {"client_id": "post-app", "client_secret": "wrong" * 10}, 400),
        (basic("tickets-server", "wrong" * 10), {}, 401),
        ({"Authorization": "Bearer x"}, {}, 401),
    ],
)
def test_who_is_not_authenticated_gets_a_refusal_in_json(
    lab: Lab, headers: dict[str, str], form: dict[str, str], status: int
) -> None:
    answer = lab.post("/introspect", {"token": "x", **form}, {**headers, "Accept": SIGNED})
    assert_refused(answer, status, "invalid_client")
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert lab.last("token.refused")["outcome"] == "denied"


def test_other_refusals_are_json_as_ever(lab: Lab, token: str) -> None:
    assert_refused(ask(lab, ""), 400, "invalid_request")
    lab.switch("client", "tickets-server")
    assert_refused(ask(lab, token), 401, "invalid_client")
    lab.lift("client", "tickets-server")
    with lab.database_down("read"):
        assert_refused(ask(lab, token), 503, "temporarily_unavailable")
    assert read(lab, ask(lab, token))["active"]
