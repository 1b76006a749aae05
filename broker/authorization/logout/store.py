"""Notices of sign-outs: added with what they tell of, tried by one at a time, dropped when it is over."""

from typing import Any

from sqlalchemy import (
    Column,
    Float,
    Integer,
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

from broker.authorization.logout.model import Notice
from broker.runtime.database import Transaction, metadata, wall

notice_table = Table(
    "logout_notice",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("door", String(512), nullable=False),
    Column("client_id", String(512), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("sid", String(40), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False, index=True),
)

_ADD = insert(notice_table)
_TURNS = (
    select(
        *notice_table.c,
        func.row_number()
        .over(partition_by=notice_table.c.client_id, order_by=(notice_table.c.next_at, notice_table.c.id))
        .label("turn"),
    )
    .where(wall(notice_table), notice_table.c.next_at <= bindparam("now"))
    .subquery()
)
_DUE = (
    select(*(_TURNS.c[name] for name in Notice.__slots__))
    .order_by(_TURNS.c.turn, _TURNS.c.next_at, _TURNS.c.id)
    .limit(bindparam("most", type_=Integer))
)
_TRY = (
    update(notice_table)
    .where(
        wall(notice_table),
        notice_table.c.id == bindparam("which"),
        notice_table.c.attempts == bindparam("so_far"),
    )
    .values(attempts=notice_table.c.attempts + 1, next_at=bindparam("again_at"))
)
_PUT_OFF = (
    update(notice_table)
    .where(
        wall(notice_table),
        notice_table.c.client_id == bindparam("whose"),
        notice_table.c.next_at <= bindparam("now"),
    )
    .values(next_at=bindparam("again_at"))
)
_DROP = delete(notice_table).where(wall(notice_table), notice_table.c.id == bindparam("which"))


def add(tx: Transaction, notice: Notice) -> None:
    tx.require(notice.tenant)
    tx.execute(_ADD, **{name: getattr(notice, name) for name in Notice.__slots__})


def due(tx: Transaction, now: float, most: int) -> list[Notice]:
    """Those whose time has come, the longest due first: one of each client, then the next of each."""
    return [_notice(row) for row in tx.execute(_DUE, wall=tx.tenant, now=now, most=most)]


def attempt(tx: Transaction, notice: Notice, again_at: float) -> bool:
    """Count one more attempt: True for the one who may make it. Unless it succeeds, the next is then."""
    done = tx.execute(_TRY, wall=tx.tenant, which=notice.id, so_far=notice.attempts, again_at=again_at)
    return done.rowcount == 1


def put_off(tx: Transaction, client_id: str, now: float, again_at: float) -> None:
    """All of one client whose time has come are not tried before then; none of their attempts is counted."""
    tx.execute(_PUT_OFF, wall=tx.tenant, whose=client_id, now=now, again_at=again_at)


def drop(tx: Transaction, notice_id: str) -> bool:
    return tx.execute(_DROP, wall=tx.tenant, which=notice_id).rowcount == 1


def _notice(row: Row[Any]) -> Notice:
    return Notice(**row._mapping)
