"""RFC 7009: what is off here is taken back at the provider, or said to be alive there until its end."""

from dataclasses import replace

import pytest

from broker.denials.model import edge_ends
from broker.vault.farewells.farewells import WAITS
from broker.vault.model import State
from tests.lab import NOTES
from tests.vault.steps import Setting


def handed(vault: Setting) -> str:
    """An access token in the hands of `tickets`."""
    vault.connect(vault.signed_in())
    return str(vault.released().json["access_token"])


@pytest.mark.parametrize("kind", ["user", "tenant", "resource", "edge", "client", "grant", "everything"])
def test_a_switch_takes_back_at_the_provider_what_was_released_before(vault: Setting, kind: str) -> None:
    token = handed(vault)
    target = {
        "user": "alice",
        "tenant": "acme",
        "resource": "forge",
        "edge": "tickets->forge",
        "client": "tickets-server",
        "grant": str(vault.lab.last("token.released")["grant_id"]),
        "everything": "*",
    }[kind]
    vault.lab.broker.vault.tend()
    assert vault.forge.works(token)
    vault.lab.switch(kind, target)
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token)
    record = vault.lab.last("release.ended")
    assert (record["subject"], record["downstream"], record["resource"]) == ("alice", "forge", "tickets")
    change = record["change"]
    assert isinstance(change, dict) and change["told"] is True and "alive_until" not in change
    assert vault.lab.last("connection.withdrawn")["downstream"] == "forge"
    assert vault.lab.rows("vault_farewell") == 0
    before = len(vault.lab.facts())
    vault.lab.broker.vault.tend()
    assert len(vault.lab.facts()) == before


@pytest.mark.attack("KILL-03")
@pytest.mark.parametrize(
    "what",
    [
        "resource tickets",
        "resource notes",
        "edge tickets->notes",
        "edge notes->forge",
        "no edge tickets->notes",
        "no edge notes->forge",
    ],
)
def test_what_ends_a_chain_takes_back_what_was_released_at_its_end(vault: Setting, what: str) -> None:
    """Any server that the call went through, and any edge that it came along: switched off, or there no more."""
    lab = vault.lab
    last = replace(
        lab.broker.estate().edges["tickets", "forge"], source="notes", scopes={"notes:read": ("repo:read",)}
    )
    lab.change(lambda tx: lab.broker.changes.put_edge(tx, last))
    vault.connect(vault.signed_in())
    notes = lab.exchange(vault.call(), resource=NOTES).json["access_token"]
    token = vault.released(notes, "notes-server").json["access_token"]
    vault.lab.broker.vault.tend()
    assert vault.forge.works(token)
    kind, _, target = what.rpartition(" ")
    if kind == "no edge":
        lab.change(lambda tx: lab.broker.changes.remove_edge(tx, *edge_ends(target)))
    else:
        lab.switch(kind, target)
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token)
    assert lab.last("release.ended")["resource"] == "notes"


def test_a_switch_about_somebody_else_takes_nothing_back(vault: Setting) -> None:
    token = handed(vault)
    for kind, target in (
        ("user", "bob"),
        ("tenant", "globex"),
        ("edge", "files->forge"),
        ("resource", "crm"),
    ):
        vault.lab.switch(kind, target)
    vault.lab.broker.vault.tend()
    assert vault.forge.works(token) and vault.lab.facts("release.ended") == []


def test_a_grant_that_its_user_takes_back_takes_the_token_back(vault: Setting) -> None:
    token = handed(vault)
    assert vault.lab.broker.grants.revoke(str(vault.lab.last("token.released")["grant_id"]), "test")
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token)


def test_where_nothing_can_be_revoked_the_evidence_says_until_when_it_is_alive(vault: Setting) -> None:
    vault.without_revocation()
    token = handed(vault)
    vault.lab.switch("user", "alice")
    vault.lab.broker.vault.tend()
    assert vault.forge.works(token) and vault.forge.forms("/revoke") == []
    change = vault.lab.last("release.ended")["change"]
    assert isinstance(change, dict)
    assert (change["told"], change["alive_until"]) == (False, "2027-01-15T09:00:00Z")
    [connection] = vault.lab.broker.vault.connections.every()
    [release] = vault.lab.broker.vault.releases.of(connection.id)
    assert (release.withdrawn, release.ended_at, release.expires_at) == (
        False,
        vault.lab.clock.now(),
        vault.lab.clock.now() + 3600,
    )


def test_a_token_that_was_refreshed_since_is_alive_until_its_own_end(vault: Setting) -> None:
    """Only the newest is kept: of an older one there is nothing that the provider could be told."""
    handed(vault)
    vault.lab.clock.advance(3550)
    assert vault.released().status_code == 200
    vault.lab.switch("user", "alice")
    vault.lab.broker.vault.tend()
    told = [record["change"]["told"] for record in vault.lab.facts("release.ended")]  # type: ignore[index]
    assert sorted(map(bool, told)) == [False, True]


def test_a_lifted_switch_leaves_a_connection_that_goes_on_where_its_provider_lets_it(vault: Setting) -> None:
    token = handed(vault)
    grant = vault.forge.grants[0]
    vault.lab.switch("edge", "tickets->forge")
    vault.forge.answers["/revoke"] = (200, {}, b"")  # one token, not its whole grant
    vault.lab.broker.vault.tend()
    grant.access.discard(token)
    vault.lab.lift("edge", "tickets->forge")
    again = vault.released()
    assert again.status_code == 200 and again.json["access_token"] != token


def test_a_token_that_nothing_can_renew_goes_with_its_connection(vault: Setting) -> None:
    vault.forge.lifetime, vault.forge.refreshable = None, False
    token = handed(vault)
    vault.lab.switch("client", "tickets-server")
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token)
    [connection] = vault.lab.broker.vault.connections.every()
    assert connection.state is State.NEEDS_RECONNECT
    vault.lab.lift("client", "tickets-server")
    vault.lab.refused(vault.released(), 400, "interaction_required", "connection_broken")


@pytest.mark.attack("VAULT-16")
def test_a_provider_that_is_away_is_told_later_and_in_the_end_the_evidence_says_that_it_was_not(
    vault: Setting,
) -> None:
    handed(vault)
    browser = vault.signed_in()
    vault.forge.revokes = False
    vault.disconnect(browser)
    assert vault.lab.last("connection.ended")["change"]["told"] is True  # type: ignore[index]
    vault.lab.broker.vault.tend()
    assert vault.lab.rows("vault_farewell") == 2
    for _ in range(2 * len(WAITS)):
        vault.lab.clock.advance(WAITS[-1])
        vault.lab.broker.vault.tend()
    records = vault.lab.facts("connection.outlived")
    assert {(record["outcome"], record["reason"]) for record in records} == {
        ("denied", "provider_unavailable")
    }
    until = {record["change"]["alive_until"] for record in records}  # type: ignore[index]
    assert until == {"2027-01-15T09:00:00Z", "no end"}  # the access token, the refresh token
    assert vault.lab.facts("connection.withdrawn") == [] and vault.lab.rows("vault_farewell") == 0


@pytest.mark.attack("VAULT-16")
def test_a_provider_that_comes_back_is_told(vault: Setting) -> None:
    token = handed(vault)
    vault.forge.revokes = False
    vault.disconnect(vault.signed_in())
    vault.lab.broker.vault.tend()
    assert vault.forge.works(token)
    vault.forge.revokes = True
    vault.lab.clock.advance(WAITS[0])
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token) and vault.lab.rows("vault_farewell") == 0


@pytest.mark.attack("VAULT-16")
def test_where_nothing_can_be_revoked_disconnecting_says_until_when(vault: Setting) -> None:
    vault.without_revocation()
    token = handed(vault)
    vault.disconnect(vault.signed_in())
    assert vault.lab.last("connection.ended")["change"]["told"] is False  # type: ignore[index]
    assert vault.lab.last("connection.outlived")["change"]["alive_until"] == "2027-01-15T09:00:00Z"  # type: ignore[index]
    assert token.encode() not in vault.lab.dump()


def test_who_is_removed_from_the_estate_takes_their_connections_along(vault: Setting) -> None:
    token = handed(vault)
    vault.lab.change(
        lambda tx: vault.lab.broker.vault.connections.end_all(tx, "the user was removed", user_id="alice")
    )
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token)
    assert vault.lab.broker.vault.connections.every() == []
