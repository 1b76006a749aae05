"""Tenants: put, delete, list. A deleted tenant's id is kept, so that it is never given again."""

import json

from sqlalchemy import Boolean, Column, String, Table, Text, bindparam, insert, or_, select, update

from broker.identity.tenants.model import Tenant, Trust
from broker.runtime.database import Transaction, metadata

tenant_table = Table(
    "tenant",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("root_door", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False, default=False),
    Column("document_policy", Text),
    Column("identity_providers", Text),
    Column("device", Boolean, nullable=False),
    Column("pushed_only", Boolean, nullable=False),
)

_HERE = or_(bindparam("wall", type_=String).is_(None), tenant_table.c.id == bindparam("wall"))
_LIST = select(tenant_table).where(_HERE, tenant_table.c.deleted.is_(False)).order_by(tenant_table.c.id)
_INSERT = insert(tenant_table)
_UPDATE = (
    update(tenant_table)
    .where(_HERE, tenant_table.c.id == bindparam("which"), tenant_table.c.deleted.is_(False))
    .values(
        name=bindparam("called"),
        root_door=bindparam("at_root"),
        document_policy=bindparam("trusts"),
        identity_providers=bindparam("accepts"),
        pushed_only=bindparam("pushes"),
        device=bindparam("by_device"),
    )
)
_DELETE = (
    update(tenant_table)
    .where(_HERE, tenant_table.c.id == bindparam("which"), tenant_table.c.deleted.is_(False))
    .values(deleted=True)
)


def put(tx: Transaction, tenant: Tenant) -> None:
    """Create or change; `Conflict` when the id belonged to a tenant that was deleted."""
    tx.require(tenant.id)
    trust = tenant.documents
    policy = None if trust == Trust() else json.dumps({"allow": trust.allow, "deny": trust.deny})
    accepted = json.dumps(tenant.providers) if tenant.providers else None
    changed = tx.execute(
        _UPDATE,
        wall=tx.tenant,
        which=tenant.id,
        called=tenant.name,
        at_root=tenant.root_door,
        trusts=policy,
        accepts=accepted,
        by_device=tenant.device,
        pushes=tenant.pushed_only,
    )
    if changed.rowcount == 0:
        tx.execute(
            _INSERT,
            id=tenant.id,
            name=tenant.name,
            root_door=tenant.root_door,
            deleted=False,
            document_policy=policy,
            identity_providers=accepted,
            device=tenant.device,
            pushed_only=tenant.pushed_only,
        )


def delete(tx: Transaction, tenant: str) -> bool:
    return tx.execute(_DELETE, wall=tx.tenant, which=tenant).rowcount == 1


def every(tx: Transaction) -> list[Tenant]:
    return [
        Tenant(
            row.id,
            row.name,
            row.root_door,
            _trust(row.document_policy),
            pushed_only=row.pushed_only,
            providers=tuple(json.loads(row.identity_providers or "[]")),
            device=row.device,
        )
        for row in tx.execute(_LIST, wall=tx.tenant)
    ]


def _trust(policy: str | None) -> Trust:
    if policy is None:
        return Trust()
    kept = json.loads(policy)
    return Trust(None if kept["allow"] is None else tuple(kept["allow"]), tuple(kept["deny"]))
