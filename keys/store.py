"""The table of signing keys and its atomic verbs. A connection is handed in; nothing begins or commits."""

import json
from typing import TypeAlias

from sqlalchemy import (
    Column,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    Text,
    bindparam,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from keys.model import SUCCESSOR, KeyRecord, KeyState, RingName

metadata = MetaData()

_ONE_OF_EACH = text("state IN ('pending', 'active')")

signing_key = Table(
    "signing_key",
    metadata,
    Column("kid", String(43), primary_key=True),
    Column("door", Text, nullable=False),
    Column("alg", String(16), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("activated_at", Double),
    Column("retiring_at", Double),
    Column("retired_at", Double),
    Column("public_jwk", Text, nullable=False),
    Column("sealed_private", LargeBinary),
    Index("ix_signing_key_door", "door"),
    # A ring has at most one pending and at most one active key, whoever races.
    Index(
        "uq_signing_key_state",
        "door",
        "alg",
        "purpose",
        "state",
        unique=True,
        sqlite_where=_ONE_OF_EACH,
        postgresql_where=_ONE_OF_EACH,
    ),
)

_Fields: TypeAlias = tuple[object, ...]

_ROWS = select(signing_key).order_by(
    signing_key.c.door, signing_key.c.alg, signing_key.c.purpose, signing_key.c.version
)
_RING = _ROWS.where(
    signing_key.c.door == bindparam("of_door"),
    signing_key.c.alg == bindparam("of_alg"),
    signing_key.c.purpose == bindparam("of_purpose"),
)
_INSERT = {
    "sqlite": sqlite.insert(signing_key).on_conflict_do_nothing().returning(signing_key.c.kid),
    "postgresql": postgresql.insert(signing_key).on_conflict_do_nothing().returning(signing_key.c.kid),
}
_MOVE = update(signing_key).where(
    signing_key.c.kid == bindparam("of_kid"), signing_key.c.state == bindparam("from_state")
)
_MOVES = {
    KeyState.ACTIVE: _MOVE.values(state="active", activated_at=bindparam("at")),
    KeyState.RETIRING: _MOVE.values(state="retiring", retiring_at=bindparam("at")),
    KeyState.RETIRED: _MOVE.values(state="retired", retired_at=bindparam("at"), sealed_private=null()),
}


def rows(connection: Connection) -> list[KeyRecord]:
    """Every key of every door, by ring and version."""
    return [_record(row) for row in connection.execute(_ROWS)]


def ring(connection: Connection, name: RingName) -> list[KeyRecord]:
    """The keys of one ring, retired ones too, by version."""
    found = connection.execute(_RING, {"of_door": name.door, "of_alg": name.alg, "of_purpose": name.purpose})
    return [_record(row) for row in found]


def insert(connection: Connection, record: KeyRecord) -> bool:
    """Add a key; False if the ring already has one in that state (another worker was first)."""
    values = {
        "kid": record.kid,
        "door": record.door,
        "alg": record.alg,
        "purpose": record.purpose,
        "version": record.version,
        "state": record.state.value,
        "created_at": record.created_at,
        "activated_at": record.activated_at,
        "retiring_at": record.retiring_at,
        "retired_at": record.retired_at,
        "public_jwk": json.dumps(record.public_jwk, separators=(",", ":"), sort_keys=True),
        "sealed_private": record.sealed_private,
    }
    return connection.execute(_INSERT[connection.dialect.name], values).first() is not None


def move(connection: Connection, kid: str, from_state: KeyState, to_state: KeyState, now: float) -> bool:
    """One step of a key's life in one statement; True only for the one who took it.

    Moving to retired destroys the private part. ValueError for a step that no key takes.
    """
    if SUCCESSOR.get(from_state) is not to_state:
        raise ValueError(f"no key moves from {from_state} to {to_state}")
    values = {"of_kid": kid, "from_state": from_state.value, "at": now}
    return connection.execute(_MOVES[to_state], values).rowcount == 1


def _record(row: Row[_Fields]) -> KeyRecord:
    fields = dict(row._mapping)
    fields["state"] = KeyState(fields["state"])
    fields["public_jwk"] = json.loads(fields["public_jwk"])
    return KeyRecord(**fields)
