"""Texts of policies: one of the server (`*`), one of each tenant that has any; put, removed, listed."""

from sqlalchemy import Column, Float, Integer, String, Table, Text, bindparam, delete, insert, select, update

from broker.control.policy.model import PolicyText
from broker.runtime.database import Transaction, metadata, wall

policy_table = Table(
    "policy_text",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("text", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("changed_at", Float, nullable=False),
)

_ONE = (wall(policy_table), policy_table.c.tenant == bindparam("of"))
_CHANGE = (
    update(policy_table)
    .where(*_ONE)
    .values(text=bindparam("rest"), version=policy_table.c.version + 1, changed_at=bindparam("at"))
)
_ADD = insert(policy_table)
_REMOVE = delete(policy_table).where(*_ONE)
_EVERY = select(policy_table).where(wall(policy_table)).order_by(policy_table.c.tenant)


def put(tx: Transaction, tenant: str, text: str, now: float) -> None:
    """The first of `tenant`, or the next version."""
    tx.require(tenant)
    if tx.execute(_CHANGE, wall=tx.tenant, of=tenant, rest=text, at=now).rowcount == 0:
        tx.execute(_ADD, tenant=tenant, text=text, version=1, changed_at=now)


def remove(tx: Transaction, tenant: str) -> bool:
    return tx.execute(_REMOVE, wall=tx.tenant, of=tenant).rowcount == 1


def every(tx: Transaction) -> list[PolicyText]:
    return [
        PolicyText(row.tenant, row.text, row.version, row.changed_at)
        for row in tx.execute(_EVERY, wall=tx.tenant)
    ]
