"""Texts of policies: the same on both engines."""

from broker.control.policy import store as policies
from broker.runtime.database import Conflict, Database
from tests.lab import race
from tests.stores.samples import LATER, NOW


def kept(database: Database, wall: str | None = None) -> list[tuple[object, ...]]:
    found = database.read(policies.every, wall)
    return [(text.tenant, text.text, text.version, text.changed_at) for text in found]


def test_a_text_comes_back_as_kept_and_counts_its_versions(database: Database) -> None:
    database.write(lambda tx: policies.put(tx, "*", "first ä\n", NOW))
    assert kept(database) == [("*", "first ä\n", 1, NOW)]
    database.write(lambda tx: policies.put(tx, "*", "second", LATER))
    assert kept(database) == [("*", "second", 2, LATER)]


def test_each_tenant_has_one_of_its_own_and_sees_no_other(database: Database) -> None:
    for tenant in ("globex", "acme", "*"):
        database.write(lambda tx, tenant=tenant: policies.put(tx, tenant, f"of {tenant}", NOW))
    assert [row[0] for row in kept(database)] == ["*", "acme", "globex"]
    assert kept(database, "acme") == [("acme", "of acme", 1, NOW)]


def test_what_is_removed_is_gone_and_begins_anew(database: Database) -> None:
    database.write(lambda tx: policies.put(tx, "acme", "one", NOW))
    database.write(lambda tx: policies.put(tx, "globex", "other", NOW))
    assert database.write(lambda tx: policies.remove(tx, "acme")) is True
    assert database.write(lambda tx: policies.remove(tx, "acme")) is False
    assert [row[0] for row in kept(database)] == ["globex"]
    database.write(lambda tx: policies.put(tx, "acme", "two", LATER))
    assert kept(database)[0] == ("acme", "two", 1, LATER)


def test_of_many_who_change_it_at_once_each_makes_a_version(database: Database) -> None:
    database.write(lambda tx: policies.put(tx, "*", "one", NOW))
    results = race(8, lambda i: database.write(lambda tx: policies.put(tx, "*", f"text {i}", NOW)))
    assert results == [None] * 8 and kept(database)[0][2] == 9


def test_of_many_who_bring_the_first_the_others_conflict_or_come_after(database: Database) -> None:
    results = race(8, lambda i: database.write(lambda tx: policies.put(tx, "*", f"text {i}", NOW)))
    done = [result for result in results if result is None]
    assert all(result is None or isinstance(result, Conflict) for result in results)
    assert len(kept(database)) == 1 and kept(database)[0][2] == len(done)
