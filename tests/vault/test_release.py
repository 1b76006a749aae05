"""RFC 8693: what a server is answered that exchanges towards a system that is not ours."""

import hashlib
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.estate.model import Edge, EdgeConsent
from tests.lab import ACCESS_TOKEN, ACME, ISSUER, TICKETS
from tests.vault.steps import FORGE, Setting


def test_a_server_gets_the_providers_access_token_with_its_true_end_and_nothing_else(vault: Setting) -> None:
    browser, call = vault.signed_in(), vault.call()
    vault.connect(browser)
    vault.lab.clock.advance(100)
    answer = vault.released(call)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    [token] = vault.forge.grants[0].access
    assert answer.json == {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 3500,
        "scope": "repo:read",
        "issued_token_type": ACCESS_TOKEN,
    }
    assert answer.headers["Cache-Control"] == "no-store"
    record = vault.lab.last("token.released")
    assert (record["subject"], record["tenant"], record["resource"], record["downstream"]) == (
        "alice",
        "acme",
        "tickets",
        "forge",
    )
    assert record["jti_hash"] == hashlib.sha256(token.encode()).hexdigest()
    assert record["actors"] == ["tickets-server", "desk-app"] and record["scope"] == "repo:read"
    [connection] = vault.lab.broker.vault.connections.every()
    change = record["change"]
    assert isinstance(change, dict)
    assert (change["connection"], change["version"]) == (connection.id, 1)
    assert change["account"] == connection.account.id and connection.account.name == "octo"
    assert [step["fact"] for step in vault.lab.trace(str(record["txn"]))][-1] == "token.released"


def test_a_token_of_which_the_provider_names_no_end_has_none_here(vault: Setting) -> None:
    vault.forge.lifetime, vault.forge.refreshable = None, False
    vault.connect(vault.signed_in())
    call = vault.call()
    assert "expires_in" not in vault.released(call).json
    vault.lab.clock.advance(100_000)
    assert vault.released(vault.call()).status_code == 200
    assert vault.forge.refreshes == 0


def test_without_a_connection_the_user_is_sent_to_the_page_that_makes_one(vault: Setting) -> None:
    answer = vault.released()
    vault.lab.refused(answer, 400, "interaction_required", "connection_missing")
    url = urlsplit(answer.json["interaction_uri"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{ISSUER}/connections/forge"
    asked = parse_qs(url.query)
    assert asked == {
        "tenant": ["acme"],
        "scope": ["repo:read"],
        "for": [vault.lab.broker.vault.whose.mark("alice")],
    }
    assert vault.forge.asked == []
    vault.connect(vault.signed_in())
    assert vault.released().status_code == 200


def test_the_page_is_at_the_door_of_the_token(vault: Setting) -> None:
    answer = vault.released(vault.call(door="/t/acme"), door="/t/acme")
    assert answer.json["interaction_uri"].startswith(f"{ACME}/connections/forge?")


def test_a_connection_that_can_do_less_sends_the_user_to_allow_more(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    writing = vault.call(scope="tickets:read tickets:write")
    answer = vault.released(writing)
    vault.lab.refused(answer, 400, "interaction_required", "connection_narrow")
    assert parse_qs(urlsplit(answer.json["interaction_uri"]).query)["scope"] == ["repo:read repo:write"]
    narrowed = vault.lab.exchange(writing, resource=FORGE, scope="repo:read")
    assert narrowed.status_code == 200 and narrowed.json["scope"] == "repo:read"


def test_a_connection_that_can_do_more_than_the_call_is_not_released(vault: Setting) -> None:
    vault.connect(vault.signed_in(), scope=["repo:read", "repo:write"])
    record = vault.lab.refused(vault.released(vault.call()), 400, "invalid_scope", "connection_wide")
    assert record["detail"] == "repo:write"
    writing = vault.call(scope="tickets:read tickets:write")
    assert vault.released(writing).status_code == 200
    vault.lab.refused(
        vault.lab.exchange(writing, resource=FORGE, scope="repo:read"),
        400,
        "invalid_scope",
        "connection_wide",
    )


def test_an_edge_that_says_nothing_of_release_releases_nothing(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    edge = Edge("tickets", "forge", {"tickets:read": ("repo:read",)}, consent=EdgeConsent.ADMIN)
    vault.lab.change(lambda tx: vault.lab.broker.changes.put_edge(tx, edge))
    vault.lab.refused(vault.released(), 400, "invalid_target", "release_not_allowed")


def test_the_consent_has_to_show_the_system_where_its_edge_says_so(vault: Setting) -> None:
    vault.lab.change(lambda tx: vault.lab.broker.changes.remove_edge(tx, "tickets", "forge"))
    before = vault.call()
    edge = Edge("tickets", "forge", {"tickets:read": ("repo:read",)}, release=True)
    vault.lab.change(lambda tx: vault.lab.broker.changes.put_edge(tx, edge))
    vault.connect(vault.signed_in())
    vault.lab.refused(vault.released(before), 400, "interaction_required", "edge_not_consented")
    assert vault.released(vault.call()).status_code == 200


@pytest.mark.parametrize("before", ["an edge that releases nothing", "another way there"])
def test_a_release_that_is_allowed_later_asks_the_user(vault: Setting, before: str) -> None:
    later = Edge("tickets", "forge", {"tickets:read": ("repo:read",)}, release=True)
    other = replace(later, source="notes", scopes={"notes:read": ("repo:read",)})

    def work(tx: object) -> None:
        changes = vault.lab.broker.changes
        changes.remove_edge(tx, "tickets", "forge")
        changes.put_edge(tx, other if before == "another way there" else replace(later, release=False))

    vault.lab.change(work)
    vault.connect(vault.signed_in())
    call = vault.call()
    vault.lab.change(lambda tx: vault.lab.broker.changes.put_edge(tx, later))
    vault.lab.refused(vault.released(call), 400, "interaction_required", "edge_not_consented")
    assert vault.released(vault.call()).status_code == 200


def test_no_token_of_ours_is_made_for_a_system_that_is_not_ours(vault: Setting) -> None:
    page = vault.lab.browser().get(vault.lab.authorize_url(resource=FORGE, scope="repo:read"))
    assert "invalid_target" in page.headers.get("Location", "")
    answer = vault.lab.client_credentials(resource=FORGE)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_target")


@pytest.mark.parametrize("kind", ["user", "tenant", "resource", "edge", "client", "grant"])
def test_what_is_switched_off_releases_nothing_and_asks_no_provider(vault: Setting, kind: str) -> None:
    vault.connect(vault.signed_in())
    tokens = vault.lab.tokens()
    call = tokens["access_token"]
    vault.lab.clock.advance(3590)
    call = vault.call()
    asked = len(vault.forge.asked)
    target = {
        "user": "alice",
        "tenant": "acme",
        "resource": "forge",
        "edge": "tickets->forge",
        "client": "tickets-server",
        "grant": str(vault.lab.last("token.issued")["grant_id"]),
    }[kind]
    vault.lab.switch(kind, target)
    assert vault.released(call).status_code in (400, 401)
    assert len(vault.forge.asked) == asked
    vault.lab.lift(kind, target)
    assert vault.released(call).status_code == 200


def test_a_release_that_cannot_be_recorded_does_not_happen(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    call = vault.call()
    with vault.lab.without_table("audit_record"):
        answer = vault.released(call)
    assert answer.status_code == 503 and b"upstream-access" not in answer.data
    assert vault.lab.rows("vault_release") == 0
    assert vault.released(call).status_code == 200
    assert vault.lab.rows("vault_release") == 1


def test_many_calls_with_one_token_leave_one_release_and_a_record_of_each(vault: Setting) -> None:
    vault.connect(vault.signed_in())
    call = vault.call()
    assert [vault.released(each).status_code for each in (call, call, call)] == [200] * 3
    assert vault.lab.rows("vault_release") == 1 and len(vault.lab.facts("token.released")) == 3
    assert vault.released(vault.call()).status_code == 200  # another grant
    assert vault.lab.rows("vault_release") == 2


def test_a_bound_caller_gets_what_the_provider_made_and_is_told_so(vault: Setting) -> None:
    """The provider knows nothing of our keys: its token is a bearer token whatever the caller proved."""
    vault.connect(vault.signed_in())
    answer = vault.released()
    assert answer.json["token_type"] == "Bearer" and TICKETS not in answer.get_data(as_text=True)
