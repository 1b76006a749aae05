"""Units of work: a unit is a function of a `Transaction`, handed to the engine and run whole or not at all.

The engines are in `sqlite` and `postgres`; what rooms see of them is here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    CursorResult,
    Executable,
    Float,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.sql.elements import ColumnElement

T = TypeVar("T")
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)
version_stamp = Table(
    "version_stamp",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
lease_table = Table(
    "lease",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(128), nullable=False),
    Column("ends_at", Float, nullable=False),
)


class Unavailable(Exception):
    """The database cannot answer now; nothing of the unit of work happened."""


class Unknown(Unavailable):
    """Nobody can tell now whether the unit of work happened: whoever does it again must bear that it did."""


class Conflict(Exception):
    """A row with this identity is there already; nothing of the unit of work happened."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A begun transaction as a value: made by a verb, handed down, never kept.

    `tenant` is the wall it works inside: rows of other tenants do not exist for it. None is the server itself
    (the root door before a tenant is known, administration, background duties). `throwing` transactions may put
    something off: they are ordered against all others, so that nothing is minted after a throw has answered.
    """

    connection: Connection
    tenant: str | None
    throwing: bool = False

    def execute(self, statement: Executable, **values: object) -> CursorResult[Any]:
        return self.connection.execute(statement, values)

    def require(self, tenant: str | None) -> None:
        """Whoever writes a row of `tenant` (None: of the server) stands behind its wall, or before all walls."""
        if self.tenant not in (None, tenant):
            raise PermissionError("the row of another tenant")

    def inside(self, tenant: str) -> "Transaction":
        """The rest of this transaction behind the wall of one tenant, once a verb knows it; there is no way back."""
        self.require(tenant)
        if self.tenant is None and self.connection.dialect.name == "postgresql":
            self.connection.execute(_NARROW, {"tenant": tenant})
        return replace(self, tenant=tenant)


def wall(table: Table, *, server_rows: bool = False) -> ColumnElement[bool]:
    """The condition every statement on a tenant's table carries: bind `wall=tx.tenant`.

    With `server_rows`, rows that belong to no tenant are seen from everywhere.
    """
    bound = bindparam("wall", type_=String)
    conditions = [bound.is_(None), table.c.tenant == bound]
    if server_rows:
        conditions.append(table.c.tenant.is_(None))
    return or_(*conditions)


class Database(Protocol):
    def write(
        self, work: Callable[[Transaction], T], tenant: str | None = None, *, throwing: bool = False
    ) -> T:
        """Run `work` in a transaction and commit; what it raises rolls back and comes out here.

        An engine may run it again from the start when the database asks for that. `throwing`: it may put something off.
        """
        ...

    def read(self, work: Callable[[Transaction], T], tenant: str | None = None) -> T:
        """Run `work` on a consistent view; nothing it does is kept."""
        ...

    def close(self) -> None: ...


def translated(error: DBAPIError) -> Exception:
    return Conflict() if isinstance(error, IntegrityError) else Unavailable(type(error.orig).__name__)


def bump(tx: Transaction, name: str) -> None:
    """Say in this transaction that what is cached under `name` has changed."""
    if tx.execute(_BUMP, named=name).rowcount == 0:
        tx.execute(_FIRST, name=name, number=1)


def stamps(tx: Transaction) -> dict[str, int]:
    """How often each name was bumped; what never was is not in it."""
    return {row.name: row.number for row in tx.execute(_STAMPS)}


def lease(tx: Transaction, name: str, holder: str, now: float, seconds: float) -> bool:
    """Claim or renew a duty that one process does at a time; True for whoever holds it now."""
    values = {"named": name, "mine": holder, "now": now, "until": now + seconds}
    if tx.execute(_RENEW, **values).rowcount == 1:
        return True
    if tx.execute(_HELD, named=name).first() is not None:
        return False
    tx.execute(_CLAIM, name=name, holder=holder, ends_at=now + seconds)
    return True


def release(tx: Transaction, name: str, holder: str) -> None:
    """Give the duty up, so that another need not wait for the lease to end."""
    tx.execute(_RELEASE, named=name, mine=holder)


_NARROW = select(func.set_config("broker.tenant", bindparam("tenant", type_=String), True))
_BUMP = (
    update(version_stamp)
    .where(version_stamp.c.name == bindparam("named"))
    .values(number=version_stamp.c.number + 1)
)
_FIRST = insert(version_stamp)
_STAMPS = select(version_stamp.c.name, version_stamp.c.number)
_RENEW = (
    update(lease_table)
    .where(
        lease_table.c.name == bindparam("named"),
        or_(lease_table.c.holder == bindparam("mine"), lease_table.c.ends_at <= bindparam("now")),
    )
    .values(holder=bindparam("mine"), ends_at=bindparam("until"))
)
_HELD = select(lease_table.c.holder).where(lease_table.c.name == bindparam("named"))
_CLAIM = insert(lease_table)
_RELEASE = delete(lease_table).where(
    lease_table.c.name == bindparam("named"), lease_table.c.holder == bindparam("mine")
)
