"""Applying an estate file: idempotent, whole or not at all, recorded."""

import json
from collections.abc import Callable

import pytest

from broker.admin.credentials import NoCredential
from broker.admin.export import export
from broker.admin.model import Difference, EstateProblems
from broker.identity.clients.model import Client, Registered
from broker.protocol.origin import Origin
from tests.proofs import Holder

ORIGIN = Origin("req_test", "cli", "http://127.0.0.1:8400")


def done(changes: list) -> list[tuple[str, str, str]]:
    return [(change.action, change.noun, change.id) for change in changes]


def test_the_first_apply_creates_everything_in_an_order_that_refers_backwards(desk, estate) -> None:
    assert done(desk.put(estate)) == [
        ("create", "tenant", "acme"),
        ("create", "tenant", "globex"),
        ("create", "user", "alice"),
        ("create", "user", "bob"),
        ("create", "client", "desk-app"),
        ("create", "client", "nightly"),
        ("create", "client", "tickets-server"),
        ("create", "resource", "tickets"),
        ("create", "resource", "crm"),
        ("create", "edge", "tickets->crm"),
    ]


def test_a_second_apply_changes_nothing_and_records_nothing(desk, estate) -> None:
    desk.put(estate)
    facts = len(desk.facts())
    assert desk.put(estate) == []
    assert desk.put(estate, prune=True) == []
    assert len(desk.facts()) == facts


def test_a_dry_run_tells_the_plan_and_changes_nothing(desk, estate) -> None:
    planned = desk.put(estate, dry_run=True)
    assert planned and desk.apply.holdings().held == {} and desk.facts() == []
    assert done(desk.put(estate)) == done(planned)


def test_a_change_says_what_differs(desk, estate) -> None:
    desk.put(estate)
    changed = desk.put(
        estate.replace("name: Ticket desk", "name: Tickets").replace("lifetime: 90", "lifetime: 60")
    )
    assert done(changed) == [
        ("update", "client", "tickets-server"),
        ("update", "resource", "tickets"),
        ("update", "edge", "tickets->crm"),
    ]
    assert changed[1].differences == (Difference("name", "Ticket desk", "Tickets"),)
    assert changed[2].differences == (Difference("lifetime", 90, 60),)


def test_requests_are_judged_by_what_was_applied_at_once_and_keys_are_there(desk, estate) -> None:
    desk.put(estate)
    resource = desk.broker.estate().by_uri("http://127.0.0.1:9999/mcp")
    assert resource is not None and resource.client_id == "tickets-server" and resource.publish
    assert not desk.broker.estate().resources["crm"].publish
    published = {
        door: {record.alg for record in desk.broker.door_keys.ring().published(door)}
        for door in (
            "http://127.0.0.1:8400",
            "http://127.0.0.1:8400/t/acme",
            "http://127.0.0.1:8400/t/globex",
        )
    }
    assert published == {
        "http://127.0.0.1:8400": {"ES256", "EdDSA"},
        "http://127.0.0.1:8400/t/acme": {"ES256", "EdDSA"},
        "http://127.0.0.1:8400/t/globex": {"ES256"},
    }


def test_a_resource_brings_its_own_client(desk, estate) -> None:
    desk.put(estate)
    own = desk.apply.holdings().clients["tickets-server"]
    assert (own.registered, own.method, own.tenant) == (Registered.RESOURCE, "client_secret_basic", "acme")
    assert own.grant_types == ("urn:ietf:params:oauth:grant-type:token-exchange",)
    assert (own.scopes, own.resources) == (None, None)


def test_a_resource_that_serves_another_tenant_too_takes_its_secret_along(desk, estate) -> None:
    desk.put(estate)
    desk.put(estate.replace("tenants: [acme]\n    default", "tenants: [acme, globex]\n    default"))
    doors = desk.broker.estate().doors
    client, secrets = desk.broker.clients.with_secrets(doors.for_tenant("globex"), "tickets-server")
    assert client is not None and client.tenant is None and len(secrets) == 1


def test_a_client_that_its_resource_lets_go_goes(desk, estate) -> None:
    desk.put(estate)
    without = estate.replace('client: {client_id: tickets-server, client_secret: "ticket-secret"}\n', "\n")
    assert done(desk.put(without)) == [
        ("delete", "client", "tickets-server"),
        ("update", "resource", "tickets"),
    ]


def test_what_the_file_leaves_out_stays_unless_pruned(desk, estate) -> None:
    desk.put(estate)
    small = "tenants: [{id: acme, name: Acme Corporation}]"
    assert desk.put(small) == []
    gone = done(desk.put(small, prune=True))
    assert gone[0] == ("delete", "edge", "tickets->crm") and gone[-1] == ("delete", "tenant", "globex")
    assert set(desk.apply.holdings().held) == {("tenant", "acme")}


def test_pruning_leaves_clients_that_registered_themselves(desk, estate) -> None:
    desk.put(estate)
    dynamic = Client(
        "dyn_1", "App", None, "none", Registered.DYNAMIC, ("https://a.example/cb",), ("authorization_code",)
    )
    desk.broker.world.database.write(lambda tx: desk.broker.clients.put(tx, dynamic))
    desk.put("{}", prune=True)
    assert set(desk.apply.holdings().held) == {("client", "dyn_1")}


def test_an_id_that_was_deleted_is_never_given_again_and_nothing_of_the_file_happens(desk, estate) -> None:
    desk.put("tenants: [{id: acme}, {id: globex}]")
    desk.put("tenants: [{id: acme}]", prune=True)
    with pytest.raises(EstateProblems, match=r"tenants\[1\]: its id belonged to something that was deleted"):
        desk.put("tenants: [{id: initech}, {id: globex}]")
    assert set(desk.apply.holdings().tenants) == {"acme"}


def test_two_files_that_trade_a_uri_are_told_which_resource(desk) -> None:
    resource = "{{id: {0}, kind: mcp, uri: 'https://{1}.example/mcp', tenants: []}}"
    first = f"resources: [{resource.format('one', 'a')}, {resource.format('two', 'b')}]"
    desk.put(first)
    with pytest.raises(EstateProblems, match=r"resources\[0\].*its uri is still another's"):
        desk.put(f"resources: [{resource.format('one', 'b')}, {resource.format('two', 'a')}]")


def test_every_change_has_its_record_and_no_record_has_a_secret(desk, estate) -> None:
    changes = desk.put(estate)
    facts = desk.facts()
    assert len(facts) == len(changes)
    nightly = next(fact for fact in facts if fact.get("client") == "nightly")
    assert nightly["change"]["action"] == "create" and "client_secret" in nightly["change"]["fields"]
    assert nightly["tenant"] == "acme" and nightly["source"] == "cli"
    alice = next(fact for fact in facts if fact.get("subject") == "alice")
    assert alice["change"] == {
        "noun": "user",
        "action": "create",
        "fields": ["id", "name", "email", "tenants", "password"],
    }
    for secret in ("night-secret", "ticket-secret", "a good password"):
        assert secret not in json.dumps(facts)


def test_secrets_and_passwords_are_shown_as_stars(desk, estate) -> None:
    desk.put(estate)
    changed = desk.put(
        estate.replace("night-secret", "other-secret").replace("a good password", "another password")
    )
    assert [(change.id, change.differences) for change in changed] == [
        ("alice", (Difference("password", "***", "***"),)),
        ("nightly", (Difference("client_secret", "***", "***"),)),
    ]
    assert desk.broker.people.password_matches("alice", "another password")
    assert not desk.broker.people.password_matches("alice", "a good password")


def test_a_changed_password_ends_sessions_and_an_unchanged_one_does_not(desk, estate) -> None:
    desk.put(estate)
    origin = Origin("req_1", "203.0.113.7", "http://127.0.0.1:8400")
    desk.broker.world.database.write(
        lambda tx: desk.broker.sessions.start(tx, "alice", ("pwd",), "acr", origin)
    )
    desk.put(estate.replace("name: Alice Example", "name: Alice"))
    assert len(desk.broker.sessions.open()) == 1
    desk.put(estate.replace("a good password", "another password"))
    assert desk.broker.sessions.open() == []


def test_export_applies_back_to_no_change_and_keeps_secrets_and_passwords(desk, estate) -> None:
    desk.put(estate)
    text = export(desk.apply.holdings())
    assert "Secrets and passwords are left out" in text.splitlines()[0]
    for secret in ("night-secret", "ticket-secret", "a good password"):
        assert secret not in text
    assert desk.put(text, prune=True) == []
    assert desk.put(estate) == []


def test_export_of_a_server_moves_it_to_another(make_desk: Callable, estate) -> None:
    one, other = make_desk(), make_desk()
    one.put(estate)
    text = export(one.apply.holdings())
    other.put(text)
    assert export(other.apply.holdings()) == text


def test_a_short_secret_is_refused_outside_of_development(make_desk: Callable) -> None:
    text = "clients: [{client_id: job, type: confidential, client_secret: %s, grant_types: [client_credentials]}]"
    production = make_desk(development=False)
    assert production.problems(text % "short") == [
        "clients[0].client_secret: a secret has at least 32 characters: `openssl rand -base64 32` makes one"
    ]
    assert production.problems(text % ("x" * 32)) == []
    assert make_desk().problems(text % "short") == []


KEYED = """
tenants: [{id: acme}]
clients:
  - {client_id: nightly, type: confidential, token_endpoint_auth_method: private_key_jwt, jwks: %s,
     token_endpoint_auth_signing_alg: ES256, grant_types: [client_credentials], resources: [tickets]}
resources:
  - {id: tickets, kind: mcp, uri: "https://mcp.example/mcp", tenants: [acme], scopes: [{name: "tickets:read"}],
     client: {client_id: tickets-server, token_endpoint_auth_method: private_key_jwt,
              jwks_uri: "https://keys.example/jwks.json"}}
"""


def test_clients_with_keys_are_exported_and_apply_back_to_no_change(make_desk: Callable) -> None:
    one, other = make_desk(), make_desk()
    jwk = Holder().jwk
    text = KEYED % json.dumps({"keys": [{**jwk, "kid": "a", "x5c": ["ignored"]}]})
    one.put(text)
    assert one.put(text) == []
    exported = export(one.apply.holdings())
    other.put(exported)
    assert other.put(text) == [] and export(other.apply.holdings()) == exported
    held = other.apply.holdings().clients
    assert json.loads(held["nightly"].jwks or "") == {"keys": [{**jwk, "kid": "a"}]}
    assert held["nightly"].assertion_alg == "ES256"
    assert held["tickets-server"].jwks_uri == "https://keys.example/jwks.json"
    (change,) = one.put(KEYED % json.dumps({"keys": [{**jwk, "kid": "b"}]}))
    assert change.members == ["jwks"]


def test_clients_whose_tokens_are_bound_are_exported_and_apply_back_to_no_change(make_desk, estate) -> None:
    one, other = make_desk(), make_desk()
    bound = estate.replace("type: public", "type: public, dpop_bound_access_tokens: true").replace(
        "client: {client_id: tickets-server,",
        "client: {client_id: tickets-server, dpop_bound_access_tokens: true,",
    )
    one.put(estate)
    assert [change.members for change in one.put(bound)] == [["dpop_bound_access_tokens"]] * 2
    assert one.put(bound) == []
    held = one.apply.holdings().clients
    assert (
        held["desk-app"].dpop_bound and held["tickets-server"].dpop_bound and not held["nightly"].dpop_bound
    )
    exported = export(one.apply.holdings())
    assert exported.count("dpop_bound_access_tokens: true") == 2
    other.put(exported)
    assert export(other.apply.holdings()) == exported
    assert [change.members for change in one.put(estate)] == [["dpop_bound_access_tokens"]] * 2


def test_clients_that_ask_for_single_calls_are_exported_and_apply_back_to_no_change(
    make_desk, estate
) -> None:
    one, other = make_desk(), make_desk()
    asking = estate.replace(
        "type: public", "type: public, authorization_details_types: [mcp_tool_call]"
    ).replace(
        "client: {client_id: tickets-server,",
        "client: {client_id: tickets-server, authorization_details_types: [mcp_tool_call],",
    )
    one.put(estate)
    assert "authorization_details_types" not in export(one.apply.holdings())
    assert [change.members for change in one.put(asking)] == [["authorization_details_types"]] * 2
    assert one.put(asking) == []
    held = one.apply.holdings().clients
    assert held["desk-app"].authorization_details_types == ("mcp_tool_call",)
    assert held["tickets-server"].authorization_details_types == ("mcp_tool_call",)
    exported = export(one.apply.holdings())
    other.put(exported)
    assert export(other.apply.holdings()) == exported
    assert [change.members for change in one.put(estate)] == [["authorization_details_types"]] * 2


def test_a_client_that_is_given_keys_loses_its_secrets(desk, estate) -> None:
    desk.put(estate)
    root = desk.broker.estate().doors.root
    assert desk.broker.clients.with_secrets(root, "nightly")[1] != []
    desk.put(KEYED % json.dumps({"keys": [Holder().jwk]}))
    assert desk.broker.clients.with_secrets(root, "nightly") == (desk.apply.holdings().clients["nightly"], [])
    with pytest.raises(NoCredential, match="private_key_jwt"):
        desk.credentials.rotate_secret("nightly", ORIGIN)


def test_the_secret_in_the_file_may_have_an_older_one_beside_it(desk, estate) -> None:
    """An overlap that was begun on purpose is not ended by the next apply; another secret in the file ends it."""
    desk.put(estate)
    secret = desk.credentials.rotate_secret("nightly", ORIGIN, overlap=60)
    renewed = estate.replace("night-secret", secret)
    root = desk.broker.estate().doors.root
    assert desk.put(renewed) == []
    assert len(desk.broker.clients.with_secrets(root, "nightly")[1]) == 2
    (change,) = desk.put(estate)
    assert change.members == ["client_secret"]
    assert len(desk.broker.clients.with_secrets(root, "nightly")[1]) == 1


def test_a_rotated_secret_is_the_only_one_and_recorded(desk, estate) -> None:
    desk.put(estate)
    secret = desk.credentials.rotate_secret("nightly", ORIGIN)
    assert secret.startswith("mcpb_cs_")
    has = desk.broker.clients.has_secret
    assert desk.broker.world.database.read(lambda tx: has(tx, "nightly", secret))
    fact = desk.facts()[-1]
    assert fact["change"] == {
        "noun": "client",
        "id": "nightly",
        "action": "update",
        "fields": ["client_secret"],
    }
    with pytest.raises(NoCredential):
        desk.credentials.rotate_secret("desk-app", ORIGIN)
    with pytest.raises(LookupError):
        desk.credentials.rotate_secret("nobody", ORIGIN)


def test_a_password_that_is_set_works_and_one_that_is_too_short_changes_nothing(desk, estate) -> None:
    desk.put(estate)
    desk.credentials.set_password("bob", "a fine password", ORIGIN)
    assert desk.broker.people.password_matches("bob", "a fine password")
    with pytest.raises(ValueError, match="at least 8"):
        desk.credentials.set_password("bob", "short", ORIGIN)
    with pytest.raises(LookupError):
        desk.credentials.set_password("nobody", "a fine password", ORIGIN)
    assert desk.broker.people.password_matches("bob", "a fine password")
