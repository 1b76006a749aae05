"""RFC 7523 section 2.2: a client proves itself with a signed assertion, at every door and endpoint where clients do."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from broker.identity.clients import keys
from broker.identity.clients.keys import Fault
from broker.protocol.names import CLIENT_SECRET_BASIC, PRIVATE_KEY_JWT, SIGNING_ALGORITHMS
from tests.assertions import GRANT, JWT_BEARER, KeyHost, Signer
from tests.lab import ACME, ISSUER, SECRETS, VERIFIER, Lab, assert_refused, basic, claims
from tests.proofs import ABSENT, Holder


@pytest.fixture
def host() -> Iterator[KeyHost]:
    found = KeyHost()
    yield found
    found.close()


@pytest.mark.parametrize("alg", SIGNING_ALGORITHMS)
@pytest.mark.requirement("EXT-CC-01")
def test_each_algorithm_that_is_offered_is_taken(lab: Lab, alg: str) -> None:
    signer = Signer(lab, holder=Holder(alg)).registered()
    answer = signer.asks()
    assert answer.status_code == 200, answer.json
    token = claims(answer.json["access_token"])
    assert (token["sub"], token["client_id"]) == ("signer", "signer")


def test_a_user_signs_in_to_a_client_with_keys_and_it_refreshes(lab: Lab) -> None:
    signer = Signer(lab).registered()
    code = lab.code("signer")
    asked = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": "https://client.example/cb",
        "code_verifier": VERIFIER,
    }
    tokens = lab.post("/token", {**signer.form(), **asked})
    assert tokens.status_code == 200, tokens.json
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens.json["refresh_token"]}
    assert_refused(lab.post("/token", {**refresh, "client_id": "signer"}), 401, "invalid_client")
    again = lab.post("/token", {**signer.form(), **refresh})
    assert again.status_code == 200
    assert lab.active(again.json["access_token"])
    revoked = lab.post("/revoke", {**signer.form(), "token": again.json["refresh_token"]})
    assert revoked.status_code == 200
    assert not lab.active(again.json["access_token"])


def test_a_resource_whose_own_client_has_a_key_introspects(lab: Lab) -> None:
    server = Signer(lab, "tickets-server")
    token = lab.tokens()["access_token"]
    lab.apply(
        "tenants: [{id: acme}]\n"
        "resources: [{id: tickets, kind: mcp, uri: 'https://mcp1.example/mcp', tenants: [acme], default: true,"
        " scopes: [{name: 'tickets:read'}, {name: 'tickets:write'}, {name: 'customers:read'}, {name: 'refunds:write'}],"
        " client: {client_id: tickets-server, token_endpoint_auth_method: private_key_jwt,"
        f" jwks: {json.dumps({'keys': [server.jwk()]})}}}}}]"
    )
    found = lab.post("/introspect", {**server.form(), "token": token})
    assert found.status_code == 200 and found.json["active"] is True
    assert_refused(lab.introspect(token), 401, "invalid_client")  # its secret went with the change


def test_each_door_is_asked_under_its_own_name(lab: Lab) -> None:
    signer = Signer(lab).registered()
    assert signer.asks(signer.assertion(aud=ISSUER)).status_code == 200
    assert signer.asks(signer.assertion(aud=ACME), door="/t/acme").status_code == 200
    foreign = signer.asks(signer.assertion(aud=f"{ISSUER}/t/globex"), door="/t/globex")
    lab.refused(foreign, 401, "invalid_client", "client_unknown")


def test_an_assertion_without_kid_is_verified_by_any_key_that_fits(lab: Lab) -> None:
    signer = Signer(lab, kid=None)
    other = Holder("RS256")
    signer.registered([signer.jwk(kid="a"), {**other.jwk, "kid": "b"}])
    assert signer.asks().status_code == 200
    signer.registered([{**Holder().jwk, "kid": "b"}, signer.jwk(kid="a")])  # as while a key is rotated
    assert signer.asks().status_code == 200
    signer.registered([*({**Holder().jwk, "kid": f"b{n}"} for n in range(4)), signer.jwk(kid="a")])
    lab.refused(
        signer.asks(), 401, "invalid_client", "client_assertion_invalid"
    )  # of many, only a few are tried
    assert signer.asks(signer.assertion({"kid": "a"})).status_code == 200


def test_a_key_without_kid_verifies_what_names_any(lab: Lab) -> None:
    signer = Signer(lab, kid=None)
    signer.registered([signer.jwk()])
    for kid in ("whatever", ABSENT):
        assert signer.asks(signer.assertion({"kid": kid})).status_code == 200


def test_the_kid_chooses_among_keys_and_is_nothing_else(lab: Lab) -> None:
    first, second = Signer(lab, kid="first"), Signer(lab, kid="second")
    first.registered([first.jwk(), second.jwk()])
    assert first.asks().status_code == 200
    assert second.asks().status_code == 200
    for kid in ("second", "third", "", "first\0", "../first", 7, None, ["first"], "x" * 9000):
        lab.clock.advance(60)
        answer = first.asks(first.assertion({"kid": kid}))
        lab.refused(answer, 401, "invalid_client", "client_assertion_invalid")


def test_keys_at_an_address_are_fetched_once_for_all_requests(lab: Lab, host: KeyHost) -> None:
    host.reached_from(lab)
    signer = Signer(lab).registered(jwks_uri=host.url)
    host.publish(signer.jwk())
    for _ in range(5):
        assert signer.asks().status_code == 200
    lab.clock.advance(59)
    assert signer.asks().status_code == 200
    assert len(host.seen) == 1
    lab.clock.advance(1)
    assert signer.asks().status_code == 200
    assert len(host.seen) == 2


def test_an_assertion_that_is_wrong_in_itself_makes_nobody_fetch_keys(lab: Lab, host: KeyHost) -> None:
    host.reached_from(lab)
    signer = Signer(lab).registered(jwks_uri=host.url)
    host.publish(signer.jwk())
    for assertion in (
        signer.assertion(aud="x"),
        signer.assertion(exp=1),
        signer.assertion({"alg": "none"}),
        "a.b.c",
    ):
        assert_refused(signer.asks(assertion, client_id="signer"), 401, "invalid_client")
    assert host.seen == []
    assert signer.asks().status_code == 200


def test_keys_of_a_client_that_may_not_use_them_are_not_fetched(lab: Lab, host: KeyHost) -> None:
    host.reached_from(lab)
    signer = Signer(lab, "nightly")
    host.publish(signer.jwk())
    lab.put_client(replace(lab.client("nightly"), jwks_uri=host.url))
    lab.refused(signer.asks(), 401, "invalid_client", "client_method_mismatch")
    assert host.seen == []
    lab.put_client(replace(lab.client("nightly"), method=PRIVATE_KEY_JWT))
    assert signer.asks().status_code == 200


@pytest.mark.parametrize("text", ["x", "a.b.c", "...", "{}", "é", "a" * 16_000])
def test_what_is_no_jwt_is_nobodys_assertion(lab: Lab, text: str) -> None:
    Signer(lab).registered()
    form = {**GRANT, "client_assertion": text, "client_assertion_type": JWT_BEARER}
    lab.refused(lab.post("/token", form), 401, "invalid_client", "client_unknown")
    named = lab.post("/token", {**form, "client_id": "signer"})
    lab.refused(named, 401, "invalid_client", "client_assertion_invalid")


def test_an_assertion_beside_another_method_is_one_too_many(lab: Lab) -> None:
    signer = Signer(lab).registered()
    assertion = signer.assertion()
    for form, headers in (
        (signer.form(assertion), basic("nightly")),
        ({**signer.form(assertion), "client_id": "post-app", "client_secret": SECRETS["post-app"]}, {}),
    ):
        lab.refused(
            lab.post("/token", form, headers), 400, "invalid_request", "client_authentication_repeated"
        )
    assert signer.asks(assertion).status_code == 200


def test_an_assertion_in_the_query_is_not_read(lab: Lab) -> None:
    signer = Signer(lab).registered()
    assertion = signer.assertion()
    query = f"/token?client_assertion={assertion}&client_assertion_type={JWT_BEARER}"
    lab.refused(lab.post(query, GRANT), 401, "invalid_client", "client_unknown")
    assert signer.asks(assertion).status_code == 200


@pytest.mark.requirement("EXT-CC-04")
def test_discovery_says_with_what_clients_may_sign(lab: Lab) -> None:
    for door in ("", "/t/acme"):
        found = lab.get(f"/.well-known/oauth-authorization-server{door}").json
        for endpoint in ("token", "introspection", "revocation"):
            assert PRIVATE_KEY_JWT in found[f"{endpoint}_endpoint_auth_methods_supported"]
            named = found[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
            assert named == ["ES256", "EdDSA", "RS256", "PS256"]


GOOD = {"keys": [{**Holder().jwk, "kid": "a"}]}


@pytest.mark.parametrize(
    ("method", "jwks", "uri", "alg", "member"),
    [
        (PRIVATE_KEY_JWT, GOOD, None, None, None),
        (PRIVATE_KEY_JWT, GOOD, None, "ES256", None),
        (PRIVATE_KEY_JWT, None, "https://keys.example/jwks.json", "RS256", None),
        (CLIENT_SECRET_BASIC, None, None, None, None),
        (PRIVATE_KEY_JWT, None, None, None, "jwks"),
        (PRIVATE_KEY_JWT, GOOD, "https://keys.example/jwks.json", None, "jwks_uri"),
        (PRIVATE_KEY_JWT, GOOD, None, "RS256", "jwks"),
        (PRIVATE_KEY_JWT, GOOD, None, "HS256", "token_endpoint_auth_signing_alg"),
        (PRIVATE_KEY_JWT, GOOD, None, "none", "token_endpoint_auth_signing_alg"),
        (PRIVATE_KEY_JWT, GOOD, None, ["ES256"], "token_endpoint_auth_signing_alg"),
        (CLIENT_SECRET_BASIC, {"keys": [{"kty": "oct"}]}, None, None, "jwks"),
        (CLIENT_SECRET_BASIC, None, "ftp://keys.example/x", None, "jwks_uri"),
        (PRIVATE_KEY_JWT, None, "https://keys.example/" + "x" * 2048, None, "jwks_uri"),
        (PRIVATE_KEY_JWT, None, 7, None, "jwks_uri"),
        (PRIVATE_KEY_JWT, None, "http://127.0.0.1/k", None, "jwks_uri"),
    ],
)
def test_the_keys_of_a_registration_are_judged_as_a_whole(
    method: str, jwks: object, uri: object, alg: object, member: str | None
) -> None:
    found = keys.check((method,), jwks, uri, alg)
    assert (found.member if found else None) == member, found


def test_keys_on_this_machine_are_for_servers_on_this_machine() -> None:
    for uri in ("http://127.0.0.1:9/k", "http://[::1]/k", "http://localhost/k"):
        assert isinstance(keys.check((PRIVATE_KEY_JWT,), None, uri, None), Fault)
        assert keys.check((PRIVATE_KEY_JWT,), None, uri, None, loopback=True) is None
    assert keys.check((PRIVATE_KEY_JWT,), None, "http://keys.example/k", None, loopback=True) is not None
