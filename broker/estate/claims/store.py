"""Claims of addresses: made, settled, listed, withdrawn."""

from typing import Any

from sqlalchemy import (
    Column,
    Float,
    Row,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from broker.estate.claims.model import Claim, State
from broker.runtime.database import Transaction, metadata, wall

claim_table = Table(
    "resource_claim",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("uri", String(2048), nullable=False),
    Column("state", String(16), nullable=False),
    Column("made_at", Float, nullable=False),
    Column("checked_at", Float),
    Column("resource_id", String(128)),
    UniqueConstraint("tenant", "uri"),
)

_ADD = insert(claim_table)
_ONE = (wall(claim_table), claim_table.c.id == bindparam("which"))
_GET = select(claim_table).where(*_ONE)
_AT = select(claim_table).where(
    wall(claim_table), claim_table.c.tenant == bindparam("of"), claim_table.c.uri == bindparam("where")
)
_EVERY = select(claim_table).where(wall(claim_table)).order_by(claim_table.c.tenant, claim_table.c.uri)
_SETTLE = (
    update(claim_table)
    .where(*_ONE, claim_table.c.state == bindparam("before"))
    .values(state=bindparam("after"), checked_at=bindparam("heard"))
    .returning(claim_table)
)
_REGISTERED = update(claim_table).where(*_ONE).values(resource_id=bindparam("resource"))
_WITHDRAW = delete(claim_table).where(*_ONE).returning(claim_table)


def add(tx: Transaction, claim: Claim) -> None:
    """`Conflict` when the tenant claims that address already."""
    tx.require(claim.tenant)
    tx.execute(_ADD, **{name: getattr(claim, name) for name in Claim.__slots__})


def get(tx: Transaction, claim_id: str) -> Claim | None:
    row = tx.execute(_GET, wall=tx.tenant, which=claim_id).first()
    return None if row is None else _claim(row)


def at(tx: Transaction, tenant: str, uri: str) -> Claim | None:
    """What this tenant claims of this address."""
    row = tx.execute(_AT, wall=tx.tenant, of=tenant, where=uri).first()
    return None if row is None else _claim(row)


def every(tx: Transaction) -> list[Claim]:
    return [_claim(row) for row in tx.execute(_EVERY, wall=tx.tenant)]


def settle(
    tx: Transaction, claim_id: str, before: State, after: State, checked_at: float | None
) -> Claim | None:
    """To another state, unless somebody was faster: None then, and when it is gone."""
    row = tx.execute(
        _SETTLE, wall=tx.tenant, which=claim_id, before=before.value, after=after.value, heard=checked_at
    ).first()
    return None if row is None else _claim(row)


def registered(tx: Transaction, claim_id: str, resource_id: str) -> bool:
    """Keep what the tenant registered at the address."""
    return tx.execute(_REGISTERED, wall=tx.tenant, which=claim_id, resource=resource_id).rowcount == 1


def withdraw(tx: Transaction, claim_id: str) -> Claim | None:
    """The claim as it was; None when there is none."""
    row = tx.execute(_WITHDRAW, wall=tx.tenant, which=claim_id).first()
    return None if row is None else _claim(row)


def _claim(row: Row[Any]) -> Claim:
    values = dict(row._mapping)
    return Claim(**{**values, "state": State(values["state"])})
