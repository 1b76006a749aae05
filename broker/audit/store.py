"""Audit records: inserted, never changed. Personal values stand beside the record that commits to them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    String,
    Table,
    Text,
    bindparam,
    func,
    insert,
    or_,
    select,
)

from broker.protocol import jcs
from broker.runtime.database import Transaction, metadata, wall

audit_record = Table(
    "audit_record",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("seq", BigInteger, unique=True),
    Column("time", Float, nullable=False),
    Column("tenant", String(128)),
    Column("fact", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("client", String(512)),
    Column("txn", String(64)),
    Column("grant_id", String(64)),
    Column("jti_hash", String(64)),
    Column("parent_jti_hash", String(64)),
    Column("request_id", String(64)),
    Column("decision", String(40)),
    Column("body", Text, nullable=False),
    Column("leaf_hash", String(64), nullable=False),
)
for _name in ("time", "txn", "grant_id", "jti_hash", "parent_jti_hash", "request_id", "decision"):
    Index(f"ix_audit_record_{_name}", audit_record.c[_name])

audit_personal = Table(
    "audit_personal",
    metadata,
    Column("record_id", String(40), primary_key=True),
    Column("tenant", String(128)),
    Column("subject", String(512), index=True),
    Column("values", Text, nullable=False),
)

_INSERT = insert(audit_record)
_INSERT_PERSONAL = insert(audit_personal)
_JOINED = (
    select(audit_record.c.seq, audit_record.c.body, audit_personal.c["values"].label("personal"))
    .outerjoin(audit_personal, audit_personal.c.record_id == audit_record.c.id)
    .where(wall(audit_record))
)
_QUERY = (
    _JOINED.where(
        or_(bindparam("fact", type_=String).is_(None), audit_record.c.fact == bindparam("fact")),
        or_(bindparam("client", type_=String).is_(None), audit_record.c.client == bindparam("client")),
        or_(bindparam("subject", type_=String).is_(None), audit_personal.c.subject == bindparam("subject")),
        or_(bindparam("outcome", type_=String).is_(None), audit_record.c.outcome == bindparam("outcome")),
        audit_record.c.time >= bindparam("since", type_=Float),
    )
    .order_by(audit_record.c.time.desc(), audit_record.c.id.desc())
    .limit(bindparam("most"))
)
_DENIED = (
    select(audit_record.c.tenant, func.count().label("many"))
    .where(
        wall(audit_record),
        audit_record.c.tenant.is_not(None),
        audit_record.c.outcome == "denied",
        audit_record.c.time >= bindparam("since", type_=Float),
    )
    .group_by(audit_record.c.tenant)
    .order_by(audit_record.c.tenant)
)
_EVERY = (
    select(
        audit_record.c.id,
        audit_record.c.seq,
        audit_record.c.time,
        audit_record.c.fact,
        audit_record.c.jti_hash,
        audit_record.c.body,
        audit_record.c.leaf_hash,
    )
    .where(wall(audit_record))
    .order_by(audit_record.c.time, audit_record.c.id)
)
_OTHERS = ("approval", "downstream_request_id")
"""Ids without a column of their own: they are looked for in the canonical bodies, where nothing else is like them."""
_HANDLES = select(
    audit_record.c.id, audit_record.c.txn, audit_record.c.grant_id, audit_record.c.request_id
).where(
    wall(audit_record),
    or_(
        *(
            audit_record.c[name] == bindparam("any_id", type_=String)
            for name in ("id", "txn", "grant_id", "jti_hash", "parent_jti_hash", "request_id", "decision")
        )
    ),
)
_SAID = select(
    audit_record.c.id, audit_record.c.txn, audit_record.c.grant_id, audit_record.c.request_id
).where(
    wall(audit_record),
    or_(*(audit_record.c.body.like(bindparam(name), escape="\\") for name in _OTHERS)),
)
_CHAIN = _JOINED.where(
    or_(
        audit_record.c.id.in_(bindparam("ids", expanding=True)),
        audit_record.c.txn.in_(bindparam("txns", expanding=True)),
        audit_record.c.grant_id.in_(bindparam("grants", expanding=True)),
        audit_record.c.request_id.in_(bindparam("requests", expanding=True)),
    )
).order_by(audit_record.c.time, audit_record.c.id)

_WITH_TOKENS = _JOINED.where(audit_record.c.jti_hash.in_(bindparam("hashes", expanding=True)))


@dataclass(frozen=True, slots=True)
class Stored:
    """A row on its way out: canonical body, and the personal values as JSON text (None once erased)."""

    seq: int | None
    body: str
    personal: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """A row as it was written: its canonical body, and what stands beside it to find it by."""

    id: str
    seq: int | None
    time: float
    fact: str
    jti_hash: str | None
    body: str
    leaf_hash: str


def add(tx: Transaction, columns: Mapping[str, object], personal: str | None, subject: str | None) -> None:
    """Insert one record of `columns["tenant"]`, with its personal values when it has any."""
    tenant = columns["tenant"]
    assert tenant is None or isinstance(tenant, str)
    tx.require(tenant)
    tx.execute(_INSERT, **columns)
    if personal is not None:
        tx.execute(
            _INSERT_PERSONAL,
            record_id=columns["id"],
            tenant=tenant,
            subject=subject,
            values=personal,
        )


def find(
    tx: Transaction,
    *,
    fact: str | None = None,
    client: str | None = None,
    subject: str | None = None,
    outcome: str | None = None,
    since: float = 0.0,
    most: int = 1000,
) -> list[Stored]:
    """The newest records that match, newest first, behind the wall of `tx.tenant`."""
    rows = tx.execute(
        _QUERY,
        wall=tx.tenant,
        fact=fact,
        client=client,
        subject=subject,
        outcome=outcome,
        since=since,
        most=most,
    )
    return [Stored(row.seq, row.body, row.personal) for row in rows]


def every(tx: Transaction) -> list[Written]:
    """All records behind the wall of `tx.tenant` as they were written, oldest first."""
    return [Written(**row._mapping) for row in tx.execute(_EVERY, wall=tx.tenant)]


def denied(tx: Transaction, since: float) -> list[tuple[str, int]]:
    """(tenant, how many refusals) from then on."""
    return [(row.tenant, row.many) for row in tx.execute(_DENIED, wall=tx.tenant, since=since)]


def handles(tx: Transaction, any_id: str) -> list[tuple[str, str | None, str | None, str | None]]:
    """(id, txn, grant_id, request_id) of the records that carry `any_id` as one of their ids."""
    rows = tx.execute(_HANDLES, wall=tx.tenant, any_id=any_id)
    return [(row.id, row.txn, row.grant_id, row.request_id) for row in rows]


def mentions(tx: Transaction, any_id: str) -> list[tuple[str, str | None, str | None, str | None]]:
    """The same of those that name it as an approval or a downstream request; reads every record."""
    said = re.sub(r"([\\%_])", r"\\\1", jcs.canonical(any_id).decode())
    rows = tx.execute(_SAID, wall=tx.tenant, **{name: f'%"{name}":{said}%' for name in _OTHERS})
    return [(row.id, row.txn, row.grant_id, row.request_id) for row in rows]


def chain(
    tx: Transaction, ids: Sequence[str], txns: Sequence[str], grants: Sequence[str], requests: Sequence[str]
) -> list[Stored]:
    """All records that belong to any of these, oldest first."""
    rows = tx.execute(
        _CHAIN, wall=tx.tenant, ids=list(ids), txns=list(txns), grants=list(grants), requests=list(requests)
    )
    return [Stored(row.seq, row.body, row.personal) for row in rows]


def with_tokens(tx: Transaction, hashes: Sequence[str]) -> list[Stored]:
    """Every record about a token whose `jti` has one of these hashes; at most 1,000 of them."""
    rows = tx.execute(_WITH_TOKENS, wall=tx.tenant, hashes=list(hashes))
    return [Stored(row.seq, row.body, row.personal) for row in rows]
