"""Definitions of tools: seen, gone, reviewed. They are of a resource, and a resource can serve several tenants."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Float, Row, String, Table, Text, bindparam, delete, insert, select, update

from broker.estate.catalogue.model import Definition, Kept
from broker.runtime.database import Transaction, metadata

definition_table = Table(
    "tool_definition",
    metadata,
    Column("resource_id", String(128), primary_key=True),
    Column("tool", String(128), primary_key=True),
    Column("reviewed_description", Text),
    Column("reviewed_schema", Text),
    Column("reviewed_digest", String(64)),
    Column("reviewed_at", Float),
    Column("reviewed_by", String(200)),
    Column("seen_description", Text),
    Column("seen_schema", Text),
    Column("seen_digest", String(64)),
    Column("seen_at", Float, nullable=False),
)
SERVER_WIDE = "what a server says of its tools is the same for every tenant that it serves"

_ONE = (
    definition_table.c.resource_id == bindparam("resource"),
    definition_table.c.tool == bindparam("which"),
)
_EVERY = select(definition_table).order_by(definition_table.c.resource_id, definition_table.c.tool)
_SEEN = (
    update(definition_table)
    .where(*_ONE)
    .values(
        seen_description=bindparam("description"),
        seen_schema=bindparam("schema"),
        seen_digest=bindparam("digest"),
        seen_at=bindparam("at"),
    )
)
_FIRST = insert(definition_table)
_REVIEW = (
    update(definition_table)
    .where(*_ONE, definition_table.c.seen_digest == bindparam("digest"))
    .values(
        reviewed_description=definition_table.c.seen_description,
        reviewed_schema=definition_table.c.seen_schema,
        reviewed_digest=definition_table.c.seen_digest,
        reviewed_at=bindparam("at"),
        reviewed_by=bindparam("by"),
    )
)
_FORGET = delete(definition_table).where(definition_table.c.resource_id == bindparam("resource"))


def see(tx: Transaction, resource_id: str, tool: str, definition: Definition | None, now: float) -> None:
    """Keep what the server said of the tool at a look; None: it did not list it."""
    said: Mapping[str, object] = {
        "description": definition.description if definition else None,
        "schema": json.dumps(definition.schema, ensure_ascii=False) if definition else None,
        "digest": definition.digest if definition else None,
    }
    if tx.execute(_SEEN, resource=resource_id, which=tool, at=now, **said).rowcount == 0:
        row = {f"seen_{name}": value for name, value in said.items()}
        tx.execute(_FIRST, resource_id=resource_id, tool=tool, seen_at=now, **row)


def review(tx: Transaction, resource_id: str, tool: str, digest: str, by: str, now: float) -> bool:
    """Take what was seen as looked at, where it is still the definition of that digest."""
    return tx.execute(_REVIEW, resource=resource_id, which=tool, digest=digest, by=by, at=now).rowcount == 1


def every(tx: Transaction) -> list[Kept]:
    return [_kept(row) for row in tx.execute(_EVERY)]


def forget(tx: Transaction, resource_id: str) -> int:
    """What was kept of a resource that is gone; how much it was."""
    return tx.execute(_FORGET, resource=resource_id).rowcount


def _kept(row: Row[Any]) -> Kept:
    def definition(which: str) -> Definition | None:
        digest = getattr(row, f"{which}_digest")
        if digest is None:
            return None
        schema = json.loads(getattr(row, f"{which}_schema"))
        return Definition(row.tool, getattr(row, f"{which}_description"), schema, digest)

    return Kept(
        row.resource_id,
        row.tool,
        definition("seen"),
        row.seen_at,
        definition("reviewed"),
        row.reviewed_at,
        row.reviewed_by,
    )
