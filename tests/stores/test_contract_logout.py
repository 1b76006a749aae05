"""Notices of sign-outs: the same on both engines, and one attempt at a time."""

from dataclasses import replace

import pytest

from broker.authorization.logout import store as notices
from broker.authorization.logout.model import Notice
from broker.runtime.database import Conflict, Database
from tests.lab import race
from tests.stores.samples import LATER, NOW, notice


def add(database: Database, *added: Notice) -> None:
    for one in added:
        database.write(lambda tx, one=one: notices.add(tx, one))


def due(database: Database, now: float = NOW, most: int = 10) -> list[Notice]:
    return database.read(lambda tx: notices.due(tx, now, most))


def test_a_notice_comes_back_as_stored_when_its_time_has_come(database: Database) -> None:
    later, first, second = notice("a", next_at=LATER), notice("b", next_at=NOW - 1), notice("c")
    add(database, later, second, first)
    assert due(database) == [first, second] and due(database, most=1) == [first]
    assert due(database, LATER) == [first, second, later]
    with pytest.raises(Conflict):
        add(database, first)


def test_an_attempt_is_made_by_one_and_put_off_for_all(database: Database) -> None:
    add(database, notice("a"))
    results = race(16, lambda _: database.write(lambda tx: notices.attempt(tx, notice("a"), LATER)))
    assert results.count(True) == 1 and results.count(False) == 15
    assert due(database) == []
    assert due(database, LATER) == [notice("a", next_at=LATER, attempts=1)]
    again = notice("a", next_at=LATER, attempts=1)
    assert database.write(lambda tx: notices.attempt(tx, again, LATER + 1)) is True
    assert database.write(lambda tx: notices.attempt(tx, notice("never"), LATER)) is False


def test_a_notice_that_is_over_is_dropped_once(database: Database) -> None:
    add(database, notice("a"), notice("b"))
    results = race(8, lambda _: database.write(lambda tx: notices.drop(tx, "out-a")))
    assert sorted(results) == [False] * 7 + [True]
    assert due(database) == [notice("b")]


def test_notices_come_in_turns_and_all_of_one_client_are_put_off_at_once(database: Database) -> None:
    many = [notice("b", next_at=NOW - 3), *(replace(notice("b"), id=f"out-{n}") for n in range(3))]
    other, later = notice("a"), replace(notice("b", next_at=LATER), id="out-later")
    add(database, *many, later, other)
    assert due(database, most=3) == [many[0], other, many[1]]
    database.write(lambda tx: notices.put_off(tx, notice("b").client_id, NOW, NOW + 5))
    assert due(database, NOW + 4) == [other]
    again = due(database, NOW + 5)
    assert sorted(one.id for one in again) == ["out-0", "out-1", "out-2", "out-a", "out-b"]
    assert {one.attempts for one in again} == {0} and later in due(database, LATER)
