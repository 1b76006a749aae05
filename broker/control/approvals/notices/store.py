"""Letters: added with the request that they tell of, tried by one at a time, dropped when it is over."""

from typing import Any

from sqlalchemy import Column, Float, Integer, Row, String, Table, bindparam, delete, insert

from broker.control.approvals.notices.model import Letter
from broker.runtime.database import Transaction, metadata, wall
from broker.runtime.deliveries import statements

letter_table = Table(
    "approval_letter",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("approval_id", String(40), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False, index=True),
)

_ADD = insert(letter_table)
_DUE, _TRY, _PUT_OFF = statements(letter_table, letter_table.c.user_id)
_DROP = delete(letter_table).where(wall(letter_table), letter_table.c.id == bindparam("which"))


def add(tx: Transaction, letter: Letter) -> None:
    tx.require(letter.tenant)
    tx.execute(_ADD, **{name: getattr(letter, name) for name in Letter.__slots__})


def due(tx: Transaction, now: float, most: int) -> list[Letter]:
    """Those whose time has come, the longest due first: one of each person, then the next of each."""
    return [_letter(row) for row in tx.execute(_DUE, wall=tx.tenant, now=now, most=most)]


def attempt(tx: Transaction, letter: Letter, again_at: float) -> bool:
    """Count one more attempt: True for the one who may make it. Unless it succeeds, the next is then."""
    done = tx.execute(_TRY, wall=tx.tenant, which=letter.id, so_far=letter.attempts, again_at=again_at)
    return done.rowcount == 1


def put_off(tx: Transaction, user_id: str, now: float, again_at: float) -> None:
    """All for one person whose time has come are not tried before then; none of their attempts is counted."""
    tx.execute(_PUT_OFF, wall=tx.tenant, whose=user_id, now=now, again_at=again_at)


def drop(tx: Transaction, letter_id: str) -> bool:
    return tx.execute(_DROP, wall=tx.tenant, which=letter_id).rowcount == 1


def _letter(row: Row[Any]) -> Letter:
    return Letter(**row._mapping)
