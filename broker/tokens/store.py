"""Refresh tokens: added, rotated. One statement spends one (law 1); the successor is derived, never stored."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Float, Row, String, Table, bindparam, delete, insert, select, update

from broker.runtime.database import Transaction, metadata, wall

refresh_table = Table(
    "refresh_token",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("tenant", String(128), nullable=False),
    Column("grant_id", String(64), nullable=False, index=True),
    Column("client_id", String(512), nullable=False),
    Column("door", String(512), nullable=False),
    Column("predecessor", String(40), unique=True),
    Column("expires_at", Float, nullable=False, index=True),
    Column("spent_at", Float),
    Column("confirmation", String(128)),
)


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token's row; `predecessor` is the row that it succeeded, `confirmation` its `cnf` as JSON text."""

    id: str
    tenant: str
    grant_id: str
    client_id: str
    door: str
    predecessor: str | None
    expires_at: float
    spent_at: float | None
    confirmation: str | None = None


_COLUMNS = [refresh_table.c[name] for name in Refresh.__slots__]
_ADD = insert(refresh_table)
_SPEND = (
    update(refresh_table)
    .where(
        wall(refresh_table),
        refresh_table.c.hash == bindparam("hashed"),
        refresh_table.c.door == bindparam("at"),
        refresh_table.c.client_id == bindparam("client"),
        refresh_table.c.spent_at.is_(None),
        refresh_table.c.expires_at > bindparam("now"),
    )
    .values(spent_at=bindparam("now"))
    .returning(*_COLUMNS)
)
_KEEP = (
    update(refresh_table)
    .where(wall(refresh_table), refresh_table.c.id == bindparam("row_id"))
    .values(expires_at=bindparam("until"))
)
_FIND = select(*_COLUMNS).where(wall(refresh_table), refresh_table.c.hash == bindparam("hashed"))
_SUCCESSOR = select(*_COLUMNS, refresh_table.c.hash).where(
    wall(refresh_table), refresh_table.c.predecessor == bindparam("row_id")
)
_EVERY = select(*_COLUMNS).where(wall(refresh_table)).order_by(refresh_table.c.id)
_SWEEP = delete(refresh_table).where(wall(refresh_table), refresh_table.c.expires_at <= bindparam("long_ago"))


def add(tx: Transaction, hashed: str, row: Refresh) -> None:
    values = {name: getattr(row, name) for name in Refresh.__slots__}
    tx.require(row.tenant)
    tx.execute(_ADD, hash=hashed, **values)


def spend(tx: Transaction, hashed: str, door: str, client_id: str, now: float) -> Refresh | None:
    """The row, spent by this call and no other; None when it is unknown, foreign, expired or spent."""
    row = tx.execute(_SPEND, wall=tx.tenant, hashed=hashed, at=door, client=client_id, now=now).first()
    return None if row is None else _refresh(row)


def keep(tx: Transaction, row_id: str, expires_at: float) -> None:
    """A token that is not rotated was used: it lives on."""
    tx.execute(_KEEP, wall=tx.tenant, row_id=row_id, until=expires_at)


def find(tx: Transaction, hashed: str) -> Refresh | None:
    """The row behind a token: to revoke it, or to say why `spend` refused."""
    row = tx.execute(_FIND, wall=tx.tenant, hashed=hashed).first()
    return None if row is None else _refresh(row)


def successor(tx: Transaction, row_id: str) -> tuple[Refresh, str] | None:
    """The row that succeeded this one, and its hash."""
    row = tx.execute(_SUCCESSOR, wall=tx.tenant, row_id=row_id).first()
    return None if row is None else (_refresh(row), row.hash)


def every(tx: Transaction) -> list[Refresh]:
    """All rows that are kept, spent ones too, in the order they were made."""
    return [_refresh(row) for row in tx.execute(_EVERY, wall=tx.tenant)]


def sweep(tx: Transaction, long_ago: float) -> None:
    tx.execute(_SWEEP, wall=tx.tenant, long_ago=long_ago)


def _refresh(row: Row[Any]) -> Refresh:
    return Refresh(*(row._mapping[name] for name in Refresh.__slots__))
