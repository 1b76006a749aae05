"""Providers, visits to them, and links. A visit is taken back by one statement; the provider's secret is sealed."""

import hashlib
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from broker.identity.federation import document
from broker.identity.federation.model import Attempt, Link, Provider
from broker.runtime.database import Transaction, metadata, wall

provider_table = Table(
    "identity_provider",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("tenant", String(128)),
    Column("document", Text, nullable=False),
    Column("secret", LargeBinary),
    Column("deleted", Boolean, nullable=False),
)
attempt_table = Table(
    "federation_attempt",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("tenant", String(128)),
    Column("provider", String(128), nullable=False),
    Column("door", String(512), nullable=False),
    Column("browser", String(64), nullable=False),
    Column("onward", Text, nullable=False),
    Column("user_id", String(128)),
    Column("since", Float),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("consumed_at", Float),
)
link_table = Table(
    "identity_link",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(128)),
    Column("issuer", String(512), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("user_id", String(128), nullable=False, index=True),
    Column("provider", String(128), nullable=False),
    Column("linked_at", Float, nullable=False),
    Column("used_at", Float),
)
person_table = Table(
    "identity_person",
    metadata,
    Column("link_id", String(64), primary_key=True),
    Column("person", String(64), nullable=False, index=True),
    Column("user_id", String(128), nullable=False, index=True),
)
SERVER_WIDE = "who has several accounts is one person behind every wall; it says no tenant, issuer or subject"

_EVERY = (
    select(provider_table)
    .where(wall(provider_table, server_rows=True), provider_table.c.deleted.is_(False))
    .order_by(provider_table.c.id)
)
_ONE = (
    wall(provider_table, server_rows=True),
    provider_table.c.id == bindparam("which"),
    provider_table.c.deleted.is_(False),
)
_SECRET = select(provider_table.c.secret).where(*_ONE)
_INSERT = insert(provider_table)
_HELD = or_(provider_table.c.tenant == bindparam("of"), bindparam("of", type_=String).is_(None))
_UPDATE = update(provider_table).where(*_ONE, _HELD).values(document=bindparam("said"))
_SEAL = update(provider_table).where(*_ONE).values(secret=bindparam("sealed"))
_DELETE = update(provider_table).where(*_ONE).values(deleted=True, secret=None)

_BEGIN = insert(attempt_table)
_TAKE = (
    update(attempt_table)
    .where(
        wall(attempt_table, server_rows=True),
        attempt_table.c.hash == bindparam("hashed"),
        attempt_table.c.browser == bindparam("whose"),
        attempt_table.c.provider == bindparam("of"),
        attempt_table.c.door == bindparam("at"),
        attempt_table.c.consumed_at.is_(None),
        attempt_table.c.expires_at > bindparam("now"),
    )
    .values(consumed_at=bindparam("now"))
    .returning(*attempt_table.c)
)
_SWEEP = delete(attempt_table).where(
    wall(attempt_table, server_rows=True), attempt_table.c.expires_at <= bindparam("now")
)

_LINK = insert(link_table)
_FIND = select(link_table).where(wall(link_table, server_rows=True), link_table.c.id == bindparam("which"))
_USE = (
    update(link_table)
    .where(wall(link_table, server_rows=True), link_table.c.id == bindparam("which"))
    .values(used_at=bindparam("now"))
)
_UNLINK = delete(link_table).where(
    wall(link_table, server_rows=True),
    link_table.c.id == bindparam("which"),
    link_table.c.user_id == bindparam("whose"),
)
_OF = (
    select(link_table)
    .where(wall(link_table, server_rows=True), link_table.c.user_id == bindparam("whose"))
    .order_by(link_table.c.linked_at, link_table.c.id)
)
_KNOW = insert(person_table)
_FORGET = delete(person_table).where(person_table.c.link_id == bindparam("which"))
_SAME = (
    select(person_table.c.user_id)
    .where(
        person_table.c.person.in_(
            select(person_table.c.person).where(person_table.c.user_id == bindparam("whose"))
        )
    )
    .distinct()
)


def every(tx: Transaction) -> list[Provider]:
    return [document.read(row.id, row.tenant, row.document) for row in tx.execute(_EVERY, wall=tx.tenant)]


def put(tx: Transaction, provider: Provider) -> None:
    """Create or change, its secret left alone; `Conflict` when the id was used before. It never changes its tenant."""
    tx.require(provider.tenant)
    said = document.written(provider)
    changed = tx.execute(_UPDATE, wall=tx.tenant, which=provider.id, of=provider.tenant, said=said)
    if changed.rowcount == 0:
        values = {"id": provider.id, "tenant": provider.tenant, "document": said}
        tx.execute(_INSERT, **values, secret=None, deleted=False)


def remove(tx: Transaction, provider_id: str) -> bool:
    return tx.execute(_DELETE, wall=tx.tenant, which=provider_id).rowcount == 1


def secret(tx: Transaction, provider_id: str) -> bytes | None:
    """The sealed secret, None without one."""
    row = tx.execute(_SECRET, wall=tx.tenant, which=provider_id).first()
    return None if row is None else row.secret


def set_secret(tx: Transaction, provider_id: str, sealed: bytes | None) -> bool:
    return tx.execute(_SEAL, wall=tx.tenant, which=provider_id, sealed=sealed).rowcount == 1


def begin(tx: Transaction, hashed: str, browser: str, attempt: Attempt) -> None:
    tx.require(attempt.tenant)
    tx.execute(
        _BEGIN,
        hash=hashed,
        tenant=attempt.tenant,
        provider=attempt.provider,
        door=attempt.door,
        browser=browser,
        onward=attempt.onward,
        user_id=attempt.user_id,
        since=attempt.since,
        created_at=attempt.created_at,
        expires_at=attempt.expires_at,
        consumed_at=None,
    )


def take(tx: Transaction, hashed: str, browser: str, provider: str, door: str, now: float) -> Attempt | None:
    """The visit from which this browser comes back, once."""
    row = tx.execute(
        _TAKE, wall=tx.tenant, hashed=hashed, whose=browser, of=provider, at=door, now=now
    ).first()
    if row is None:
        return None
    return Attempt(
        row.provider,
        row.door,
        row.tenant,
        row.onward,
        row.user_id,
        row.since,
        row.created_at,
        row.expires_at,
    )


def sweep(tx: Transaction, now: float) -> None:
    tx.execute(_SWEEP, wall=tx.tenant, now=now)


def link(tx: Transaction, found: Link) -> None:
    """`Conflict` when this subject is linked already."""
    tx.require(found.tenant)
    tx.execute(
        _LINK,
        id=found.id,
        tenant=found.tenant,
        issuer=found.issuer,
        subject=found.subject,
        user_id=found.user_id,
        provider=found.provider,
        linked_at=found.linked_at,
        used_at=found.used_at,
    )
    person = hashlib.sha256(f"{found.issuer}\0{found.subject}".encode()).hexdigest()
    tx.execute(_KNOW, link_id=found.id, person=person, user_id=found.user_id)


def find(tx: Transaction, link_id: str) -> Link | None:
    row = tx.execute(_FIND, wall=tx.tenant, which=link_id).first()
    return None if row is None else _link(row)


def use(tx: Transaction, link_id: str, now: float) -> bool:
    """Whether it is there, and stays until the end of `tx`."""
    return tx.execute(_USE, wall=tx.tenant, which=link_id, now=now).rowcount == 1


def unlink(tx: Transaction, link_id: str, user_id: str) -> bool:
    """Whether this removed a link of that user."""
    removed = tx.execute(_UNLINK, wall=tx.tenant, which=link_id, whose=user_id).rowcount == 1
    if removed:
        tx.execute(_FORGET, which=link_id)
    return removed


def of(tx: Transaction, user_id: str) -> list[Link]:
    return [_link(row) for row in tx.execute(_OF, wall=tx.tenant, whose=user_id)]


def same(tx: Transaction, user_id: str) -> list[str]:
    """The accounts linked to a somebody that this one is linked to, itself too: of the whole server, as a person is
    the same person behind every wall."""
    return [row.user_id for row in tx.execute(_SAME, whose=user_id)]


def _link(row: Row[Any]) -> Link:
    return Link(
        row.id,
        row.tenant,
        row.issuer,
        row.subject,
        row.user_id,
        row.provider,
        row.linked_at,
        row.used_at,
    )
