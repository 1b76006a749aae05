"""A snapshot is read again when its stamp moves, is looked at four times a second at most, and outlives an outage."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.runtime.database import Transaction, Unavailable, bump, metadata, version_stamp
from broker.runtime.snapshot import REREAD_SECONDS, Settled, Snapshot, Snapshots
from broker.runtime.sqlite import SqliteDatabase
from tests.lab import Clock, race


class Source:
    """A database whose reads are counted and can be made to fail."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database, self.reads, self.down = database, 0, False

    def read(self, work: Callable[[Transaction], object], tenant: str | None = None) -> object:
        self.reads += 1
        if self.down:
            raise Unavailable("down")
        return self.database.read(work, tenant)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    database = SqliteDatabase(f"sqlite:///{tmp_path / 'test.db'}")
    database.write(lambda tx: metadata.create_all(tx.connection, [version_stamp]))
    yield Source(database)
    database.close()


def make(source: Source, clock: Clock) -> tuple[Snapshot[list[int]], list[int]]:
    """A snapshot whose value is a fresh list at each load; the loads are counted."""
    loads: list[int] = []

    def load(_: Transaction) -> list[int]:
        loads.append(len(loads))
        return [len(loads)]

    return Snapshots(source, clock).of("estate", load), loads  # type: ignore[arg-type]  # only `read` is used


def test_it_is_loaded_once_while_the_stamp_stands_still(source: Source) -> None:
    clock = Clock()
    snapshot, loads = make(source, clock)
    first = snapshot.get()
    for _ in range(10):
        clock.advance(REREAD_SECONDS)
        assert snapshot.get() is first
    assert len(loads) == 1 and source.reads == 11


def test_it_is_loaded_again_when_the_stamp_has_moved(source: Source) -> None:
    clock = Clock()
    snapshot, _ = make(source, clock)
    first = snapshot.get()
    source.database.write(lambda tx: bump(tx, "estate"))
    assert snapshot.get() is first, "not looked at yet"
    clock.advance(REREAD_SECONDS)
    assert snapshot.get() is not first
    source.database.write(lambda tx: bump(tx, "keys"))
    clock.advance(REREAD_SECONDS)
    assert snapshot.get() == [2], "another stamp is another's"


def test_it_is_looked_at_four_times_a_second_at_most(source: Source) -> None:
    clock = Clock()
    snapshot, _ = make(source, clock)
    for _ in range(100):
        snapshot.get()
        clock.advance(0.01)
    assert source.reads <= 4


def test_what_this_process_changed_it_sees_at_once(source: Source) -> None:
    snapshot, _ = make(source, Clock())
    first = snapshot.get()
    source.database.write(lambda tx: bump(tx, "estate"))
    assert snapshot.refresh() is not first
    assert snapshot.get() == [2]


def test_an_outage_leaves_the_last_value_and_does_not_invent_a_first(source: Source) -> None:
    clock = Clock()
    snapshot, _ = make(source, clock)
    source.down = True
    with pytest.raises(Unavailable):
        snapshot.get()
    source.down = False
    first = snapshot.get()
    source.down = True
    clock.advance(3600)
    assert snapshot.get() is first
    source.down = False
    source.database.write(lambda tx: bump(tx, "estate"))
    clock.advance(REREAD_SECONDS)
    assert snapshot.get() is not first


def test_a_clock_that_goes_back_makes_it_look(source: Source) -> None:
    clock = Clock()
    snapshot, _ = make(source, clock)
    first = snapshot.get()
    source.database.write(lambda tx: bump(tx, "estate"))
    clock.advance(-100)
    assert snapshot.get() is not first


def test_many_threads_load_it_once(source: Source) -> None:
    snapshot, loads = make(source, Clock())
    results = race(8, lambda _: snapshot.get())
    assert len(loads) == 1 and all(result is results[0] for result in results)


def test_what_stands_together_is_read_together(source: Source) -> None:
    """One look serves all; a value that another stamp moves is left as it is."""
    clock = Clock()
    both = Snapshots(source, clock)  # type: ignore[arg-type]  # only `read` is used
    loads: list[str] = []
    estate = both.of("estate", lambda _: loads.append("estate") or ["e"])
    keys = both.of("keys", lambda _: loads.append("keys") or ["k"])
    assert (estate.get(), keys.get()) == (["e"], ["k"])
    assert source.reads == 1
    source.database.write(lambda tx: bump(tx, "keys"))
    clock.advance(REREAD_SECONDS)
    assert (estate.get(), keys.get()) == (["e"], ["k"])
    assert source.reads == 2 and loads == ["estate", "keys", "keys"]


def test_a_unit_of_work_never_waits_for_another(source: Source) -> None:
    """With every connection in use, a unit that asks for a second one would wait for itself."""
    clock = Clock()
    snapshots = Snapshots(source.database, clock)
    snapshot = snapshots.of("estate", lambda tx: [0])
    settled = Settled(source.database, snapshots)
    for begin in (settled.read, settled.write):

        def unit(tx: Transaction) -> list[int]:
            seen = snapshot.get()
            bump(tx, "estate")
            clock.advance(REREAD_SECONDS)
            assert snapshot.get() is seen, "it stands still within a unit"
            for again in (settled.read, settled.write):
                with pytest.raises(RuntimeError, match="may not begin another"):
                    again(lambda tx: None)
            return seen

        first = begin(unit)
        assert first == [0]
    assert snapshot.get() is not first, "after it, what was committed is seen"


def test_a_unit_begins_with_what_is_known_now(source: Source) -> None:
    clock = Clock()
    snapshots = Snapshots(source.database, clock)
    snapshot = snapshots.of("estate", lambda tx: [0])
    settled = Settled(source.database, snapshots)
    first = settled.read(lambda tx: snapshot.get())
    source.database.write(lambda tx: bump(tx, "estate"))
    assert settled.read(lambda tx: snapshot.get()) is first, "not looked at yet"
    clock.advance(REREAD_SECONDS)
    assert settled.read(lambda tx: snapshot.get()) is not first


def test_a_crowd_that_fills_the_pool_is_served(tmp_path: Path) -> None:
    """As many readers as there are connections, and more; each begins when the value has to be read again."""
    database = SqliteDatabase(f"sqlite:///{tmp_path / 'crowd.db'}", patience=20.0)
    database.write(lambda tx: metadata.create_all(tx.connection, [version_stamp]))
    clock = Clock()
    snapshots = Snapshots(database, clock)
    snapshot = snapshots.of("estate", lambda tx: [0])
    settled = Settled(database, snapshots)
    snapshot.get()
    inside = threading.Barrier(32)

    def unit(_: Transaction) -> object:
        inside.wait(10)
        clock.advance(REREAD_SECONDS)
        return snapshot.get()

    try:
        assert race(32, lambda _: settled.read(unit)) == [[0]] * 32
    finally:
        database.close()
