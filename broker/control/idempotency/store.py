"""Permits: begun once under a key, finished once, listed while they are open. One statement decides each (law 1)."""

import json
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Row,
    String,
    Table,
    Text,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_on_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite

from broker.control.idempotency.model import Permit
from broker.protocol import jcs
from broker.runtime.database import Conflict, Transaction, metadata, wall

permit_table = Table(
    "permit",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("resource", String(128), nullable=False),
    Column("tool", String(256), nullable=False),
    Column("subject", String(512), nullable=False),
    Column("client_id", String(512), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("keyed", Boolean, nullable=False),
    Column("slot", String(64), unique=True),
    Column("txn", String(200)),
    Column("grant_id", String(200)),
    Column("made_at", Float, nullable=False),
    Column("slot_until", Float, nullable=False),
    Column("kept_until", Float, nullable=False, index=True),
    Column("outcome", Text),
    Column("reported_at", Float),
)
_TRIES = 3
"""A slot that was held can be free when its holder is looked for: it was swept, or its time was over."""
_SLOT = [permit_table.c.slot]
_ADD = {
    "sqlite": insert_on_sqlite(permit_table)
    .on_conflict_do_nothing(index_elements=_SLOT)
    .returning(permit_table.c.id),
    "postgresql": insert_on_postgresql(permit_table)
    .on_conflict_do_nothing(index_elements=_SLOT)
    .returning(permit_table.c.id),
}
_FREE = (
    update(permit_table)
    .where(
        wall(permit_table),
        permit_table.c.slot == bindparam("which"),
        permit_table.c.slot_until <= bindparam("now"),
    )
    .values(slot=None)
)
_HOLDER = select(permit_table).where(wall(permit_table), permit_table.c.slot == bindparam("which"))
_GET = select(permit_table).where(wall(permit_table), permit_table.c.id == bindparam("which"))
_KEPT = case(
    (permit_table.c.slot_until > bindparam("until", type_=Float), permit_table.c.slot_until),
    else_=bindparam("until", type_=Float),
)
_FINISH = (
    update(permit_table)
    .where(
        wall(permit_table),
        permit_table.c.id == bindparam("which"),
        permit_table.c.outcome.is_(None),
    )
    .values(
        outcome=bindparam("said"),
        reported_at=bindparam("now"),
        slot_until=_KEPT,
        kept_until=_KEPT,
    )
)
_LIST = (
    select(permit_table)
    .where(
        wall(permit_table),
        or_(bindparam("all", type_=Boolean), permit_table.c.outcome.is_(None)),
        or_(bindparam("of", type_=String).is_(None), permit_table.c.resource == bindparam("of")),
        permit_table.c.made_at <= bindparam("before"),
    )
    .order_by(permit_table.c.made_at.desc(), permit_table.c.id.desc())
    .limit(bindparam("most"))
)
_OPEN = (
    select(permit_table.c.tenant, func.count().label("many"))
    .where(
        wall(permit_table),
        permit_table.c.keyed,
        permit_table.c.outcome.is_(None),
        permit_table.c.made_at <= bindparam("before"),
    )
    .group_by(permit_table.c.tenant)
    .order_by(permit_table.c.tenant)
)
_UNSLOT = (
    update(permit_table)
    .where(
        wall(permit_table), permit_table.c.slot.is_not(None), permit_table.c.slot_until <= bindparam("now")
    )
    .values(slot=None)
)
_SWEEP = delete(permit_table).where(wall(permit_table), permit_table.c.kept_until <= bindparam("now"))


def begin(
    tx: Transaction, permit: Permit, slot: str | None, slot_until: float, kept_until: float
) -> Permit | None:
    """Add it; with a `slot`, unless another has it until later: then that one comes back, and nothing is added.

    Conflict when the slot is nobody's that can be seen, and taken all the same.
    """
    for _ in range(_TRIES):
        if _added(tx, permit, slot, slot_until, kept_until):
            return None
        tx.execute(_FREE, wall=tx.tenant, which=slot, now=permit.made_at)
        row = tx.execute(_HOLDER, wall=tx.tenant, which=slot).first()
        if row is not None:
            return _permit(row)
    raise Conflict


def find(tx: Transaction, permit_id: str) -> Permit | None:
    row = tx.execute(_GET, wall=tx.tenant, which=permit_id).first()
    return None if row is None else _permit(row)


def finish(tx: Transaction, permit_id: str, outcome: dict[str, object], now: float, until: float) -> bool:
    """Say what came of it, to be kept with its slot until then at least; False when somebody said so before, or there
    is none."""
    said = jcs.canonical(outcome).decode()
    return tx.execute(_FINISH, wall=tx.tenant, which=permit_id, said=said, now=now, until=until).rowcount == 1


def listed(
    tx: Transaction, *, only_open: bool, resource: str | None, before: float, most: int
) -> list[Permit]:
    """The newest first; `before`: made by then (epoch seconds)."""
    rows = tx.execute(_LIST, wall=tx.tenant, all=not only_open, of=resource, before=before, most=most)
    return [_permit(row) for row in rows]


def still_open(tx: Transaction, before: float) -> list[tuple[str, int]]:
    """(tenant, how many calls with effects) that were let through by then and of which nobody said what came."""
    return [(row.tenant, row.many) for row in tx.execute(_OPEN, wall=tx.tenant, before=before)]


def sweep(tx: Transaction, now: float) -> None:
    """Free the keys that are over, and forget what need not be kept any more."""
    tx.execute(_UNSLOT, wall=tx.tenant, now=now)
    tx.execute(_SWEEP, wall=tx.tenant, now=now)


def _added(tx: Transaction, permit: Permit, slot: str | None, slot_until: float, kept_until: float) -> bool:
    tx.require(permit.tenant)
    row = tx.execute(
        _ADD[tx.connection.dialect.name],
        id=permit.id,
        tenant=permit.tenant,
        resource=permit.resource,
        tool=permit.tool,
        subject=permit.subject,
        client_id=permit.client_id,
        digest=permit.digest,
        keyed=permit.keyed,
        slot=slot,
        txn=permit.txn,
        grant_id=permit.grant_id,
        made_at=permit.made_at,
        slot_until=slot_until,
        kept_until=kept_until,
        outcome=None,
        reported_at=None,
    ).first()
    return row is not None


def _permit(row: Row[Any]) -> Permit:
    return Permit(
        id=row.id,
        tenant=row.tenant,
        resource=row.resource,
        tool=row.tool,
        subject=row.subject,
        client_id=row.client_id,
        digest=row.digest,
        keyed=row.keyed,
        txn=row.txn,
        grant_id=row.grant_id,
        made_at=row.made_at,
        outcome=None if row.outcome is None else json.loads(row.outcome),
        reported_at=row.reported_at,
    )
