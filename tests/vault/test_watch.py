"""Law 6 beyond this server: what ends a release besides a switch on it, and when releases are looked at."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from broker.denials.model import Kind
from broker.estate.model import Edge, EdgeConsent
from broker.runtime.database import Unavailable
from broker.vault.watch import EVERY
from tests.lab import NOTES
from tests.vault.steps import FORGE, Setting

ALONG = Edge("notes", "forge", {"notes:read": ("repo:read",)}, consent=EdgeConsent.ADMIN, release=True)


def put(vault: Setting, edge: Edge) -> None:
    vault.lab.change(lambda tx: vault.lab.broker.changes.put_edge(tx, edge))


def handed(vault: Setting) -> str:
    """An access token in the hands of `tickets`."""
    vault.connect(vault.signed_in())
    answer = vault.released()
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return str(answer.json["access_token"])


def behind(vault: Setting) -> tuple[str, str]:
    """The subject token of a server behind another, and what that server got for it."""
    put(vault, ALONG)
    vault.connect(vault.signed_in())
    notes = vault.lab.exchange(vault.call(), resource=NOTES).json["access_token"]
    answer = vault.lab.exchange(notes, "notes-server", resource=FORGE)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return notes, str(answer.json["access_token"])


@pytest.mark.parametrize("kind", ["edge", "client", "transaction", "token"])
def test_a_switch_on_what_led_to_a_release_takes_it_back(vault: Setting, kind: str) -> None:
    _, token = behind(vault)
    record = vault.lab.last("token.released")
    [connection] = vault.lab.broker.vault.connections.every()
    [release] = vault.lab.broker.vault.releases.of(connection.id)
    jti = next(target.id for target in release.targets if target.kind is Kind.TOKEN)
    vault.lab.broker.vault.tend()
    assert vault.forge.works(token)
    named = {
        "edge": "tickets->notes",
        "client": "tickets-server",
        "transaction": str(record["txn"]),
        "token": jti,
    }
    vault.lab.switch(kind, named[kind])
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token)
    assert vault.lab.last("release.ended")["change"]["why"] == f"{kind} off"  # type: ignore[index]


def remove(vault: Setting, source: str, target: str) -> None:
    vault.lab.change(lambda tx: vault.lab.broker.changes.remove_edge(tx, source, target))


CLOSED: dict[str, Callable[[Setting], object]] = {
    "deleted": lambda vault: remove(vault, "notes", "forge"),
    "deleted before": lambda vault: remove(vault, "tickets", "notes"),
    "no release": lambda vault: put(vault, replace(ALONG, release=False)),
    "at its end": lambda vault: put(vault, replace(ALONG, expires_at=vault.lab.clock.now())),
}


@pytest.mark.parametrize("how", CLOSED)
def test_a_way_that_is_closed_takes_back_what_came_along_it(vault: Setting, how: str) -> None:
    _, token = behind(vault)
    remove(vault, "files", "forge")
    vault.lab.broker.vault.tend()
    assert vault.forge.works(token)
    CLOSED[how](vault)
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token)
    assert vault.lab.last("release.ended")["change"]["why"] == "edge ended"  # type: ignore[index]


def test_an_edge_that_comes_to_its_end_takes_back_soon_after(vault: Setting) -> None:
    put(
        vault,
        replace(
            ALONG,
            source="tickets",
            scopes={"tickets:read": ("repo:read",)},
            expires_at=vault.lab.clock.now() + 90,
        ),
    )
    token = handed(vault)
    vault.lab.broker.vault.tend()
    vault.lab.clock.advance(90 + EVERY)
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token)


def test_releases_are_looked_at_when_something_was_thrown_or_changed_and_else_now_and_then(
    vault: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed(vault)
    vaulted = vault.lab.broker.vault
    vaulted.watch.run()
    looks: list[str] = []
    still_good = type(vaulted.releases).still_good
    monkeypatch.setattr(
        type(vaulted.releases), "still_good", lambda *given: looks.append(given[2]) or still_good(*given)
    )
    for _ in range(3):
        vault.lab.clock.advance(2)
        vaulted.watch.run()
    assert looks == []
    vault.lab.switch("user", "bob")
    vaulted.watch.run()
    assert len(looks) == 2  # and whether there are more
    vaulted.watch.run()
    put(vault, ALONG)
    vaulted.watch.run()
    assert len(looks) == 4
    vault.lab.clock.advance(EVERY)
    vaulted.watch.run()
    assert len(looks) == 6


def test_a_look_that_did_not_come_to_its_end_is_taken_again(vault: Setting) -> None:
    token = handed(vault)
    vault.lab.broker.vault.watch.run()
    vault.lab.switch("user", "alice")
    with vault.lab.without_table("vault_farewell"), pytest.raises(Unavailable):
        vault.lab.broker.vault.watch.run()
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token)


def test_a_token_without_an_end_is_remembered_once_when_the_grants_it_was_released_for_are_over(
    vault: Setting,
) -> None:
    vault.forge.lifetime, vault.forge.refreshable = None, False
    token = handed(vault)
    assert [vault.released(vault.call()).status_code for _ in range(3)] == [200] * 3
    vault.lab.broker.vault.tend()
    assert vault.lab.rows("vault_release") == 4
    vault.lab.clock.advance(400 * 86400.0)
    vault.lab.broker.vault.tend()
    assert vault.lab.rows("vault_release") == 1 and vault.forge.works(token)
    vault.lab.switch("client", "tickets-server")
    vault.lab.broker.vault.tend()
    assert not vault.forge.works(token)
