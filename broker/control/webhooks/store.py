"""Webhook notices: added with what they tell of, tried by one at a time, dropped when it is over."""

from typing import Any

from sqlalchemy import Column, Float, Integer, Row, String, Table, Text, bindparam, delete, insert

from broker.control.webhooks.model import Notice
from broker.runtime.database import Transaction, metadata, wall
from broker.runtime.deliveries import statements

notice_table = Table(
    "webhook_notice",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("target", String(64), nullable=False),
    Column("event", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False, index=True),
)

_ADD = insert(notice_table)
_DUE, _TRY, _PUT_OFF = statements(notice_table, notice_table.c.target)
_DROP = delete(notice_table).where(wall(notice_table), notice_table.c.id == bindparam("which"))


def add(tx: Transaction, notice: Notice) -> None:
    tx.require(notice.tenant)
    tx.execute(_ADD, **{name: getattr(notice, name) for name in Notice.__slots__})


def due(tx: Transaction, now: float, most: int) -> list[Notice]:
    """Those whose time has come, the longest due first: one of each target, then the next of each."""
    return [_notice(row) for row in tx.execute(_DUE, wall=tx.tenant, now=now, most=most)]


def attempt(tx: Transaction, notice: Notice, again_at: float) -> bool:
    """Count one more attempt: True for the one who may make it. Unless it succeeds, the next is then."""
    done = tx.execute(_TRY, wall=tx.tenant, which=notice.id, so_far=notice.attempts, again_at=again_at)
    return done.rowcount == 1


def put_off(tx: Transaction, target: str, now: float, again_at: float) -> None:
    """All for one target whose time has come are not tried before then; none of their attempts is counted."""
    tx.execute(_PUT_OFF, wall=tx.tenant, whose=target, now=now, again_at=again_at)


def drop(tx: Transaction, notice_id: str) -> bool:
    return tx.execute(_DROP, wall=tx.tenant, which=notice_id).rowcount == 1


def _notice(row: Row[Any]) -> Notice:
    return Notice(**row._mapping)
