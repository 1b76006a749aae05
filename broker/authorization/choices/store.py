"""Choices of a tenant: kept, found, forgotten."""

from sqlalchemy import Column, Float, String, Table, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert as insert_on_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite

from broker.authorization.choices.model import Choice
from broker.runtime.database import Transaction, metadata, wall

choice_table = Table(
    "tenant_choice",
    metadata,
    Column("user_id", String(128), primary_key=True),
    Column("client_id", String(512), primary_key=True),
    Column("tenant", String(128), primary_key=True),
    Column("chosen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

_KEY, _NEWER = ("user_id", "client_id", "tenant"), ("chosen_at", "expires_at")
_SQLITE, _POSTGRESQL = insert_on_sqlite(choice_table), insert_on_postgresql(choice_table)
_KEEP = {
    "sqlite": _SQLITE.on_conflict_do_update(
        index_elements=_KEY, set_={name: _SQLITE.excluded[name] for name in _NEWER}
    ),
    "postgresql": _POSTGRESQL.on_conflict_do_update(
        index_elements=_KEY, set_={name: _POSTGRESQL.excluded[name] for name in _NEWER}
    ),
}
_OF = (
    wall(choice_table),
    choice_table.c.user_id == bindparam("whose"),
    choice_table.c.client_id == bindparam("client"),
)
_FIND = (
    select(choice_table)
    .where(*_OF, choice_table.c.expires_at > bindparam("now"))
    .order_by(choice_table.c.chosen_at.desc())
    .limit(1)
)
_FORGET = delete(choice_table).where(*_OF)
_SWEEP = delete(choice_table).where(wall(choice_table), choice_table.c.expires_at <= bindparam("now"))


def keep(tx: Transaction, choice: Choice) -> None:
    """Chosen now, whether or not it was chosen before."""
    tx.require(choice.tenant)
    values = {name: getattr(choice, name) for name in Choice.__slots__}
    tx.execute(_KEEP[tx.connection.dialect.name], **values)


def find(tx: Transaction, user_id: str, client_id: str, now: float) -> Choice | None:
    """The newest that is not over."""
    row = tx.execute(_FIND, wall=tx.tenant, whose=user_id, client=client_id, now=now).first()
    return None if row is None else Choice(**row._mapping)


def forget(tx: Transaction, user_id: str, client_id: str) -> bool:
    """Whether there was one."""
    return tx.execute(_FORGET, wall=tx.tenant, whose=user_id, client=client_id).rowcount > 0


def sweep(tx: Transaction, now: float) -> None:
    tx.execute(_SWEEP, wall=tx.tenant, now=now)
