"""Releases: kept with the record of the mint, ended once, forgotten when their token has ended."""

import json
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Integer,
    Row,
    String,
    Table,
    Text,
    bindparam,
    delete,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_on_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite

from broker.denials.model import Kind, Target
from broker.runtime.database import Transaction, metadata, wall
from broker.vault.releases.model import Release

release_table = Table(
    "vault_release",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("connection_id", String(40), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("resource_id", String(128), nullable=False),
    Column("via", String(128), nullable=False),
    Column("client_id", String(512), nullable=False),
    Column("grant_id", String(200), nullable=False),
    Column("txn", String(200), nullable=False),
    Column("jti_hash", String(64), nullable=False),
    Column("targets", Text, nullable=False),
    Column("released_at", Float, nullable=False),
    Column("expires_at", Float, index=True),
    Column("ended_at", Float),
    Column("withdrawn", Boolean, nullable=False),
)

_r = release_table.c
_ANEW = ("client_id", "grant_id", "txn", "targets", "released_at", "expires_at", "ended_at", "withdrawn")
"""One row for each token in the hands of one server for one cause: what it was last released for counts."""
_SQLITE, _POSTGRESQL = insert_on_sqlite(release_table), insert_on_postgresql(release_table)
_ADD = {
    "sqlite": _SQLITE.on_conflict_do_update(
        index_elements=[_r.id],
        set_={name: _SQLITE.excluded[name] for name in _ANEW},
        where=_r.tenant == _SQLITE.excluded.tenant,
    ),
    "postgresql": _POSTGRESQL.on_conflict_do_update(
        index_elements=[_r.id],
        set_={name: _POSTGRESQL.excluded[name] for name in _ANEW},
        where=_r.tenant == _POSTGRESQL.excluded.tenant,
    ),
}
_OPEN = (
    select(release_table)
    .where(
        wall(release_table),
        _r.ended_at.is_(None),
        or_(_r.expires_at.is_(None), _r.expires_at > bindparam("now")),
        _r.id > bindparam("after"),
    )
    .order_by(_r.id)
    .limit(bindparam("most", type_=Integer))
)
_OF = (
    select(release_table)
    .where(wall(release_table), _r.connection_id == bindparam("whose"))
    .order_by(_r.released_at.desc(), _r.id)
    .limit(bindparam("most", type_=Integer))
)
_END = (
    update(release_table)
    .where(wall(release_table), _r.id == bindparam("which"), _r.ended_at.is_(None))
    .values(ended_at=bindparam("now"), withdrawn=bindparam("told"))
)
_END_ALL = (
    update(release_table)
    .where(
        wall(release_table),
        _r.connection_id == bindparam("whose"),
        or_(bindparam("only", type_=Integer).is_(None), _r.version == bindparam("only")),
        _r.ended_at.is_(None),
    )
    .values(ended_at=bindparam("now"), withdrawn=bindparam("told"))
    .returning(*_r)
)
_FORGET = delete(release_table).where(wall(release_table), _r.id == bindparam("which"))
_SWEEP = delete(release_table).where(
    wall(release_table),
    or_(_r.expires_at <= bindparam("now"), _r.ended_at <= bindparam("long_ago")),
)


def add(tx: Transaction, release: Release) -> None:
    """In the place of an earlier one with the same id."""
    tx.require(release.tenant)
    values = {name: getattr(release, name) for name in Release.__slots__ if name != "targets"}
    targets = json.dumps([[target.kind.value, target.id] for target in release.targets])
    tx.execute(_ADD[tx.connection.dialect.name], **values, targets=targets)


def still_good(tx: Transaction, now: float, after: str, most: int) -> list[Release]:
    """Those of which nobody has said that they are over, by id, behind the id `after`."""
    return [_release(row) for row in tx.execute(_OPEN, wall=tx.tenant, now=now, after=after, most=most)]


def of(tx: Transaction, connection_id: str, most: int) -> list[Release]:
    """The newest of one connection."""
    return [_release(row) for row in tx.execute(_OF, wall=tx.tenant, whose=connection_id, most=most)]


def end(tx: Transaction, release_id: str, now: float, *, withdrawn: bool) -> bool:
    """True for the one who ends it. `withdrawn`: the provider is told."""
    return tx.execute(_END, wall=tx.tenant, which=release_id, now=now, told=withdrawn).rowcount == 1


def end_all(
    tx: Transaction, connection_id: str, now: float, *, withdrawn: bool, version: int | None = None
) -> list[Release]:
    """Those of a connection, or of one version of its tokens, that this ended."""
    rows = tx.execute(_END_ALL, wall=tx.tenant, whose=connection_id, only=version, now=now, told=withdrawn)
    return [_release(row) for row in rows]


def forget(tx: Transaction, release_id: str) -> None:
    """What another one stands for."""
    tx.execute(_FORGET, wall=tx.tenant, which=release_id)


def sweep(tx: Transaction, now: float, long_ago: float) -> None:
    """Forget those whose token has ended, and those without an end that were over long ago."""
    tx.execute(_SWEEP, wall=tx.tenant, now=now, long_ago=long_ago)


def _release(row: Row[Any]) -> Release:
    kept = dict(row._mapping)
    targets = tuple(Target(Kind(kind), identifier) for kind, identifier in json.loads(kept.pop("targets")))
    return Release(**kept, targets=targets)
