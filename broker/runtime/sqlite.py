"""SQLite, the embedded engine: WAL, synchronous=FULL, one writer thread that commits waiting units together."""

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from broker.runtime.database import Transaction, Unavailable, translated

T = TypeVar("T")
_MAX_BATCH = 64


@dataclass(slots=True)
class _Unit:
    work: Callable[[Transaction], Any]
    tenant: str | None
    throwing: bool
    outcome: "Future[Any]"


class SqliteDatabase:
    """Readers side by side, one writer: the embedded engine. Waits `patience` seconds for another process's turn."""

    def __init__(self, url: str, patience: float = 5.0) -> None:
        self._readers = _engine(url, "BEGIN", 32, patience)
        self._writing = _engine(url, "BEGIN IMMEDIATE", 1, patience)
        self._units: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        self._closed = False
        self._writer = threading.Thread(target=self._run, name="database-writer", daemon=True)
        self._writer.start()

    def write(
        self, work: Callable[[Transaction], T], tenant: str | None = None, *, throwing: bool = False
    ) -> T:
        if threading.current_thread() is self._writer:
            raise RuntimeError("a unit of work may not begin another")
        if self._closed:
            raise Unavailable("closed")
        unit = _Unit(work, tenant, throwing, Future())
        self._units.put(unit)
        result: T = unit.outcome.result()
        return result

    def read(self, work: Callable[[Transaction], T], tenant: str | None = None) -> T:
        try:
            with self._readers.connect() as connection:
                return work(Transaction(connection, tenant))
        except PoolTimeout as error:
            raise Unavailable("no connection is free") from error
        except DBAPIError as error:
            raise translated(error) from error

    def close(self) -> None:
        self._closed = True
        if self._writer.is_alive():
            self._units.put(None)
            self._writer.join()
        while not self._units.empty():  # came in between: nobody will run them
            late = self._units.get()
            if late is not None:
                late.outcome.set_exception(Unavailable("closed"))
        self._readers.dispose()
        self._writing.dispose()

    def _run(self) -> None:
        while (first := self._units.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < _MAX_BATCH and not self._units.empty():
                following = self._units.get()
                if following is None:
                    last = True
                    break
                batch.append(following)
            self._commit(batch)
            if last:
                return

    def _commit(self, batch: list[_Unit]) -> None:
        done: list[tuple[_Unit, Any]] = []
        try:
            with self._writing.connect() as connection, connection.begin():
                for unit in batch:
                    try:
                        with connection.begin_nested():
                            result = unit.work(Transaction(connection, unit.tenant, unit.throwing))
                    except DBAPIError as error:
                        unit.outcome.set_exception(translated(error))
                        if not _in_transaction(connection):  # a full disk undoes the units before it too
                            raise
                    except BaseException as error:  # noqa: BLE001  the unit's caller decides, in its own thread
                        unit.outcome.set_exception(error)
                    else:
                        done.append((unit, result))
        except Exception as error:  # noqa: BLE001  whatever it is, nobody may wait for ever on a dead writer
            failure = translated(error) if isinstance(error, DBAPIError) else error
            for unit in batch:
                if not unit.outcome.done():
                    unit.outcome.set_exception(failure)
            return
        for unit, result in done:
            unit.outcome.set_result(result)


def _in_transaction(connection: Connection) -> bool:
    """Whether SQLite still has the transaction; some errors (a full disk) roll all of it back by themselves."""
    driver = connection.connection.driver_connection
    return isinstance(driver, sqlite3.Connection) and driver.in_transaction


def _engine(url: str, begin: str, pool_size: int, patience: float) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=patience,
        connect_args={"timeout": patience},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
