"""Systems that are not ours in the estate file: what may be said, round trips, secrets, and what goes with them."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import quote_plus

import pytest

from broker.admin.export import export
from broker.estate.model import Registration, ResourceKind
from broker.vault import reach, store  # a connection to hang on what is removed, without a provider
from broker.vault.model import Tokens
from broker.vault.sealing import Sealing
from tests.lab import KEK
from tests.stores.vaulted import connection
from tests.vault.provider import Provider

SECRET = "a secret: with +, % and ü"
ESTATE = """
tenants: [{id: acme}, {id: globex}]
users: [{id: alice, tenants: [{id: acme}]}]
resources:
  - {id: tickets, kind: mcp, uri: "https://mcp.example/mcp", tenants: [acme], scopes: [{name: "t"}],
     client: {client_id: tickets-server, client_secret: "ticket-secret"}}
  - id: github
    kind: vault
    provider: github
    uri: https://api.github.com
    tenants: [acme]
    vault: {client_id: Ov23li, client_secret: "a secret: with +, % and ü"}
    scopes: [{name: "read:user", default: true}, {name: repo}]
  - id: forge
    kind: vault
    provider: generic
    uri: https://api.forge.example
    tenants: "*"
    vault:
      client_id: broker at forge
      token_endpoint_auth_method: none
      authorization_endpoint: https://forge.example/a
      token_endpoint: https://forge.example/t
      revocation_endpoint: https://forge.example/r
      account_endpoint: https://forge.example/me
      issuer: https://forge.example
      pkce: false
      scope_separator: ","
      parameters: {audience: api, prompt: consent}
      account: [uid, mail]
    scopes: [{name: "repo:read"}]
edges:
  - {from: tickets, to: github, scopes: {t: ["read:user"]}, release: true}
"""


def test_a_system_is_created_with_what_is_said_of_it_and_comes_back_as_written(desk) -> None:
    desk.put(ESTATE)
    held = desk.apply.holdings().resources
    assert held["github"].vault == Registration("github", "Ov23li")
    assert (held["github"].kind, held["github"].publish) == (ResourceKind.VAULT, False)
    assert held["forge"].vault == Registration(
        "generic",
        "broker at forge",
        "https://forge.example/a",
        "https://forge.example/t",
        "https://forge.example/r",
        "https://forge.example/me",
        "none",
        "https://forge.example",
        False,
        ",",
        {"audience": "api", "prompt": "consent"},
        ("uid", "mail"),
    )
    assert desk.put(ESTATE) == [] and desk.put(ESTATE, prune=True) == []
    written = export(desk.apply.holdings())
    assert SECRET not in written and "client_secret" not in written and "provider: github" in written
    assert desk.put(written, prune=True) == []


def test_its_secret_is_sealed_changed_and_kept_when_it_is_left_out(desk) -> None:
    desk.put(ESTATE)
    broker = desk.broker

    def secret() -> str | None:
        return broker.world.database.read(lambda tx: broker.vault.credentials.secret(tx, "github"))

    assert secret() == SECRET
    [change] = desk.put(ESTATE.replace("with +", "another"))
    assert [(item.member, item.before, item.after) for item in change.differences] == [
        ("vault.client_secret", "***", "***")
    ]
    assert secret() == SECRET.replace("with +", "another")
    assert desk.put(ESTATE.replace(', client_secret: "a secret: with +, % and ü"', "")) == []
    assert secret() == SECRET.replace("with +", "another")


WRONG = [
    ("provider: github", "provider: gitbucket", "resources[1].provider: use one of atlassian, generic"),
    ("provider: github\n", "provider: generic\n", "resources[1].vault.token_endpoint: provider generic"),
    ("client_id: Ov23li", "client_id: ''", "resources[1].vault.client_id: it is 1 to 500 printable"),
    (
        "client_id: Ov23li",
        "client_id: x, client_secret_file: f",
        "resources[1].vault.client_secret_file: give",
    ),
    ("client_id: Ov23li", "client_id: x, colour: red", "resources[1].vault.colour: the estate file has no"),
    ("auth_method: none", "auth_method: private_key_jwt", "resources[2].vault.token_endpoint_auth_method"),
    ("issuer: https://forge.example", "issuer: http://forge.example", "resources[2].vault.issuer: an https"),
    ('scope_separator: ","', "scope_separator: '+'", "resources[2].vault.scope_separator: use a space"),
    ("audience: api", "state: mine", "resources[2].vault.parameters.state: this server says it itself"),
    ("audience: api", '"a b": api', "resources[2].vault.parameters: names are words"),
    ("[uid, mail]", "['']", "resources[2].vault.account: name the member"),
    (
        "kind: vault\n    provider: github",
        "kind: downstream\n    provider: github",
        "only a resource of kind",
    ),
]


@pytest.mark.parametrize(("written", "instead", "said"), WRONG)
def test_what_is_wrong_with_a_system_is_said(desk, written: str, instead: str, said: str) -> None:
    assert written in ESTATE
    found = desk.problems(ESTATE.replace(written, instead, 1))
    assert any(said in problem for problem in found), found


STAYS = [
    ("provider: github", "provider: atlassian", "resources[1].provider: what people connected belongs to it"),
    ("client_id: Ov23li", "client_id: other", "resources[1].vault.client_id: what people connected"),
    ("forge.example/t", "evil.example/t", "resources[2].vault.token_endpoint: what people connected"),
    ("issuer: https://forge.example", "issuer: https://evil.example", "resources[2].vault.issuer: what"),
    ("forge.example/r", "evil.example/r", "resources[2].vault.revocation_endpoint: what people connected"),
    ("forge.example/me", "evil.example/me", "resources[2].vault.account_endpoint: what people connected"),
    (
        "vault: {client_id: Ov23li,",
        'vault: {client_id: Ov23li, revocation_endpoint: "https://evil.example",',
        "resources[1].vault.revocation_endpoint: what people connected",
    ),
]


@pytest.mark.parametrize(("written", "instead", "said"), STAYS)
def test_what_people_connected_is_never_shown_to_another_provider(
    desk, written: str, instead: str, said: str
) -> None:
    desk.put(ESTATE)
    found = desk.problems(ESTATE.replace(written, instead, 1))
    assert any(said in problem for problem in found), found
    assert desk.put(ESTATE.replace("forge.example/a", "forge.example/b")) != []


def test_an_address_that_is_shown_tokens_is_taken_away_or_added_beside_the_token_endpoint(desk) -> None:
    desk.put(ESTATE)
    without = re.sub(r" +(revocation|account)_endpoint: .*\n", "", ESTATE)
    assert desk.put(without) != []
    found = desk.problems(ESTATE.replace("forge.example/r", "evil.example/r"))
    assert any("resources[2].vault.revocation_endpoint: it has to be where" in one for one in found), found
    assert desk.put(ESTATE.replace("forge.example/r", "forge.example/gone")) != []


def test_what_the_row_says_anyway_may_be_written_down_or_left_out(desk) -> None:
    desk.put(ESTATE)
    named = 'vault: {client_id: Ov23li, account_endpoint: "https://api.github.com/user",'
    assert desk.put(ESTATE.replace("vault: {client_id: Ov23li,", named)) != []
    assert desk.put(ESTATE) != []


OWN = """vault: {client_id: Ov23li, token_endpoint: "https://ghe.example/login/oauth/access_token","""


def test_a_server_of_ones_own_is_written_down_whole_and_asks_nothing_of_the_providers(desk) -> None:
    """GitHub Enterprise: neither its tokens nor the secret there are any business of github.com."""
    own = ESTATE.replace("vault: {client_id: Ov23li,", OWN)
    assert any("resources[1].vault.authorization_endpoint: the server" in one for one in desk.problems(own))
    there = OWN + ' authorization_endpoint: "https://ghe.example/login/oauth/authorize",'
    desk.put(ESTATE.replace("vault: {client_id: Ov23li,", there))
    aim = reach.of(desk.apply.holdings().resources["github"])
    assert aim is not None and aim.provider.name == "github"
    assert (aim.revocation_endpoint, aim.account_endpoint) == (None, None)


REMOVED: dict[str, Callable[[str], str]] = {
    "membership": lambda estate: estate.replace(
        "alice, tenants: [{id: acme}]", "alice, tenants: [{id: globex}]"
    ),
    "tenants": lambda estate: estate.replace(
        "https://api.github.com\n    tenants: [acme]", "https://api.github.com\n    tenants: [globex]"
    ).replace('mcp", tenants: [acme]', 'mcp", tenants: [acme, globex]'),
    "user": lambda estate: estate.replace("{id: alice, tenants: [{id: acme}]}", ""),
    "resource": lambda estate: (
        estate[: estate.index("  - id: github")] + estate[estate.index("  - id: forge") :]
    ),
}


@pytest.fixture
def there() -> Iterator[Provider]:
    found = Provider()
    found.answers["/applications/Ov23li/token"] = (204, {}, b"")
    yield found
    found.close()


@pytest.mark.parametrize("what", REMOVED)
def test_a_connection_goes_with_its_user_their_membership_or_its_system(desk, there, what: str) -> None:
    written = ESTATE.replace("client_id: Ov23li", f"client_id: Ov23li, revocation_endpoint: '{there.origin}'")
    desk.put(written)
    made = replace(connection("a", user="alice"), resource_id="github")
    sealed = Sealing(KEK).sealed(made, Tokens("t0ken", "refresh"))
    desk.broker.world.database.write(lambda tx: store.add(tx, made, sealed))
    estate = REMOVED[what](written)
    estate = estate[: estate.index("edges:")] if what == "resource" else estate
    desk.put(estate, prune=True)
    found = desk.broker.world.database.read(lambda tx: store.get(tx, made.id))
    assert found is not None and found[1] is None and found[0].state.value == "disconnected"
    if what == "resource":
        assert (
            desk.broker.world.database.read(lambda tx: desk.broker.vault.credentials.secret(tx, "github"))
            is None
        )
    desk.broker.vault.tend()
    [told] = there.asked
    assert (told.method, told.path) == ("DELETE", "/applications/Ov23li/token")
    pair = base64.b64encode(f"Ov23li:{quote_plus(SECRET)}".encode()).decode()
    assert told.headers["authorization"] == f"Basic {pair}" and told.sent == '{"access_token": "t0ken"}'
    assert desk.facts("connection.outlived") == [] and len(desk.facts("connection.withdrawn")) == 1
