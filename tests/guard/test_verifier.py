from collections.abc import Mapping

import pytest

from broker.guard.jwks import KeysUnavailable
from broker.guard.verifier import Actor, TokenRefused, Verifier
from broker.protocol.jws import ALGORITHMS, VerificationKey

NOW = 1_800_000_000.0
ISSUER = "https://as.example"
DOOR = "https://as.example/t/acme"
RESOURCE = "https://mcp.example/mcp"


@pytest.fixture
def verifier(issuer, clock) -> Verifier:
    return Verifier({ISSUER: ["acme", "other"], DOOR: ["acme"]}, RESOURCE, ALGORITHMS, issuer, clock)


def refusal(verifier: Verifier, token: str) -> str:
    with pytest.raises(TokenRefused) as caught:
        verifier.verify(token)
    return str(caught.value.reason)


def test_a_good_token_says_who_asks_for_what_through_whom(verifier, issuer) -> None:
    act = {
        "iss": ISSUER,
        "sub": "s",
        "client_id": "crm",
        "act": {"iss": ISSUER, "sub": "d", "client_id": "desk-app"},
    }
    token = issuer.token(scope="tickets:read tickets:write", act=act)
    verified = verifier.verify(token)
    assert (verified.subject, verified.client_id, verified.tenant) == ("alice", "desk-app", "acme")
    assert verified.scopes == {"tickets:read", "tickets:write"}
    assert verified.actors == (Actor(ISSUER, "s", "crm"), Actor(ISSUER, "d", "desk-app"))
    assert (verified.issuer, verified.audience, verified.expires_at) == (ISSUER, RESOURCE, NOW + 300)
    assert (verified.jti, verified.txn, verified.grant_id) == ("j1", "x1", "g1")
    assert token not in repr(verified)


def test_a_token_without_chain_txn_or_grant_has_none(verifier, issuer) -> None:
    verified = verifier.verify(issuer.token(txn=None, grant_id=None, scope=""))
    assert (verified.actors, verified.txn, verified.grant_id, verified.scopes) == (
        (),
        None,
        None,
        frozenset(),
    )


@pytest.mark.attack("RS-02")
@pytest.mark.attack("JOSE-13")
@pytest.mark.parametrize(
    "aud",
    [
        "https://mcp.example/mc",
        "https://mcp.example/mcp/",
        "https://mcp.example/mcp2",
        "HTTPS://mcp.example/mcp",
        "https://other.example/mcp",
        [],
        [RESOURCE, "https://other.example"],
        [RESOURCE, RESOURCE],
        [1],
        [[RESOURCE]],
        {"aud": RESOURCE},
        {},
        1,
        None,
    ],
)
def test_a_token_for_another_audience_is_refused(verifier, issuer, aud: object) -> None:
    assert refusal(verifier, issuer.token(aud=aud)) == "audience"


@pytest.mark.parametrize("aud", [RESOURCE, [RESOURCE]])
def test_the_sole_audience_may_be_a_string_or_a_list_of_one(verifier, issuer, aud: object) -> None:
    assert verifier.verify(issuer.token(aud=aud)).audience == RESOURCE


@pytest.mark.attack("RS-03")
@pytest.mark.parametrize(
    ("iss", "tenant"), [(ISSUER, "third"), (ISSUER, "acm"), (ISSUER, "*"), (DOOR, "other")]
)
def test_a_token_of_a_tenant_that_its_issuer_does_not_serve_is_refused(
    verifier, issuer, iss: str, tenant: str
) -> None:
    assert refusal(verifier, issuer.token(iss=iss, tenant=tenant)) == "tenant"


def test_each_issuer_serves_its_tenants_and_a_star_serves_all(verifier, issuer, clock) -> None:
    assert verifier.verify(issuer.token(tenant="other")).tenant == "other"
    assert verifier.verify(issuer.token(iss=DOOR)).issuer == DOOR
    anyone = Verifier({ISSUER: "*"}, RESOURCE, ALGORITHMS, issuer, clock)
    assert anyone.verify(issuer.token(tenant="third")).tenant == "third"


@pytest.mark.attack("RS-03")
def test_a_single_name_in_place_of_a_list_is_that_name_and_no_part_of_it(issuer, clock) -> None:
    one = Verifier({ISSUER: "acme-corporation"}, RESOURCE, ALGORITHMS, issuer, clock)
    assert one.verify(issuer.token(tenant="acme-corporation"))
    assert refusal(one, issuer.token(tenant="acme")) == "tenant"


class NoKeysAsked:
    def keys(self, issuer: str) -> Mapping[str, VerificationKey]:
        raise AssertionError(f"asked {issuer} for keys")


@pytest.mark.parametrize(
    "iss", ["https://evil.example", "https://as.example/", "HTTPS://as.example", "", None, 1, [ISSUER]]
)
def test_keys_are_never_asked_of_an_issuer_that_is_not_pinned(issuer, clock, iss: object) -> None:
    verifier = Verifier({ISSUER: "*"}, RESOURCE, ALGORITHMS, NoKeysAsked(), clock)
    assert refusal(verifier, issuer.token(iss=iss)) == "issuer"


@pytest.mark.attack("RS-04")
@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"exp": NOW - 5}, "expired"),
        ({"exp": None}, "claims"),
        ({"exp": "9999999999"}, "claims"),
        ({"iat": NOW + 6}, "not_yet_valid"),
        ({"nbf": NOW + 6}, "not_yet_valid"),
    ],
)
def test_an_expired_future_or_endless_token_is_refused(
    verifier, issuer, over: dict[str, object], reason: str
) -> None:
    assert refusal(verifier, issuer.token(**over)) == reason


@pytest.mark.parametrize("over", [{"exp": NOW - 4}, {"iat": NOW + 5}, {"nbf": NOW + 5}, {"nbf": None}])
def test_clocks_may_differ_by_the_leeway(verifier, issuer, over: dict[str, object]) -> None:
    assert verifier.verify(issuer.token(**over))


@pytest.mark.parametrize("name", ["sub", "client_id", "tenant", "scope", "jti", "iat"])
def test_every_mandatory_claim_must_be_there(verifier, issuer, name: str) -> None:
    assert refusal(verifier, issuer.token(**{name: None})) == "claims"


@pytest.mark.parametrize(
    "over",
    [
        {"sub": 1},
        {"sub": ""},
        {"client_id": ["desk-app"]},
        {"tenant": {"acme": 1}},
        {"scope": ["tickets:read"]},
        {"scope": 'a"b'},
        {"jti": 5},
        {"txn": 5},
        {"grant_id": ""},
        {"act": "crm"},
        {"act": {"sub": "s"}},
        {"act": {"iss": ISSUER, "sub": "s", "client_id": "c", "act": []}},
    ],
)
def test_a_claim_of_the_wrong_type_is_refused(verifier, issuer, over: dict[str, object]) -> None:
    assert refusal(verifier, issuer.token(**over)) == "claims"


def test_a_chain_without_end_is_refused(verifier, issuer) -> None:
    act: dict[str, object] = {"iss": ISSUER, "sub": "s", "client_id": "c"}
    for _ in range(32):
        act = {"iss": ISSUER, "sub": "s", "client_id": "c", "act": act}
    assert refusal(verifier, issuer.token(act=act)) == "claims"


@pytest.mark.attack("JOSE-14")
@pytest.mark.parametrize("typ", ["JWT", "dpop+jwt", "logout+jwt", "resource-metadata+jwt"])
def test_another_kind_of_token_is_no_access_token(verifier, issuer, typ: str) -> None:
    assert refusal(verifier, issuer.token(typ=typ)) == "type"


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é.b.c", "\ud800", "a" * 1_000_000])
def test_what_is_no_token_is_malformed(verifier, text: str) -> None:
    assert refusal(verifier, text) == "malformed"
    assert not verifier.is_remembered(text)


def test_an_algorithm_outside_of_the_list_is_refused(issuer, clock) -> None:
    assert refusal(Verifier({ISSUER: "*"}, RESOURCE, ["EdDSA"], issuer, clock), issuer.token()) == "algorithm"


def test_a_signature_by_another_key_under_the_same_kid_is_refused(verifier, issuer) -> None:
    assert refusal(verifier, type(issuer)("k1").token()) == "signature"
    assert refusal(verifier, type(issuer)("k2").token()) == "unknown_key"


def test_without_an_audience_the_caller_checks_the_one_that_is_returned(issuer, clock) -> None:
    server = Verifier({ISSUER: "*"}, None, ALGORITHMS, issuer, clock)
    assert (
        server.verify(issuer.token(aud="https://elsewhere.example")).audience == "https://elsewhere.example"
    )
    assert refusal(server, issuer.token(aud=["a", "b"])) == "audience"


def test_a_token_is_verified_once_and_ends_on_time(verifier, issuer, clock) -> None:
    token = issuer.token()
    first = verifier.verify(token)
    assert verifier.is_remembered(token)
    assert verifier.verify(token) is first
    clock.now = NOW + 304.9
    assert verifier.verify(token) is first
    clock.now = NOW + 305
    assert refusal(verifier, token) == "expired"
    assert not verifier.is_remembered(token)


def test_what_is_remembered_is_bounded(verifier, issuer, monkeypatch) -> None:
    monkeypatch.setattr("broker.guard.verifier._MOST", 2)
    tokens = [issuer.token(jti=str(number)) for number in range(3)]
    for token in tokens:
        verifier.verify(token)
    assert [verifier.is_remembered(token) for token in tokens] == [False, True, True]
    assert verifier.verify(tokens[0])


class Ring:
    """A source whose keys and tenants change under the verifier."""

    def __init__(self, keys: Mapping[str, VerificationKey]) -> None:
        self.held: Mapping[str, VerificationKey] | None = keys

    def keys(self, issuer: str) -> Mapping[str, VerificationKey]:
        if self.held is None:
            raise KeysUnavailable(issuer)
        return self.held


@pytest.mark.attack("JOSE-20")
def test_a_key_that_leaves_the_set_takes_its_remembered_tokens_with_it(issuer, clock) -> None:
    ring = Ring(issuer.keys(ISSUER))
    verifier = Verifier({ISSUER: "*"}, RESOURCE, ALGORITHMS, ring, clock)
    token = issuer.token()
    assert verifier.verify(token)
    ring.held = {}
    assert refusal(verifier, token) == "unknown_key"


def test_a_tenant_that_leaves_an_issuer_takes_its_remembered_tokens_with_it(issuer, clock) -> None:
    tenants = {"acme"}
    verifier = Verifier({ISSUER: tenants}, RESOURCE, ALGORITHMS, issuer, clock)
    token = issuer.token()
    assert verifier.verify(token)
    tenants.clear()
    assert refusal(verifier, token) == "tenant"


def test_keys_that_cannot_be_had_are_told_from_a_bad_token(issuer, clock) -> None:
    ring = Ring({})
    ring.held = None
    assert (
        refusal(Verifier({ISSUER: "*"}, RESOURCE, ALGORITHMS, ring, clock), issuer.token())
        == "keys_unavailable"
    )
