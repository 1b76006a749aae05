"""Farewells: added with what they tell of, tried by one at a time, dropped when it is over."""

from typing import Any

from sqlalchemy import Column, Float, Integer, LargeBinary, Row, String, Table, bindparam, delete, insert

from broker.runtime.database import Transaction, metadata, wall
from broker.runtime.deliveries import statements
from broker.vault.farewells.model import Farewell

farewell_table = Table(
    "vault_farewell",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("connection_id", String(40), nullable=False),
    Column("resource_id", String(128), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("why", String(200), nullable=False),
    Column("expires_at", Float),
    Column("token", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False, index=True),
)

_ADD = insert(farewell_table)
_DUE, _TRY, _PUT_OFF = statements(farewell_table, farewell_table.c.resource_id)
_DROP = delete(farewell_table).where(wall(farewell_table), farewell_table.c.id == bindparam("which"))


def add(tx: Transaction, farewell: Farewell) -> None:
    tx.require(farewell.tenant)
    tx.execute(_ADD, **{name: getattr(farewell, name) for name in Farewell.__slots__})


def due(tx: Transaction, now: float, most: int) -> list[Farewell]:
    """Those whose time has come, the longest due first: one of each resource, then the next of each."""
    return [_farewell(row) for row in tx.execute(_DUE, wall=tx.tenant, now=now, most=most)]


def attempt(tx: Transaction, farewell: Farewell, again_at: float) -> bool:
    """Count one more attempt: True for the one who may make it. Unless it succeeds, the next is then."""
    done = tx.execute(_TRY, wall=tx.tenant, which=farewell.id, so_far=farewell.attempts, again_at=again_at)
    return done.rowcount == 1


def put_off(tx: Transaction, resource_id: str, now: float, again_at: float) -> None:
    """All of one resource whose time has come are not tried before then; none of their attempts is counted."""
    tx.execute(_PUT_OFF, wall=tx.tenant, whose=resource_id, now=now, again_at=again_at)


def drop(tx: Transaction, farewell_id: str) -> bool:
    return tx.execute(_DROP, wall=tx.tenant, which=farewell_id).rowcount == 1


def _farewell(row: Row[Any]) -> Farewell:
    return Farewell(**row._mapping)
