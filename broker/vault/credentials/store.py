"""This server's sealed secrets at providers."""

from sqlalchemy import Column, LargeBinary, String, Table, bindparam, delete, insert, select

from broker.runtime.database import Transaction, metadata

client_table = Table(
    "vault_client",
    metadata,
    Column("resource_id", String(128), primary_key=True),
    Column("secret", LargeBinary, nullable=False),
)
SERVER_WIDE = "this server's secret at a provider belongs to a resource, which can serve several tenants"

_SECRET = select(client_table.c.secret).where(client_table.c.resource_id == bindparam("which"))
_RESOURCES = select(client_table.c.resource_id).order_by(client_table.c.resource_id)
_SET = insert(client_table)
_FORGET = delete(client_table).where(client_table.c.resource_id == bindparam("which"))


def resources(tx: Transaction) -> list[str]:
    """The resources that have one."""
    return list(tx.execute(_RESOURCES).scalars())


def secret(tx: Transaction, resource_id: str) -> bytes | None:
    """This server's sealed secret at the provider of a resource, None without one."""
    row = tx.execute(_SECRET, which=resource_id).first()
    return None if row is None else row.secret


def set_secret(tx: Transaction, resource_id: str, sealed: bytes | None) -> None:
    tx.execute(_FORGET, which=resource_id)
    if sealed is not None:
        tx.execute(_SET, resource_id=resource_id, secret=sealed)
