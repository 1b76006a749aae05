"""`broker vault`: connections listed, looked at, ended and sealed anew; never a token of one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from broker import app
from broker.cli.local import Place, composed, settings_for
from broker.denials.model import Kind, Target
from broker.vault import store  # a connection to list, without a provider
from broker.vault.model import State, Tokens
from broker.vault.sealing import Sealing
from keys.sealed import create_key_file, read_key_file
from tests.stores.vaulted import connection, release

TOKENS = Tokens("access-canary", "refresh-canary")


@pytest.fixture
def held(folder: Path, run: Callable[..., object]) -> str:
    """A connection of alice to a system that is in no estate any more; its id."""
    broker = broker_at(folder)
    made = replace(connection("a", user="alice"), wider=())
    sealed = Sealing(read_key_file(folder / "kek")).sealed(made, TOKENS)

    def work(tx: object) -> None:
        store.add(tx, made, sealed)
        one = replace(release("a"), connection_id=made.id, targets=(Target(Kind.USER, "alice"),))
        broker.vault.releases.note(tx, one)
        broker.vault.credentials.set(tx, made.resource_id, "a secret there")

    broker.world.database.write(work)
    broker.close()
    return made.id


def broker_at(folder: Path) -> app.Broker:
    return composed(settings_for(Place(folder, None)))


def test_connections_are_listed_and_shown_without_a_token(run, told, held: str) -> None:
    [row] = told("vault", "list")
    assert (row["id"], row["user"], row["state"], row["account"]) == (
        held,
        "alice",
        "connected",
        "Äccount a",
    )
    assert told("vault", "list", "--user", "bob") == told("vault", "list", "--tenant", "globex") == []
    shown = run("vault", "get", held).stdout
    assert "via" not in shown and "tickets" in shown and "canary" not in shown
    [released] = told("vault", "get", held)["released"]
    assert (released["to"], released["ended"], released["told"]) == ("tickets", None, False)
    run("vault", "get", "con_none", code=3)


def test_a_connection_is_ended_once_and_its_tokens_are_gone(run, told, folder: Path, held: str) -> None:
    assert told("vault", "disconnect", held) == {"connection": held}
    assert told("vault", "list") == [] and told("vault", "get", held)["state"] == "disconnected"
    run("vault", "disconnect", held, code=3)
    broker = broker_at(folder)
    found = broker.world.database.read(lambda tx: store.get(tx, held))
    broker.close()
    assert found is not None and found[1] is None


def test_another_sealing_key_opens_what_the_one_before_it_sealed_until_it_is_sealed_anew(
    run, told, folder: Path, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "kek").rename(folder / "kek.old")
    create_key_file(folder / "kek")
    assert run("vault", "list", code=1).exception is not None  # nothing opens, signing keys among it
    monkeypatch.setenv("BROKER_PREVIOUS_KEY_ENCRYPTION_KEY_FILE", str(folder / "kek.old"))
    assert told("vault", "rewrap") == {"connections": 1, "secrets": 1}
    assert told("vault", "rewrap")["connections"] == 0
    assert told("vault", "health") == []
    broker, alone = broker_at(folder), Sealing(read_key_file(folder / "kek"))
    found = broker.world.database.read(lambda tx: store.get(tx, held))
    broker.close()
    assert found is not None and found[1] is not None
    opened = alone.opened(found[0], found[1])
    assert (opened.access, opened.refresh) == (TOKENS.access, TOKENS.refresh)


def test_what_is_wrong_with_connections_is_told_with_the_exit_code_of_the_unhealthy(
    run, told, folder: Path, held: str
) -> None:
    assert told("vault", "health") == []
    broker = broker_at(folder)
    broker.world.database.write(lambda tx: store.broke(tx, held, 1, "the provider says so", 0.0))
    broker.close()
    answer = run("vault", "health", code=5, json_output=True)
    assert '"needs_reconnect"' in answer.output and "the provider says so" in answer.output
    broker = broker_at(folder)
    broker.world.database.write(
        lambda tx: tx.connection.exec_driver_sql("UPDATE vault_connection SET version = 9")
    )
    broker.close()
    assert '"unreadable"' in run("vault", "health", code=5, json_output=True).output
    assert State.CONNECTED.value == "connected"
