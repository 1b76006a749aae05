"""Pushed requests: add, look at, spend once."""

import json
from typing import Any

from sqlalchemy import Column, Float, Row, String, Table, Text, bindparam, delete, insert, select, update

from broker.authorization.pushed.model import Pushed
from broker.protocol.parameters import Parameters
from broker.runtime.database import Transaction, metadata, wall

pushed_table = Table(
    "pushed_request",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("tenant", String(128)),
    Column("door", String(512), nullable=False),
    Column("client_id", String(512), nullable=False),
    Column("document", Text, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("spent_at", Float),
)

_ADD = insert(pushed_table)
_FIND = select(pushed_table).where(
    wall(pushed_table, server_rows=True), pushed_table.c.hash == bindparam("hashed")
)
_SPEND = (
    update(pushed_table)
    .where(
        wall(pushed_table, server_rows=True),
        pushed_table.c.hash == bindparam("hashed"),
        pushed_table.c.spent_at.is_(None),
    )
    .values(spent_at=bindparam("now"))
    .returning(pushed_table.c.hash)
)
_SWEEP = delete(pushed_table).where(
    wall(pushed_table, server_rows=True), pushed_table.c.expires_at <= bindparam("long_ago")
)


def add(tx: Transaction, hashed: str, pushed: Pushed) -> None:
    tx.require(pushed.tenant)
    document = {
        "parameters": {name: list(values) for name, values in pushed.parameters.values.items()},
        "blank": sorted(pushed.parameters.blank),
        "user_hint": pushed.user_hint,
    }
    tx.execute(
        _ADD,
        hash=hashed,
        tenant=pushed.tenant,
        door=pushed.door,
        client_id=pushed.client_id,
        document=json.dumps(document),
        expires_at=pushed.expires_at,
        spent_at=pushed.spent_at,
    )


def look(tx: Transaction, hashed: str) -> Pushed | None:
    """The request behind the hash, spent and expired ones too; gives nobody the right to an answer."""
    row = tx.execute(_FIND, wall=tx.tenant, hashed=hashed).first()
    return None if row is None else _pushed(row)


def spend(tx: Transaction, hashed: str, now: float) -> bool:
    """One caller gets True, ever (law 1)."""
    return tx.execute(_SPEND, wall=tx.tenant, hashed=hashed, now=now).first() is not None


def sweep(tx: Transaction, long_ago: float) -> None:
    tx.execute(_SWEEP, wall=tx.tenant, long_ago=long_ago)


def _pushed(row: Row[Any]) -> Pushed:
    document = json.loads(row.document)
    values = {name: tuple(found) for name, found in document["parameters"].items()}
    return Pushed(
        row.door,
        row.tenant,
        row.client_id,
        Parameters(values, frozenset(document["blank"])),
        document["user_hint"],
        row.expires_at,
        row.spent_at,
    )
