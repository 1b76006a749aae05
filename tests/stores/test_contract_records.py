"""The audit trail, the estate and the signing keys: the same on both engines."""

from dataclasses import replace
from itertools import pairwise

import pytest

from broker.audit import store as audit
from broker.audit.store import Stored
from broker.estate import store as estate
from broker.runtime.database import Conflict, Database, Unavailable
from keys import store as keys
from keys.model import KeyRecord, KeyState
from tests.lab import race
from tests.stores.samples import NOW, edge, key, record, resource

# The audit trail


def add(
    database: Database, mark: str, personal: str | None = None, subject: str | None = None, **changes: object
) -> None:
    database.write(lambda tx: audit.add(tx, record(mark, **changes), personal, subject))


def body(mark: str) -> str:
    return str(record(mark)["body"])


def test_a_record_comes_back_with_its_personal_values_and_its_id_is_given_once(database: Database) -> None:
    add(database, "a", '{"subject":"☃"}', "user-a")
    add(database, "b")
    assert database.read(lambda tx: audit.find(tx)) == [
        Stored(None, body("b"), None),
        Stored(None, body("a"), '{"subject":"☃"}'),
    ]
    with pytest.raises(Conflict):
        add(database, "a")


def test_records_are_found_by_what_they_say_newest_first(database: Database) -> None:
    add(database, "a", '{"subject":"x"}', "user-a", time=NOW - 2)
    add(database, "b", fact="token.refused", outcome="denied", time=NOW - 1)
    add(database, "c")

    def found(**filters: object) -> list[str]:
        return [stored.body for stored in database.read(lambda tx: audit.find(tx, **filters))]

    assert found() == [body("c"), body("b"), body("a")]
    assert found(most=2) == [body("c"), body("b")]
    assert found(fact="token.refused") == found(outcome="denied") == found(client="client-b") == [body("b")]
    assert found(subject="user-a") == [body("a")]
    assert found(since=NOW - 1) == [body("c"), body("b")]
    assert found(fact="never") == []


@pytest.mark.parametrize("handle", ["aud-a", "txn-a", "grant-a", "jti-a", "parent-a", "req-a"])
def test_a_record_is_found_by_each_of_its_ids(database: Database, handle: str) -> None:
    for mark in ("a", "b"):
        add(database, mark)
    assert database.read(lambda tx: audit.handles(tx, handle)) == [("aud-a", "txn-a", "grant-a", "req-a")]


def test_a_chain_holds_everything_that_belongs_together_oldest_first(database: Database) -> None:
    add(database, "d")
    add(database, "c", txn="t", time=NOW - 1)
    add(database, "b", grant_id="g", time=NOW - 2)
    add(database, "a", request_id="r", time=NOW - 2)

    def chain(*which: list[str]) -> list[str]:
        return [stored.body for stored in database.read(lambda tx: audit.chain(tx, *which))]

    assert chain(["aud-d"], ["t"], ["g"], ["r"]) == [body("a"), body("b"), body("c"), body("d")]
    assert chain([], ["t"], [], []) == [body("c")]
    assert chain([], [], [], []) == []


def test_every_record_comes_back_as_it_was_written_oldest_first(database: Database) -> None:
    add(database, "b")
    add(database, "a", '{"subject":"x"}', "user-a", time=NOW)
    add(database, "c", None, None, tenant=None, time=NOW - 1)
    written = database.read(audit.every)
    assert [(one.id, one.time) for one in written] == [
        ("aud-c", NOW - 1),
        ("aud-a", NOW),
        ("aud-b", NOW),
    ]
    assert written[1] == audit.Written("aud-a", None, NOW, "token.issued", "jti-a", body("a"), "0" * 64)


# The estate


def test_a_resource_comes_back_as_stored_and_its_id_and_uri_are_its_own(database: Database) -> None:
    a, b = resource("a"), resource("b")
    database.write(lambda tx: [estate.put_resource(tx, one) for one in (b, a)])
    assert database.read(estate.resources) == [a, b]
    changed = replace(a, uri="https://new.example/mcp", tenants=("*",), default=False)
    database.write(lambda tx: estate.put_resource(tx, changed))
    assert database.read(estate.resources) == [changed, b]
    for taken in (resource("c", b.uri), replace(a, uri=b.uri)):
        with pytest.raises(Conflict):
            database.write(lambda tx, taken=taken: estate.put_resource(tx, taken))
    results = race(16, lambda _: database.write(lambda tx: estate.remove_resource(tx, "resource-b")))
    assert sorted(results) == [False] * 15 + [True]
    with pytest.raises(Conflict):
        database.write(lambda tx: estate.put_resource(tx, replace(b, uri="https://other.example/mcp")))
    database.write(lambda tx: estate.put_resource(tx, resource("c", b.uri)))
    assert database.read(estate.resources) == [changed, resource("c", b.uri)]


def test_an_edge_is_put_replaced_and_removed(database: Database) -> None:
    database.write(lambda tx: [estate.put_edge(tx, one) for one in (edge("b"), edge("a"))])
    terms = {"purpose": "look up", "expires_at": NOW + 60, "release": True}
    changed = replace(edge("a", 30), **terms)
    database.write(lambda tx: estate.put_edge(tx, changed))
    assert database.read(estate.edges) == [changed, edge("b")]
    removed = race(16, lambda _: database.write(lambda tx: estate.remove_edge(tx, "resource-a", "down-a")))
    assert sorted(removed) == [False] * 15 + [True]
    assert database.read(estate.edges) == [edge("b")]


def test_an_edge_keeps_who_made_it_and_when_until_it_is_made_anew(database: Database) -> None:
    def put(lifetime: int, at: float, by: str) -> None:
        made = replace(edge("a", lifetime), created_at=at, created_by=by)
        database.write(lambda tx: estate.put_edge(tx, made))

    def kept() -> tuple[int, float | None, str | None]:
        [found] = database.read(estate.edges)
        return found.lifetime, found.created_at, found.created_by

    put(30, NOW, "alice")
    put(60, NOW + 1, "bob")
    assert kept() == (60, NOW, "alice")
    database.write(lambda tx: estate.remove_edge(tx, "resource-a", "down-a"))
    put(60, NOW + 1, "bob")
    assert kept() == (60, NOW + 1, "bob")


# Signing keys


def insert(database: Database, record: KeyRecord) -> bool:
    return database.write(lambda tx: keys.insert(tx.connection, record))


def test_a_ring_has_one_pending_key_whoever_is_first(database: Database) -> None:
    results = race(16, lambda number: insert(database, key(f"{number:02}")))
    assert sorted(results) == [False] * 15 + [True]
    won = key(f"{results.index(True):02}")
    assert database.read(lambda tx: keys.ring(tx.connection, won.name)) == [won]
    other = key("other", door="https://as.example")
    assert insert(database, other), "another ring"
    assert database.read(lambda tx: keys.rows(tx.connection)) == [other, won]
    assert not insert(database, key("other", version=2, door="https://as.example/t/b")), "a kid is given once"


def test_a_key_takes_each_step_of_its_life_once_and_its_private_part_ends_with_it(
    database: Database,
) -> None:
    mine = key("a")
    insert(database, mine)
    steps = [KeyState.PENDING, KeyState.ACTIVE, KeyState.RETIRING, KeyState.RETIRED]
    for number, (before, after) in enumerate(pairwise(steps)):

        def move(_: int = 0, before: KeyState = before, after: KeyState = after, at: int = number) -> bool:
            return database.write(lambda tx: keys.move(tx.connection, "kid-a", before, after, NOW + at))

        assert sorted(race(16, move)) == [False] * 15 + [True]
    [found] = database.read(lambda tx: keys.ring(tx.connection, mine.name))
    assert found == replace(
        mine,
        state=KeyState.RETIRED,
        activated_at=NOW,
        retiring_at=NOW + 1,
        retired_at=NOW + 2,
        sealed_private=None,
    )
    with pytest.raises(ValueError, match="no key moves"):
        database.write(lambda tx: keys.move(tx.connection, "kid-a", KeyState.RETIRED, KeyState.ACTIVE, NOW))


def test_a_second_key_of_a_ring_becomes_active_only_after_the_first_retires(database: Database) -> None:
    insert(database, key("a", KeyState.ACTIVE))
    insert(database, key("b", version=2))

    def move(kid: str, before: KeyState, after: KeyState) -> bool:
        return database.write(lambda tx: keys.move(tx.connection, kid, before, after, NOW))

    with pytest.raises((Conflict, Unavailable)):
        move("kid-b", KeyState.PENDING, KeyState.ACTIVE)
    assert move("kid-a", KeyState.ACTIVE, KeyState.RETIRING)
    assert move("kid-b", KeyState.PENDING, KeyState.ACTIVE)
    found = database.read(lambda tx: keys.ring(tx.connection, key("a").name))
    assert [(one.kid, one.state) for one in found] == [
        ("kid-a", KeyState.RETIRING),
        ("kid-b", KeyState.ACTIVE),
    ]
