"""Visits to providers: begun, and taken back once by whoever began."""

from sqlalchemy import Column, Float, String, Table, Text, bindparam, delete, insert, update

from broker.runtime.database import Transaction, metadata, wall
from broker.vault.model import Visit

visit_table = Table(
    "vault_visit",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("resource_id", String(128), nullable=False),
    Column("door", String(512), nullable=False),
    Column("browser", String(64), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("onward", Text),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("consumed_at", Float),
)
_BEGIN = insert(visit_table)
_TAKE = (
    update(visit_table)
    .where(
        wall(visit_table),
        visit_table.c.hash == bindparam("hashed"),
        visit_table.c.browser == bindparam("browsing"),
        visit_table.c.user_id == bindparam("whose"),
        visit_table.c.resource_id == bindparam("of"),
        visit_table.c.door == bindparam("at"),
        visit_table.c.consumed_at.is_(None),
        visit_table.c.expires_at > bindparam("now"),
    )
    .values(consumed_at=bindparam("now"))
    .returning(*visit_table.c)
)
_SWEEP = delete(visit_table).where(wall(visit_table), visit_table.c.expires_at <= bindparam("now"))


def begin(tx: Transaction, hashed: str, browser: str, visit: Visit) -> None:
    tx.require(visit.tenant)
    tx.execute(
        _BEGIN,
        hash=hashed,
        tenant=visit.tenant,
        resource_id=visit.resource_id,
        door=visit.door,
        browser=browser,
        user_id=visit.user_id,
        scopes=" ".join(visit.scopes),
        onward=visit.onward,
        created_at=visit.created_at,
        expires_at=visit.expires_at,
        consumed_at=None,
    )


def take(
    tx: Transaction, hashed: str, browser: str, user_id: str, resource_id: str, door: str, now: float
) -> Visit | None:
    """The visit from which this person comes back in this browser, once."""
    row = tx.execute(
        _TAKE,
        wall=tx.tenant,
        hashed=hashed,
        browsing=browser,
        whose=user_id,
        of=resource_id,
        at=door,
        now=now,
    ).first()
    if row is None:
        return None
    return Visit(
        row.tenant,
        row.resource_id,
        row.door,
        row.user_id,
        tuple(row.scopes.split()),
        row.onward,
        row.created_at,
        row.expires_at,
    )


def sweep(tx: Transaction, now: float) -> None:
    tx.execute(_SWEEP, wall=tx.tenant, now=now)
