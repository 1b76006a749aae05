"""Farewells: added with what they tell of, tried by one at a time, dropped when it is over."""

from typing import Any

from sqlalchemy import (
    Column,
    Float,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from broker.runtime.database import Transaction, metadata, wall
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
_TURNS = (
    select(
        *farewell_table.c,
        func.row_number()
        .over(
            partition_by=farewell_table.c.resource_id,
            order_by=(farewell_table.c.next_at, farewell_table.c.id),
        )
        .label("turn"),
    )
    .where(wall(farewell_table), farewell_table.c.next_at <= bindparam("now"))
    .subquery()
)
_DUE = (
    select(*(_TURNS.c[name] for name in Farewell.__slots__))
    .order_by(_TURNS.c.turn, _TURNS.c.next_at, _TURNS.c.id)
    .limit(bindparam("most", type_=Integer))
)
_TRY = (
    update(farewell_table)
    .where(
        wall(farewell_table),
        farewell_table.c.id == bindparam("which"),
        farewell_table.c.attempts == bindparam("so_far"),
    )
    .values(attempts=farewell_table.c.attempts + 1, next_at=bindparam("again_at"))
)
_PUT_OFF = (
    update(farewell_table)
    .where(
        wall(farewell_table),
        farewell_table.c.resource_id == bindparam("whose"),
        farewell_table.c.next_at <= bindparam("now"),
    )
    .values(next_at=bindparam("again_at"))
)
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
