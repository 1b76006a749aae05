"""Trusted issuers, workloads and recipients: put, removed, read whole. An id is never given again."""

from sqlalchemy import (
    Boolean,
    Column,
    Insert,
    String,
    Table,
    Text,
    bindparam,
    insert,
    or_,
    select,
    update,
)

from broker.identity.federation.trusted import document
from broker.identity.federation.trusted.document import Entry
from broker.identity.federation.trusted.model import Recipient, TrustedIssuer, Workload
from broker.runtime.database import Transaction, metadata, wall


def _table(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("id", String(128), primary_key=True),
        Column("tenant", String(128)),
        Column("document", Text, nullable=False),
        Column("deleted", Boolean, nullable=False),
    )


issuer_table = _table("trusted_issuer")
workload_table = _table("workload")
recipient_table = _table("assertion_recipient")
_TABLES = {TrustedIssuer: issuer_table, Workload: workload_table, Recipient: recipient_table}


_EVERY = {
    kind: select(table.c.id, table.c.tenant, table.c.document)
    .where(wall(table, server_rows=True), table.c.deleted.is_(False))
    .order_by(table.c.id)
    for kind, table in _TABLES.items()
}
_INSERT: dict[type[Entry], Insert] = {kind: insert(table) for kind, table in _TABLES.items()}
_ONE = {
    kind: (
        wall(table, server_rows=True),
        table.c.id == bindparam("which"),
        table.c.deleted.is_(False),
    )
    for kind, table in _TABLES.items()
}
_UPDATE = {
    kind: update(table)
    .where(*_ONE[kind], or_(table.c.tenant == bindparam("of"), bindparam("of", type_=String).is_(None)))
    .values(document=bindparam("said"))
    for kind, table in _TABLES.items()
}
_REMOVE = {kind: update(table).where(*_ONE[kind]).values(deleted=True) for kind, table in _TABLES.items()}


def issuers(tx: Transaction) -> list[TrustedIssuer]:
    rows = tx.execute(_EVERY[TrustedIssuer], wall=tx.tenant)
    return [document.issuer(row.id, row.tenant, row.document) for row in rows]


def workloads(tx: Transaction) -> list[Workload]:
    rows = tx.execute(_EVERY[Workload], wall=tx.tenant)
    return [document.workload(row.id, row.tenant, row.document) for row in rows]


def recipients(tx: Transaction) -> list[Recipient]:
    rows = tx.execute(_EVERY[Recipient], wall=tx.tenant)
    return [document.recipient(row.id, row.tenant, row.document) for row in rows]


def put(tx: Transaction, entry: Entry) -> None:
    """Create or change; `Conflict` when the id was used before. It never changes its tenant."""
    tx.require(entry.tenant)
    kind, said = type(entry), document.written(entry)
    changed = tx.execute(_UPDATE[kind], wall=tx.tenant, which=entry.id, of=entry.tenant, said=said)
    if changed.rowcount == 0:
        tx.execute(_INSERT[kind], id=entry.id, tenant=entry.tenant, document=said, deleted=False)


def remove(tx: Transaction, kind: type[Entry], entry_id: str) -> bool:
    return tx.execute(_REMOVE[kind], wall=tx.tenant, which=entry_id).rowcount == 1
