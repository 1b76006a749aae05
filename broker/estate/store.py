"""Resources and edges: put, remove, list. One resource of several tenants is one row, so these are the server's."""

import json
from dataclasses import asdict

from pydantic import TypeAdapter
from sqlalchemy import Boolean, Column, Float, String, Table, Text, bindparam, delete, insert, select, update

from broker.estate.model import Edge, Resource
from broker.runtime.database import Transaction, metadata

resource_table = Table(
    "resource",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("uri", String(2048), nullable=False, unique=True),
    Column("document", Text, nullable=False),
    Column("deleted", Boolean, nullable=False, default=False),
)
edge_table = Table(
    "edge",
    metadata,
    Column("source", String(128), primary_key=True),
    Column("target", String(128), primary_key=True),
    Column("document", Text, nullable=False),
    Column("created_at", Float),
    Column("created_by", String(128)),
)
SERVER_WIDE = "a resource can serve several tenants; which, is one of its own members and judged by a rule"

_RESOURCE = TypeAdapter(Resource)
_EDGE = TypeAdapter(Edge)

_RESOURCES = select(resource_table).where(resource_table.c.deleted.is_(False)).order_by(resource_table.c.id)
_INSERT = insert(resource_table)
_UPDATE = (
    update(resource_table)
    .where(resource_table.c.id == bindparam("which"), resource_table.c.deleted.is_(False))
    .values(uri=bindparam("at"), document=bindparam("rest"))
)
_DELETE = (
    update(resource_table)
    .where(resource_table.c.id == bindparam("which"), resource_table.c.deleted.is_(False))
    .values(deleted=True, uri="deleted:" + resource_table.c.id)
)
_EDGES = select(edge_table).order_by(edge_table.c.source, edge_table.c.target)
_EDGE_INSERT = insert(edge_table)
_THIS_EDGE = (edge_table.c.source == bindparam("from_id"), edge_table.c.target == bindparam("to_id"))
_EDGE_UPDATE = update(edge_table).where(*_THIS_EDGE).values(document=bindparam("rest"))
_EDGE_REMOVE = delete(edge_table).where(*_THIS_EDGE)


def put_resource(tx: Transaction, resource: Resource) -> None:
    """Create or change; `Conflict` when the id was used before or the URI is another resource's."""
    document = asdict(resource)
    del document["id"], document["uri"]
    text = json.dumps(document, sort_keys=True)
    if tx.execute(_UPDATE, which=resource.id, at=resource.uri, rest=text).rowcount == 0:
        tx.execute(_INSERT, id=resource.id, uri=resource.uri, document=text, deleted=False)


def remove_resource(tx: Transaction, resource_id: str) -> bool:
    return tx.execute(_DELETE, which=resource_id).rowcount == 1


def resources(tx: Transaction) -> list[Resource]:
    return [
        _RESOURCE.validate_python({"id": row.id, "uri": row.uri, **json.loads(row.document)})
        for row in tx.execute(_RESOURCES)
    ]


def put_edge(tx: Transaction, edge: Edge) -> None:
    """Create or change; who created it, and when, stays as it was."""
    document = asdict(edge)
    for own_column in ("source", "target", "created_at", "created_by"):
        del document[own_column]
    text = json.dumps(document, sort_keys=True)
    if tx.execute(_EDGE_UPDATE, from_id=edge.source, to_id=edge.target, rest=text).rowcount == 0:
        tx.execute(
            _EDGE_INSERT,
            source=edge.source,
            target=edge.target,
            document=text,
            created_at=edge.created_at,
            created_by=edge.created_by,
        )


def remove_edge(tx: Transaction, source: str, target: str) -> bool:
    return tx.execute(_EDGE_REMOVE, from_id=source, to_id=target).rowcount == 1


def edges(tx: Transaction) -> list[Edge]:
    return [
        _EDGE.validate_python(
            {
                "source": row.source,
                "target": row.target,
                "created_at": row.created_at,
                "created_by": row.created_by,
                **json.loads(row.document),
            }
        )
        for row in tx.execute(_EDGES)
    ]
