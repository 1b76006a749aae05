"""What the estate file says of clients of OpenID Connect, kept and judged."""

import pytest

from broker.admin import rules, shape, wanted
from broker.admin.estate_file import parse
from broker.identity.clients.model import Client

ENTRY: dict[str, object] = {
    "client_id": "rp",
    "type": "confidential",
    "client_secret": "s" * 40,
    "redirect_uris": ["https://rp.example/cb"],
    "scopes": ["openid", "email"],
    "id_token_signed_response_alg": "RS256",
    "introspection_signed_response_alg": "EdDSA",
    "post_logout_redirect_uris": ["https://rp.example/bye"],
    "backchannel_logout_uri": "https://rp.example/logged-out",
    "backchannel_logout_session_required": True,
}


def file(**changes: object) -> dict[str, object]:
    return {"clients": [{**ENTRY, **changes}]}


def made(value: dict[str, object]) -> Client:
    (client,) = wanted.wanted(parse(value), lambda entry: None).holdings.clients.values()
    return client


def test_a_relying_party_is_kept_whole_and_comes_out_as_it_went_in() -> None:
    assert rules.check(parse(file())) == []
    client = made(file())
    assert (client.id_token_alg, client.logout_needs_sid) == ("RS256", True)
    assert client.introspection_alg == "EdDSA"
    assert client.post_logout_redirect_uris == ("https://rp.example/bye",)
    assert client.logout_uri == "https://rp.example/logged-out"
    brief = shape.brief(client)
    assert {name: brief.get(name) for name in ENTRY if name not in ("client_secret", "type")} == {
        name: value for name, value in ENTRY.items() if name not in ("client_secret", "type")
    }
    plain = {name: ENTRY[name] for name in ("client_id", "type", "client_secret", "redirect_uris")}
    assert not set(shape.brief(made({"clients": [plain]}))) & set(ENTRY) - set(plain)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("id_token_signed_response_alg", "none"),
        ("id_token_signed_response_alg", "HS256"),
        ("introspection_signed_response_alg", "none"),
        ("post_logout_redirect_uris", ["https://rp.example/bye#x"]),
        ("post_logout_redirect_uris", ["http://rp.example/bye"]),
        ("post_logout_redirect_uris", [f"https://rp.example/{n}" for n in range(21)]),
        ("backchannel_logout_uri", "http://rp.example/logged-out"),
        ("backchannel_logout_uri", "https://10.0.0.1/logged-out"),
        ("backchannel_logout_uri", "https://rp.internal/logged-out"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(member: str, value: object) -> None:
    (problem,) = rules.check(parse(file(**{member: value})))
    assert problem.path == f"clients[0].{member}"


@pytest.mark.parametrize("name", ["openid", "profile", "email", "offline_access"])
def test_what_is_the_servers_is_no_scope_of_a_resource(name: str) -> None:
    resource = {
        "id": "r",
        "kind": "mcp",
        "uri": "https://r.example/mcp",
        "tenants": ["acme"],
        "scopes": [{"name": name}],
    }
    (problem,) = rules.check(parse({"resources": [resource]}))
    assert problem.path == "resources[0].scopes[0].name"
