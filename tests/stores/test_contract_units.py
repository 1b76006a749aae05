"""Units of work, stamps and leases: one contract for both engines."""

import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from broker.authorization import store as authorization
from broker.denials import store as denials
from broker.denials.model import Kind, Target
from broker.runtime import database as runtime
from broker.runtime.database import Conflict, Database, Transaction, Unavailable
from broker.runtime.engines import open_database
from broker.runtime.postgres import PostgresDatabase
from broker.runtime.sqlite import SqliteDatabase
from tests.engines import Engine, Postgres
from tests.lab import race
from tests.stores.samples import NOW, code, grant

Fresh = Callable[[], tuple[str, Database]]
TARGET = Target(Kind.GRANT, "grant-x")


class Held:
    """A unit that does `first`, then stays inside its transaction until `let_go`."""

    def __init__(self, database: Database, first: Callable[[Transaction], object], **how: bool) -> None:
        self._inside, self._over = threading.Event(), threading.Event()
        self.outcome: list[object] = []

        def unit(tx: Transaction) -> object:
            found = first(tx)
            self._inside.set()
            assert self._over.wait(30)
            return found

        def run() -> None:
            try:
                self.outcome.append(database.write(unit, **how))
            except Exception as error:
                self.outcome.append(error)
                self._inside.set()

        self._thread = threading.Thread(target=run)
        self._thread.start()
        assert self._inside.wait(30)

    def let_go(self) -> object:
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.outcome[0]


class Started:
    """Work in a thread of its own."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.outcome: list[object] = []

        def run() -> None:
            try:
                self.outcome.append(work())
            except Exception as error:
                self.outcome.append(error)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def result(self) -> object:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.outcome[0]


def until_waiting(engine: Engine, url: str, database: Database, count: int) -> None:
    """Wait until so many units wait for their turn."""
    for _ in range(3000):
        if isinstance(database, SqliteDatabase):
            waiting = database._units.qsize()
        else:
            waiting = engine.behind(
                url,
                "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            )
        if waiting >= count:
            return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


def mint(tx: Transaction, mark: str) -> bool:
    """What every mint does: look whether it is off, and if not, leave something behind."""
    if denials.off(tx, [TARGET], NOW):
        return False
    authorization.add_grant(tx, grant(mark))
    return True


def throw(tx: Transaction) -> bool:
    return denials.throw(tx, TARGET, "acme", NOW, "test", final=True)


# What both engines promise


def test_what_a_unit_raises_comes_out_and_nothing_of_the_unit_is_kept(database: Database) -> None:
    def fails(tx: Transaction) -> None:
        authorization.add_grant(tx, grant("half"))
        runtime.bump(tx, "estate")
        raise KeyError("the unit's own")

    before = database.read(lambda tx: runtime.stamps(tx).get("estate", 0))
    with pytest.raises(KeyError, match="own"):
        database.write(fails)
    assert database.read(lambda tx: authorization.grant(tx, "grant-half")) is None
    assert database.read(lambda tx: runtime.stamps(tx).get("estate", 0)) == before
    assert database.write(lambda tx: authorization.add_grant(tx, grant("half"))) is None
    assert database.read(lambda tx: authorization.grant(tx, "grant-half")) == grant("half")


def test_an_identity_that_is_there_is_a_conflict_and_takes_the_rest_of_the_unit_along(
    database: Database,
) -> None:
    database.write(lambda tx: authorization.add_grant(tx, grant("once")))

    def twice(tx: Transaction) -> None:
        authorization.add_grant(tx, grant("other"))
        authorization.add_grant(tx, grant("once", offline=False))

    with pytest.raises(Conflict):
        database.write(twice)
    assert database.read(lambda tx: authorization.grant(tx, "grant-other")) is None
    assert database.read(lambda tx: authorization.grant(tx, "grant-once")) == grant("once")


def test_of_sixteen_that_give_one_identity_one_wins_and_the_others_conflict(database: Database) -> None:
    results = race(16, lambda _: database.write(lambda tx: authorization.add_grant(tx, grant("same"))))
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 15


def test_nothing_that_a_read_writes_is_kept(database: Database) -> None:
    database.read(lambda tx: authorization.add_grant(tx, grant("lost")))
    assert database.read(lambda tx: authorization.grant(tx, "grant-lost")) is None


def test_a_read_sees_one_state_whatever_is_committed_meanwhile(database: Database) -> None:
    def twice(tx: Transaction) -> tuple[int, int]:
        before = runtime.stamps(tx).get("estate", 0)
        Started(lambda: database.write(lambda tx: runtime.bump(tx, "estate"))).result()
        return before, runtime.stamps(tx).get("estate", 0)

    before, after = database.read(twice)
    assert before == after
    assert database.read(lambda tx: runtime.stamps(tx).get("estate", 0)) == before + 1


def test_what_the_database_cannot_do_is_unavailable(database: Database) -> None:
    for verb in (database.write, database.read):
        with pytest.raises(Unavailable):
            verb(lambda tx: tx.connection.execute(text("SELECT * FROM nowhere")))
    assert database.read(lambda tx: runtime.stamps(tx).get("estate", 0)) >= 1


def test_a_closed_database_is_not_there_any_more(any_engine: Engine, tmp_path: Path) -> None:
    url = any_engine.fresh(tmp_path)
    opened = open_database(url)
    assert opened.write(lambda tx: runtime.stamps(tx).get("estate", 0)) == 1
    opened.close()
    any_engine.drop(url)
    with pytest.raises(Unavailable):
        opened.write(lambda tx: runtime.stamps(tx).get("estate", 0))
    opened.close()


def test_every_bump_counts(database: Database) -> None:
    before = database.read(lambda tx: runtime.stamps(tx).get("keys", 0))
    assert race(16, lambda _: database.write(lambda tx: runtime.bump(tx, "keys"))) == [None] * 16
    assert database.read(lambda tx: runtime.stamps(tx).get("keys", 0)) == before + 16


def test_a_stamp_begins_with_its_first_bump(database: Database) -> None:
    assert database.read(lambda tx: runtime.stamps(tx).get("new", 0)) == 0
    for number in (1, 2):
        database.write(lambda tx: runtime.bump(tx, "new"))
        assert database.read(lambda tx: runtime.stamps(tx).get("new", 0)) == number


def test_a_lease_is_held_by_one_until_it_ends_or_is_given_up(database: Database) -> None:
    def claim(holder: str, now: float) -> bool:
        return database.write(lambda tx: runtime.lease(tx, "sweep", holder, now, 30))

    assert claim("a", NOW)
    assert claim("a", NOW + 10), "renewed until 40"
    assert not claim("b", NOW + 39)
    assert claim("b", NOW + 40), "it has ended"
    assert not claim("a", NOW + 41)
    database.write(lambda tx: runtime.release(tx, "sweep", "a"))
    assert not claim("a", NOW + 42), "another's lease is not given up"
    database.write(lambda tx: runtime.release(tx, "sweep", "b"))
    assert claim("a", NOW + 43)


@pytest.mark.parametrize("before", ["free", "ended"])
def test_of_sixteen_that_claim_a_lease_one_holds_it(database: Database, before: str) -> None:
    if before == "ended":
        database.write(lambda tx: runtime.lease(tx, "sweep", "old", NOW - 60, 30))

    def claim(number: int) -> bool:
        return database.write(lambda tx: runtime.lease(tx, "sweep", f"p{number}", NOW, 30))

    results = race(16, claim)
    assert results.count(True) == 1
    winner = results.index(True)
    assert all(result is False or isinstance(result, Conflict) for result in results if result is not True)
    assert database.write(lambda tx: runtime.lease(tx, "sweep", f"p{winner}", NOW + 1, 30))
    assert not database.write(lambda tx: runtime.lease(tx, "sweep", "late", NOW + 1, 30))


# Law 6: what is off is off at commit


def test_a_throw_waits_for_the_mint_that_runs_and_what_comes_after_it_sees_it(
    any_engine: Engine, url_and_database: tuple[str, Database]
) -> None:
    url, database = url_and_database
    running = Held(database, lambda tx: mint(tx, "before"))
    throwing = Started(lambda: database.write(throw, throwing=True))
    until_waiting(any_engine, url, database, 1)
    later = Started(lambda: database.write(lambda tx: mint(tx, "after")))
    until_waiting(any_engine, url, database, 2)
    assert throwing.outcome == [] and later.outcome == []
    assert database.read(lambda tx: denials.off(tx, [TARGET], NOW)) == []
    assert running.let_go() is True, "it began before the throw"
    assert throwing.result() is True
    assert later.result() is False, "it waited, and it looks after the throw"
    assert database.read(lambda tx: authorization.grant(tx, "grant-after")) is None
    assert database.read(lambda tx: authorization.grant(tx, "grant-before")) == grant("before")


def test_mints_wait_for_a_throw_that_runs_and_not_for_each_other(
    any_engine: Engine, url_and_database: tuple[str, Database]
) -> None:
    url, database = url_and_database
    throwing = Held(database, throw, throwing=True)
    mints = [Started(lambda mark=mark: database.write(lambda tx: mint(tx, mark))) for mark in ("a", "b")]
    until_waiting(any_engine, url, database, 2)
    assert throwing.let_go() is True
    assert [started.result() for started in mints] == [False, False]


def test_nothing_is_minted_once_a_throw_has_answered(database: Database) -> None:
    answered = threading.Event()
    late: list[str] = []
    minted: list[str] = []

    def work(number: int) -> None:
        if number == 0:
            while len(minted) < 30:
                threading.Event().wait(0.001)
            database.write(throw, throwing=True)
            answered.set()
            return
        for count in range(2000):
            mark = f"{number}-{count}"
            after = answered.is_set()
            done = database.write(lambda tx, mark=mark: mint(tx, mark))
            if done:
                (late if after else minted).append(mark)
            elif after:
                return

    assert [error for error in race(12, work) if error is not None] == []
    assert late == [] and len(minted) >= 30


def test_denials_are_numbered_in_the_order_in_which_they_commit(database: Database) -> None:
    """Whoever has read up to a number has missed nothing below it."""
    over = threading.Event()
    seen: list[list[int]] = []

    def numbers() -> list[int]:
        return [found.number for found in database.read(lambda tx: denials.in_force(tx, NOW))]

    def watch() -> None:
        while not over.is_set():
            seen.append(numbers())

    def put(number: int) -> None:
        for count in range(5):

            def unit(tx: Transaction, which: str = f"{number}-{count}") -> None:
                denials.throw(tx, Target(Kind.GRANT, which), "acme", NOW, "race", final=True)
                if which.endswith("3"):
                    raise KeyError(which)

            try:
                database.write(unit, throwing=True)
            except KeyError:
                continue

    watching = Started(watch)
    assert race(16, put) == [None] * 16
    over.set()
    watching.result()
    last = numbers()
    assert len(last) == 64 and last == sorted(set(last))
    assert all(found == last[: len(found)] for found in seen)


# PostgreSQL alone


@pytest.fixture
def postgresql(
    postgres_engine: Postgres, tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[str, PostgresDatabase]:
    url = postgres_engine.fresh(tmp_path)
    opened = PostgresDatabase(url)

    def end() -> None:
        opened.close()
        postgres_engine.drop(url)

    request.addfinalizer(end)
    return url, opened


def fail_with(tx: Transaction, state: str) -> None:
    tx.connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END $$")


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_what_postgresql_asks_to_do_again_is_done_again(
    postgresql: tuple[str, PostgresDatabase], state: str
) -> None:
    tries: list[int] = []

    def unit(tx: Transaction) -> str:
        tries.append(1)
        authorization.add_grant(tx, grant("again"))
        if len(tries) < 3:
            fail_with(tx, state)
        return "done"

    _, database = postgresql
    assert database.write(unit) == "done"
    assert len(tries) == 3
    assert database.read(lambda tx: authorization.grant(tx, "grant-again")) == grant("again")


def test_what_postgresql_asks_to_do_again_for_ever_is_unavailable(
    postgresql: tuple[str, PostgresDatabase],
) -> None:
    tries: list[int] = []

    def unit(tx: Transaction) -> None:
        tries.append(1)
        fail_with(tx, "40001")

    with pytest.raises(Unavailable):
        postgresql[1].write(unit)
    assert len(tries) == 3
    tries.clear()
    with pytest.raises(Unavailable):
        postgresql[1].write(lambda tx: (tries.append(1), fail_with(tx, "57014")))
    assert len(tries) == 1, "nothing else is tried again"


def test_two_units_that_lock_each_other_out_are_both_done_in_the_end(
    postgresql: tuple[str, PostgresDatabase],
) -> None:
    _, database = postgresql
    both = threading.Barrier(2)
    tries: list[str] = []

    def work(number: int) -> None:
        first, second = ("estate", "keys") if number else ("keys", "estate")
        met = False

        def unit(tx: Transaction) -> None:
            nonlocal met
            tries.append(first)
            runtime.bump(tx, first)
            if not met:
                met = True
                both.wait(10)
            runtime.bump(tx, second)

        database.write(unit)

    before = [
        database.read(lambda tx, name=name: runtime.stamps(tx).get(name, 0)) for name in ("estate", "keys")
    ]
    assert race(2, work) == [None, None]
    after = [
        database.read(lambda tx, name=name: runtime.stamps(tx).get(name, 0)) for name in ("estate", "keys")
    ]
    assert after == [number + 2 for number in before]
    assert len(tries) == 3, "one of them was asked to begin again"


@pytest.fixture
def impatient(postgresql: tuple[str, PostgresDatabase]) -> PostgresDatabase:
    """The same database, opened by a broker that waits less than half a second."""
    return PostgresDatabase(postgresql[0], pool=2, patience=0.4)


def test_waiting_for_a_lock_or_an_answer_or_a_connection_ends_as_unavailable(
    postgresql: tuple[str, PostgresDatabase], impatient: PostgresDatabase
) -> None:
    _, database = postgresql
    database.write(lambda tx: authorization.add_code(tx, "h", code("x")))
    held = Held(database, lambda tx: runtime.bump(tx, "estate"))
    for name, wait in {
        "a row": lambda: impatient.write(lambda tx: runtime.bump(tx, "estate")),
        "the turn of a throw": lambda: impatient.write(throw, throwing=True),
        "an answer": lambda: impatient.write(lambda tx: tx.connection.execute(text("SELECT pg_sleep(20)"))),
    }.items():
        with pytest.raises(Unavailable):
            wait()
            pytest.fail(name)
    assert held.let_go() is None
    both = [Held(impatient, lambda tx: runtime.stamps(tx).get("estate", 0)) for _ in range(2)]
    with pytest.raises(Unavailable, match="no connection"):
        impatient.write(lambda tx: runtime.stamps(tx).get("estate", 0))
    with pytest.raises(Unavailable, match="no connection"):
        impatient.read(lambda tx: runtime.stamps(tx).get("estate", 0))
    assert [isinstance(one.let_go(), int) for one in both] == [True, True]
    assert impatient.write(throw, throwing=True) is True
    impatient.close()


def test_a_session_limits_how_long_it_waits(postgresql: tuple[str, PostgresDatabase]) -> None:
    def limits(tx: Transaction) -> list[str]:
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        return [tx.connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]

    assert postgresql[1].read(limits) == postgresql[1].write(limits) == ["3s", "5s", "5s"]


def test_a_unit_whose_session_is_cut_off_is_unavailable_and_the_next_is_not(
    postgresql: tuple[str, PostgresDatabase],
) -> None:
    url, database = postgresql

    def cut(tx: Transaction) -> None:
        authorization.add_grant(tx, grant("cut"))
        own = tx.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with psycopg.connect(url) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (own,))
        authorization.add_grant(tx, grant("cut more"))

    with pytest.raises(Unavailable):
        database.write(cut)
    assert database.read(lambda tx: authorization.grant(tx, "grant-cut")) is None
    database.write(lambda tx: authorization.add_grant(tx, grant("cut")))
    assert database.read(lambda tx: authorization.grant(tx, "grant-cut")) == grant("cut")


def test_the_wall_of_one_unit_is_gone_with_it(postgresql: tuple[str, PostgresDatabase]) -> None:
    """Sessions are shared: what a unit says of its tenant must not last."""
    opened = PostgresDatabase(postgresql[0], pool=1)

    def wall(tx: Transaction) -> str:
        return str(tx.connection.exec_driver_sql("SELECT current_setting('broker.tenant', true)").scalar())

    assert opened.write(wall, "acme") == "acme"
    with opened._engine.connect() as connection:
        assert not connection.exec_driver_sql("SELECT current_setting('broker.tenant', true)").scalar()
    assert opened.read(wall) == "*"
    assert opened.write(lambda tx: wall(tx.inside("globex"))) == "globex"
    assert opened.write(wall) == "*"
    opened.close()
