"""PostgreSQL: a transaction for each unit, ordered against throws by an advisory lock, walled by row-level security."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, Engine, Select, String, bindparam, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from broker.runtime.clock import ticking
from broker.runtime.database import Transaction, Unavailable, Unknown, translated

T = TypeVar("T")
_ORDER = 0x62726F6B  # the advisory lock of this server: mints share it, throws have it alone
_AGAIN = frozenset(
    {"40001", "40P01"}
)  # serialization failure, deadlock: the unit did nothing and may run again
_ATTEMPTS = 3
_EVERYTHING = "*"
_PATIENCE = 5.0
_REST_SECONDS = 1.0
_IDLE_SECONDS = 5.0  # a session that lost its client holds its locks no longer

_WALL = func.set_config("broker.tenant", bindparam("tenant", type_=String), True)
_NUMBER = func.pg_current_xact_id()
_READ = select(_WALL)
_WRITE = select(_NUMBER, _WALL, func.pg_advisory_xact_lock_shared(_ORDER))
_THROW = select(_NUMBER, _WALL, func.pg_advisory_xact_lock(_ORDER))
_OUTCOME = "SELECT pg_xact_status(%s::xid8)"


class Silent(psycopg.OperationalError):
    """Nothing came back, not even that it takes too long: the server hangs, or the network swallows."""


class _Session(psycopg.Connection[Any]):
    """A session that ends when an answer does not come within `patience` seconds."""

    patience: float | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, timeout or self.patience)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()  # whatever comes now answers a question that nobody waits for
            raise Silent("no answer") from None


class _Silence:
    """What all units know of a server that was silent: one tries again, the others need not wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: float | None = None

    def ask(self, most: float) -> None:
        """Unavailable while the server is left alone; who comes after that may try it for `most` seconds."""
        with self._lock:
            if self._until is None:
                return
            if ticking() < self._until:
                raise Unavailable("the server was silent")
            self._until = ticking() + most

    def noticed(self) -> None:
        with self._lock:
            self._until = ticking() + _REST_SECONDS

    def over(self) -> None:
        with self._lock:
            self._until = None


class PostgresDatabase:
    """Units run side by side; the server groups their commits. `pool` connections at most.

    A statement may take `patience` seconds. A server that is silent for longer is left alone for a second, then one
    unit tries it: a partition costs each request a few seconds at most, and heals by itself.
    """

    def __init__(self, url: str, pool: int = 40, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._silence = _Silence()
        self._engine = _engine(url, pool, patience)
        # All statements of a read see one state, as on SQLite; what stamp and rows say of each other holds.
        self._readers = self._engine.execution_options(isolation_level="REPEATABLE READ")

    def write(
        self, work: Callable[[Transaction], T], tenant: str | None = None, *, throwing: bool = False
    ) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._unit(work, tenant, throwing)
            except DBAPIError as error:
                if attempt == _ATTEMPTS or getattr(error.orig, "sqlstate", None) not in _AGAIN:
                    raise translated(error) from error
        raise AssertionError("unreachable")

    def read(self, work: Callable[[Transaction], T], tenant: str | None = None) -> T:
        try:
            with self._begun(self._readers, _READ, tenant) as (connection, _):
                return work(Transaction(connection, tenant))
        except DBAPIError as error:
            raise translated(error) from error

    def close(self) -> None:
        self._engine.dispose()

    def _unit(self, work: Callable[[Transaction], T], tenant: str | None, throwing: bool) -> T:
        with self._begun(self._engine, _THROW if throwing else _WRITE, tenant) as (connection, number):
            result = work(Transaction(connection, tenant, throwing))
            try:
                connection.commit()
            except DBAPIError as error:
                if not error.connection_invalidated or not self._committed(number, error):
                    raise
        return result

    @contextmanager
    def _begun(
        self, engine: Engine, first: Select[Any], tenant: str | None
    ) -> Iterator[tuple[Connection, object]]:
        """A transaction behind its wall, with the first thing that `first` told; rolled back unless committed."""
        self._silence.ask(2 * self._patience)
        try:
            with engine.connect() as connection:
                told = connection.execute(first, {"tenant": tenant or _EVERYTHING}).scalar_one()
                self._silence.over()
                yield connection, told
        except PoolTimeout as error:
            raise Unavailable("no connection is free") from error
        except DBAPIError as error:
            if isinstance(error.orig, (Silent, psycopg.errors.ConnectionTimeout)):
                self._silence.noticed()
            raise

    def _committed(self, number: object, lost: DBAPIError) -> bool:
        """Whether a transaction whose COMMIT was not answered happened; Unknown when nobody can tell now."""
        if isinstance(lost.orig, Silent):
            self._silence.noticed()
            raise Unknown("the commit was not answered") from lost
        try:
            with self._engine.connect() as connection:
                found = connection.exec_driver_sql(_OUTCOME, (str(number),)).scalar()
        except (PoolTimeout, DBAPIError) as error:
            raise Unknown("the commit was not answered") from error
        if found not in ("committed", "aborted"):  # in progress: its session has not noticed
            raise Unknown("the commit was not answered") from lost
        return bool(found == "committed")


def _engine(url: str, pool: int, patience: float) -> Engine:
    """Everything that can be waited for has an end: a connection, a lock, a statement, a silent peer."""
    lock = 0.6 * patience
    silence = 1.2 * patience  # longer than a statement: a server that can answer says itself what is wrong
    limits = {
        "lock_timeout": lock,
        "statement_timeout": patience,
        "idle_in_transaction_session_timeout": _IDLE_SECONDS,
    }
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool,
        max_overflow=0,
        pool_timeout=lock,
        connect_args={
            "application_name": "mcp-token-broker",
            "options": " ".join(f"-c {name}={int(1000 * seconds)}ms" for name, seconds in limits.items()),
            "connect_timeout": max(2, round(lock)),
            "tcp_user_timeout": int(1000 * silence),
            "keepalives_idle": 10,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        },
    )

    @event.listens_for(engine, "do_connect")
    def connect(_: object, __: object, arguments: list[Any], named: dict[str, Any]) -> _Session:
        session = _Session.connect(*arguments, **named)
        session.patience = silence
        return session

    return engine


def facts(connection: Connection) -> dict[str, str]:
    """What an operator should know of the server and of our role there: version, durability, walls."""
    row = connection.exec_driver_sql(
        "SELECT current_setting('server_version_num'), current_setting('synchronous_commit'),"
        " current_setting('fsync'), rolsuper, rolbypassrls, extract(epoch from clock_timestamp())"
        " FROM pg_roles WHERE rolname = current_user"
    ).one()
    names = ("server_version_num", "synchronous_commit", "fsync", "superuser", "bypasses_walls", "time")
    return {name: str(value) for name, value in zip(names, row, strict=True)}
