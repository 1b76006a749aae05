"""Pushed requests: the same on both engines, and one answer to each."""

from dataclasses import replace

import pytest

from broker.authorization.pushed import store as pushes
from broker.runtime.database import Conflict, Database
from tests.lab import race
from tests.stores.samples import LATER, NOW, pushed


def kept(database: Database, mark: str = "a", tenant: str | None = "acme", expires_at: float = LATER) -> None:
    database.write(lambda tx: pushes.add(tx, f"hash-{mark}", pushed(mark, tenant, expires_at)))


def found(database: Database, mark: str = "a") -> object:
    return database.read(lambda tx: pushes.look(tx, f"hash-{mark}"))


@pytest.mark.parametrize("tenant", ["acme", None])
def test_a_pushed_request_comes_back_as_stored(database: Database, tenant: str | None) -> None:
    kept(database, tenant=tenant)
    assert found(database) == pushed("a", tenant)
    assert found(database, "b") is None
    with pytest.raises(Conflict):
        kept(database)


def test_a_pushed_request_is_spent_once_and_still_seen(database: Database) -> None:
    kept(database)
    results = race(16, lambda _: database.write(lambda tx: pushes.spend(tx, "hash-a", NOW)))
    assert results.count(True) == 1 and results.count(False) == 15
    assert found(database) == replace(pushed("a"), spent_at=NOW)
    assert database.write(lambda tx: pushes.spend(tx, "hash-b", NOW)) is False


def test_pushed_requests_go_when_they_are_over(database: Database) -> None:
    kept(database, "a", expires_at=NOW)
    kept(database, "b", expires_at=NOW + 1)
    database.write(lambda tx: pushes.sweep(tx, NOW))
    assert found(database, "a") is None and found(database, "b") is not None
