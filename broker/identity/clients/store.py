"""Clients: put, get, use, remove. A removed client's id is kept, so that it is never given again.

What registered itself and is not used is dropped whole: its id was random, and nothing else knows it; or it is the URL
of a document, which may come again.
"""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    CursorResult,
    Float,
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

from broker.identity.clients.model import Client, Registered, Secret, Subject
from broker.runtime.database import Transaction, metadata, wall

client_table = Table(
    "client",
    metadata,
    Column("client_id", String(512), primary_key=True),
    Column("tenant", String(128)),
    Column("name", Text, nullable=False),
    Column("method", String(32), nullable=False),
    Column("registered", String(16), nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("unused_until", Float, index=True),
    Column("deleted", Boolean, nullable=False, default=False),
    Column("management_hash", String(64)),
    Column("fingerprint", String(64), index=True),
)
secret_table = Table(
    "client_secret",
    metadata,
    Column("client_id", String(512), primary_key=True),
    Column("hash", String(64), primary_key=True),
    Column("tenant", String(128)),
    Column("expires_at", Float),
)
origin_table = Table(
    "client_origin",
    metadata,
    Column("origin", String(512), primary_key=True),
    Column("client_id", String(512), primary_key=True),
    Column("tenant", String(128)),
)

_LATER = (
    "other_methods",
    "jwks",
    "jwks_uri",
    "assertion_alg",
    "dpop_bound",
    "certificate_bound",
    "fetched_at",
    "pushed_only",
    "id_token_alg",
    "post_logout_redirect_uris",
    "logout_uri",
    "logout_needs_sid",
    "authorization_details_types",
    "introspection_alg",
)
"""What the document holds only where it is set."""
_ALIVE = client_table.c.deleted.is_(False)
_SEEN = wall(client_table, server_rows=True)
_OWN = wall(client_table)
_GET = select(client_table).where(_SEEN, client_table.c.client_id == bindparam("which"), _ALIVE)
_EVER = select(client_table.c.client_id).where(_SEEN, client_table.c.client_id == bindparam("which"))
_EVERY = select(client_table).where(_SEEN, _ALIVE).order_by(client_table.c.client_id)
_INSERT = insert(client_table)
_UPDATE = update(client_table).where(_OWN, client_table.c.client_id == bindparam("which"), _ALIVE)
_USED = (
    update(client_table)
    .where(
        _SEEN,
        client_table.c.client_id == bindparam("which"),
        client_table.c.unused_until.is_not(None),
        _ALIVE,
    )
    .values(unused_until=bindparam("until"), fingerprint=None)
)
_DELETE = (
    update(client_table)
    .where(_OWN, client_table.c.client_id == bindparam("which"), _ALIVE)
    .values(deleted=True)
)
_DROP = delete(client_table).where(_OWN, client_table.c.client_id == bindparam("which"), _ALIVE)
_EXPIRE = (
    delete(client_table)
    .where(_OWN, client_table.c.unused_until <= bindparam("now"), _ALIVE)
    .returning(client_table.c.client_id, client_table.c.tenant)
)
_SUPERSEDE = (
    delete(client_table)
    .where(
        _OWN,
        client_table.c.fingerprint == bindparam("mark"),
        client_table.c.created_at <= bindparam("settled"),
        _ALIVE,
    )
    .returning(client_table.c.client_id, client_table.c.tenant)
)
_HAND_OVER = (
    update(client_table)
    .where(_OWN, client_table.c.client_id == bindparam("which"), _ALIVE)
    .values(management_hash=bindparam("held"))
)
_MANAGED = select(client_table).where(
    _OWN,
    client_table.c.client_id == bindparam("which"),
    client_table.c.management_hash == bindparam("held"),
    _ALIVE,
)
_SECRETS = select(secret_table).where(
    wall(secret_table, server_rows=True),
    secret_table.c.client_id == bindparam("which"),
    or_(secret_table.c.expires_at.is_(None), secret_table.c.expires_at > bindparam("now")),
)
_FORGET = delete(secret_table).where(wall(secret_table), secret_table.c.client_id == bindparam("which"))
_KEEP = insert(secret_table)
_MOVE = (
    update(secret_table)
    .where(wall(secret_table, server_rows=True), secret_table.c.client_id == bindparam("which"))
    .values(tenant=bindparam("of"))
)
_ORIGIN_ADD = insert(origin_table)
_ORIGIN_DROP = delete(origin_table).where(wall(origin_table), origin_table.c.client_id == bindparam("which"))
_ORIGIN_KNOWN = (
    select(origin_table.c.client_id)
    .where(wall(origin_table, server_rows=True), origin_table.c.origin == bindparam("asking"))
    .limit(1)
)


def get(tx: Transaction, client_id: str) -> Client | None:
    row = tx.execute(_GET, wall=tx.tenant, which=client_id).first()
    return None if row is None else _client(row)


def ever(tx: Transaction, client_id: str) -> bool:
    """Whether this id is or was a client's."""
    return tx.execute(_EVER, wall=tx.tenant, which=client_id).first() is not None


def every(tx: Transaction) -> list[Client]:
    return [_client(row) for row in tx.execute(_EVERY, wall=tx.tenant)]


def put(tx: Transaction, client: Client) -> None:
    """Create or change; `Conflict` when the id belonged to a client that was removed."""
    tx.require(client.tenant)
    document: dict[str, object] = {
        "redirect_uris": client.redirect_uris,
        "grant_types": client.grant_types,
        "scopes": client.scopes,
        "resources": client.resources,
        "application_type": client.application_type,
    }
    document |= {name: kept for name in _LATER if (kept := getattr(client, name))}
    if client.certificate is not None:
        document["certificate"] = [client.certificate.member, client.certificate.value]
    row = {
        "tenant": client.tenant,
        "name": client.name,
        "method": client.method,
        "registered": client.registered.value,
        "document": json.dumps(document),
        "fingerprint": client.fingerprint,
    }
    if tx.execute(_UPDATE, wall=tx.tenant, which=client.client_id, **row).rowcount == 0:
        tx.execute(
            _INSERT,
            client_id=client.client_id,
            created_at=client.created_at,
            unused_until=client.unused_until,
            deleted=False,
            **row,
        )
    else:  # its secrets stand behind the wall that it stands behind
        tx.execute(_MOVE, wall=tx.tenant, which=client.client_id, of=client.tenant)
        if client.unused_until is None:
            mark_used(tx, client.client_id, None)


def set_origins(tx: Transaction, client: Client, origins: Iterable[str]) -> None:
    """The web origins of a client's redirect URIs: browsers there may read the token endpoint's answers."""
    tx.require(client.tenant)
    tx.execute(_ORIGIN_DROP, wall=tx.tenant, which=client.client_id)
    for origin in origins:
        tx.execute(_ORIGIN_ADD, origin=origin, client_id=client.client_id, tenant=client.tenant)


def origin_known(tx: Transaction, origin: str) -> bool:
    return tx.execute(_ORIGIN_KNOWN, wall=tx.tenant, asking=origin).first() is not None


def mark_used(tx: Transaction, client_id: str, until: float | None) -> bool:
    """A client that registered itself and was used stays until then at least, and is nobody's duplicate.

    None: an administrator took it over, and it stays. False when it is gone.
    """
    return tx.execute(_USED, wall=tx.tenant, which=client_id, until=until).rowcount == 1


def hand_over(tx: Transaction, client_id: str, management_hash: str) -> None:
    """Let whoever has the token of this hash manage the client."""
    tx.execute(_HAND_OVER, wall=tx.tenant, which=client_id, held=management_hash)


def managed(tx: Transaction, client_id: str, management_hash: str) -> Client | None:
    """The client, if it is managed with the token of this hash."""
    row = tx.execute(_MANAGED, wall=tx.tenant, which=client_id, held=management_hash).first()
    return None if row is None else _client(row)


def remove(tx: Transaction, client_id: str) -> bool:
    _strip(tx, client_id)
    return tx.execute(_DELETE, wall=tx.tenant, which=client_id).rowcount == 1


def drop(tx: Transaction, client_id: str) -> bool:
    """Leave nothing of a client that was never used."""
    _strip(tx, client_id)
    return tx.execute(_DROP, wall=tx.tenant, which=client_id).rowcount == 1


def expire(tx: Transaction, now: float) -> list[tuple[str, str | None]]:
    """Drop what registered itself and was not used in time; (client_id, tenant) of each."""
    return _dropped(tx, tx.execute(_EXPIRE, wall=tx.tenant, now=now))


def supersede(tx: Transaction, fingerprint: str, settled: float) -> list[tuple[str, str | None]]:
    """Drop what registered itself with this fingerprint by then and was never used; (client_id, tenant) of each."""
    return _dropped(tx, tx.execute(_SUPERSEDE, wall=tx.tenant, mark=fingerprint, settled=settled))


def secrets(tx: Transaction, client_id: str, now: float) -> list[Secret]:
    rows = tx.execute(_SECRETS, wall=tx.tenant, which=client_id, now=now)
    return [Secret(row.hash, row.expires_at) for row in rows]


def set_secrets(tx: Transaction, client_id: str, tenant: str | None, kept: list[Secret]) -> None:
    tx.require(tenant)
    tx.execute(_FORGET, wall=tx.tenant, which=client_id)
    for secret in kept:
        tx.execute(_KEEP, client_id=client_id, hash=secret.hash, tenant=tenant, expires_at=secret.expires_at)


def _strip(tx: Transaction, client_id: str) -> None:
    tx.execute(_FORGET, wall=tx.tenant, which=client_id)
    tx.execute(_ORIGIN_DROP, wall=tx.tenant, which=client_id)


def _dropped(tx: Transaction, rows: CursorResult[Any]) -> list[tuple[str, str | None]]:
    found = [(row.client_id, row.tenant) for row in rows]
    for client_id, _ in found:
        _strip(tx, client_id)
    return found


def _client(row: Row[Any]) -> Client:
    fields = row._mapping
    document = json.loads(fields["document"])
    return Client(
        client_id=fields["client_id"],
        name=fields["name"],
        tenant=fields["tenant"],
        method=fields["method"],
        registered=Registered(fields["registered"]),
        redirect_uris=tuple(document["redirect_uris"]),
        grant_types=tuple(document["grant_types"]),
        scopes=None if document["scopes"] is None else tuple(document["scopes"]),
        resources=None if document["resources"] is None else tuple(document["resources"]),
        application_type=document["application_type"],
        created_at=fields["created_at"],
        unused_until=fields["unused_until"],
        other_methods=tuple(document.get("other_methods", ())),
        jwks=document.get("jwks"),
        jwks_uri=document.get("jwks_uri"),
        assertion_alg=document.get("assertion_alg"),
        certificate=Subject(*document["certificate"]) if "certificate" in document else None,
        dpop_bound=document.get("dpop_bound", False),
        certificate_bound=document.get("certificate_bound", False),
        fetched_at=document.get("fetched_at"),
        authorization_details_types=tuple(document.get("authorization_details_types", ())),
        pushed_only=document.get("pushed_only", False),
        id_token_alg=document.get("id_token_alg"),
        post_logout_redirect_uris=tuple(document.get("post_logout_redirect_uris", ())),
        logout_uri=document.get("logout_uri"),
        logout_needs_sid=document.get("logout_needs_sid", False),
        introspection_alg=document.get("introspection_alg"),
        fingerprint=fields["fingerprint"],
    )
