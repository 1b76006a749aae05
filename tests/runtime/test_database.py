"""Units of work: many are committed together, each succeeds or fails alone, and nobody waits for ever."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.runtime.database import (
    Conflict,
    Transaction,
    Unavailable,
    bump,
    metadata,
    stamps,
    version_stamp,
)
from broker.runtime.engines import open_database
from broker.runtime.sqlite import SqliteDatabase
from tests.lab import race


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    opened = open_database(f"sqlite:///{tmp_path / 'test.db'}")
    assert isinstance(opened, SqliteDatabase)
    opened.write(lambda tx: metadata.create_all(tx.connection, [version_stamp]))
    yield opened
    opened.close()


def add(name: str, number: int = 1) -> object:
    return lambda tx: tx.connection.exec_driver_sql("INSERT INTO version_stamp VALUES (?, ?)", (name, number))


def names(database: SqliteDatabase) -> list[str]:
    return database.read(
        lambda tx: list(
            tx.connection.exec_driver_sql("SELECT name FROM version_stamp ORDER BY name").scalars()
        )
    )


class Gate:
    """Holds the writer inside one unit, so that whatever is written meanwhile waits for one commit."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.inside, self.opened = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=lambda: database.write(self._hold))
        self.thread.start()
        assert self.inside.wait(10)

    def _hold(self, _: Transaction) -> None:
        self.inside.set()
        assert self.opened.wait(10)

    def open(self) -> None:
        self.opened.set()
        self.thread.join()


def together(database: SqliteDatabase, units: list[object]) -> list[object]:
    """Run the units in one batch of the writer, in their order; what each returned or raised."""
    gate, results = Gate(database), [None] * len(units)

    def run(index: int) -> None:
        try:
            results[index] = database.write(units[index])
        except BaseException as error:  # the test looks at whatever it was
            results[index] = error

    threads = []
    for index in range(len(units)):
        threads.append(threading.Thread(target=run, args=(index,)))
        threads[-1].start()
        while database._units.qsize() <= index:
            threading.Event().wait(0.001)
    gate.open()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    return results


def fails(tx: Transaction) -> None:
    add("half")(tx)
    raise KeyError("the unit's own")


def test_a_unit_is_kept_whole_or_not_at_all(database: SqliteDatabase) -> None:
    database.write(add("kept"))
    with pytest.raises(KeyError, match="own"):
        database.write(fails)
    assert names(database) == ["kept"]


def test_units_commit_together_and_fail_alone(database: SqliteDatabase) -> None:
    results = together(database, [add("a"), fails, add("a"), add("b"), lambda tx: stamps(tx).get("a", 0)])
    assert isinstance(results[1], KeyError) and isinstance(results[2], Conflict)
    assert results[4] == 1, "a unit sees what was written before it"
    assert names(database) == ["a", "b"]


def test_a_full_disk_leaves_nobody_with_a_false_success(database: SqliteDatabase) -> None:
    """When the disk is full SQLite rolls the whole transaction back by itself, not only the unit that hit it."""

    def limit(tx: Transaction, pages: int) -> None:
        tx.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def too_much(tx: Transaction) -> None:
        limit(tx, tx.connection.exec_driver_sql("PRAGMA page_count").scalar_one() + 2)
        add("x" * 1_000_000)(tx)

    results = together(database, [add("before"), too_much, add("after")])
    database.write(lambda tx: limit(tx, 1_000_000))
    kept = names(database)
    assert isinstance(results[1], Unavailable)
    assert ("before" in kept) == (not isinstance(results[0], BaseException))
    assert ("after" in kept) == (not isinstance(results[2], BaseException))
    database.write(add("later"))
    assert "later" in names(database)


def test_a_unit_may_not_begin_another(database: SqliteDatabase) -> None:
    with pytest.raises(RuntimeError, match="may not begin another"):
        database.write(lambda tx: database.write(add("inner")))
    assert names(database) == []
    database.write(add("next"))


def test_a_row_that_is_there_is_a_conflict_and_a_database_that_cannot_answer_is_unavailable(
    database: SqliteDatabase,
) -> None:
    database.write(add("once"))
    with pytest.raises(Conflict):
        database.write(add("once"))
    with pytest.raises(Unavailable):
        database.write(lambda tx: tx.connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(Unavailable):
        database.read(lambda tx: tx.connection.exec_driver_sql("SELECT * FROM nowhere"))
    assert names(database) == ["once"]


def test_what_a_reader_writes_is_not_kept(database: SqliteDatabase) -> None:
    database.read(add("lost"))
    assert names(database) == []


def test_a_reader_does_not_see_what_is_not_committed(database: SqliteDatabase) -> None:
    seen: list[list[str]] = []

    def unit(tx: Transaction) -> None:
        add("new")(tx)
        thread = threading.Thread(target=lambda: seen.append(names(database)))
        thread.start()
        thread.join(10)

    database.write(unit)
    assert seen == [[]] and names(database) == ["new"]


def test_of_many_racing_for_one_row_one_wins(database: SqliteDatabase) -> None:
    results = race(8, lambda _: database.write(add("one")))
    assert sum(isinstance(result, Conflict) for result in results) == 7


def test_closing_finishes_what_was_handed_over_and_takes_nothing_more(tmp_path: Path) -> None:
    opened = open_database(f"sqlite:///{tmp_path / 'closing.db'}")
    assert isinstance(opened, SqliteDatabase)
    opened.write(lambda tx: metadata.create_all(tx.connection, [version_stamp]))
    gate = Gate(opened)
    waiting = [threading.Thread(target=lambda i=i: opened.write(add(f"unit{i}"))) for i in range(3)]
    for thread in waiting:
        thread.start()
    while opened._units.qsize() < 3:
        threading.Event().wait(0.001)
    closing = threading.Thread(target=opened.close)
    closing.start()
    while not opened._closed:
        threading.Event().wait(0.001)
    gate.open()
    for thread in (*waiting, closing):
        thread.join(10)
        assert not thread.is_alive()
    with pytest.raises(Unavailable):
        opened.write(add("late"))
    opened.close()
    again = open_database(f"sqlite:///{tmp_path / 'closing.db'}")
    assert names(again) == ["unit0", "unit1", "unit2"]
    again.close()


def test_a_transaction_never_changes_its_tenant(database: SqliteDatabase) -> None:
    def unit(tx: Transaction) -> tuple[str | None, str | None]:
        inside = tx.inside("acme")
        assert inside.inside("acme").tenant == "acme"
        with pytest.raises(PermissionError):
            inside.inside("globex")
        return tx.tenant, inside.tenant

    assert database.write(unit) == (None, "acme")
    with pytest.raises(PermissionError):
        database.write(lambda tx: tx.inside("globex"), "acme")


def test_a_stamp_moves_with_the_transaction_that_bumps_it(database: SqliteDatabase) -> None:
    assert database.read(lambda tx: stamps(tx).get("estate", 0)) == 0
    for expected in (1, 2, 3):
        database.write(lambda tx: bump(tx, "estate"))
        assert database.read(lambda tx: stamps(tx).get("estate", 0)) == expected

    def undone(tx: Transaction) -> None:
        bump(tx, "estate")
        raise KeyError

    with pytest.raises(KeyError):
        database.write(undone)
    assert database.read(lambda tx: stamps(tx).get("estate", 0)) == 3
    assert database.read(lambda tx: stamps(tx).get("keys", 0)) == 0


def test_commits_are_durable_and_deleted_secrets_overwritten(database: SqliteDatabase) -> None:
    def pragmas(tx: Transaction) -> list[object]:
        asked = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        return [tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]

    assert database.write(pragmas) == ["wal", 2, 1, 1]


def test_another_engine_is_refused_in_plain_words() -> None:
    with pytest.raises(ValueError, match="sqlite:///PATH"):
        open_database("mysql://localhost/broker")
