"""Authorization requests, grants and codes: add, claim, consume. There is no "get code" that redeems."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
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

from broker.authorization.model import AuthorizationRequest, Code, Grant
from broker.runtime.database import Transaction, metadata, wall

request_table = Table(
    "authorization_request",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("tenant", String(128)),
    Column("browser", String(64), nullable=False, index=True),
    Column("document", Text, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("decided_at", Float),
)
grant_table = Table(
    "access_grant",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("consent_id", String(64), nullable=False, index=True),
    Column("tenant", String(128), nullable=False),
    Column("user_id", String(128), nullable=False, index=True),
    Column("client_id", String(512), nullable=False),
    Column("door", String(512), nullable=False),
    Column("resource_id", String(128), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("offline", Boolean, nullable=False),
    Column("downstream", Text, nullable=False),
    Column("auth_time", Float, nullable=False),
    Column("acr", String(128), nullable=False),
    Column("amr", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("client_digest", String(64)),
    Column("identity", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("sid", String(40), index=True),
    Column("last_used_at", Float),
    Column("dated", Boolean, nullable=False),
    Column("vouched_by", String(128)),
)
code_table = Table(
    "authorization_code",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("grant_id", String(64), nullable=False),
    Column("door", String(512), nullable=False),
    Column("client_id", String(512), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", String(64), nullable=False),
    Column("resource_id", String(128), nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("spent_at", Float),
    Column("dpop_jkt", String(43)),
    Column("nonce", Text),
)

_BEGIN = insert(request_table)
_MINE = (
    wall(request_table, server_rows=True),
    request_table.c.hash == bindparam("hashed"),
    request_table.c.browser == bindparam("whose"),
    request_table.c.decided_at.is_(None),
    request_table.c.expires_at > bindparam("now"),
)
_PENDING = select(request_table.c.document).where(*_MINE)
_CLAIM = (
    update(request_table)
    .where(*_MINE)
    .values(decided_at=bindparam("now"))
    .returning(request_table.c.document)
)
_REBIND = (
    update(request_table)
    .where(
        wall(request_table, server_rows=True),
        request_table.c.browser == bindparam("before"),
        request_table.c.decided_at.is_(None),
    )
    .values(browser=bindparam("after"))
)
_SWEEP = (
    delete(request_table).where(
        wall(request_table, server_rows=True), request_table.c.expires_at <= bindparam("now")
    ),
    delete(code_table).where(wall(code_table), code_table.c.expires_at <= bindparam("long_ago")),
    delete(grant_table).where(wall(grant_table), grant_table.c.expires_at <= bindparam("long_ago")),
    delete(grant_table).where(
        wall(grant_table),
        grant_table.c.id != grant_table.c.consent_id,
        grant_table.c.last_used_at.is_(None),
        grant_table.c.created_at <= bindparam("long_ago"),
    ),
)
_ADD_GRANT = insert(grant_table)
_GRANT = select(grant_table).where(wall(grant_table), grant_table.c.id == bindparam("which"))
_STANDING = (
    select(grant_table)
    .where(
        wall(grant_table),
        grant_table.c.user_id == bindparam("whose"),
        grant_table.c.client_id == bindparam("client"),
        grant_table.c.resource_id == bindparam("resource"),
        grant_table.c.expires_at > bindparam("now"),
    )
    .order_by(grant_table.c.created_at.desc())
)
_OF_CONSENT = select(grant_table.c.id).where(
    wall(grant_table), grant_table.c.consent_id == bindparam("consent")
)
_OF_SESSION = (
    select(grant_table)
    .where(
        wall(grant_table),
        grant_table.c.user_id == bindparam("whose"),
        grant_table.c.sid == bindparam("session"),
    )
    .order_by(grant_table.c.id)
)
_WIDEN = (
    update(grant_table)
    .where(wall(grant_table), grant_table.c.id == bindparam("which"))
    .values(downstream=bindparam("reaches"))
)
_USED = (
    update(grant_table)
    .where(
        wall(grant_table),
        grant_table.c.id == bindparam("which"),
        or_(grant_table.c.last_used_at.is_(None), grant_table.c.last_used_at <= bindparam("before")),
    )
    .values(last_used_at=bindparam("now"))
)
_LIST = (
    select(grant_table)
    .where(
        wall(grant_table),
        or_(bindparam("whose", type_=String).is_(None), grant_table.c.user_id == bindparam("whose")),
        grant_table.c.expires_at > bindparam("now"),
    )
    .order_by(grant_table.c.id)
)
_ADD_CODE = insert(code_table)
_FITS = (
    wall(code_table),
    code_table.c.hash == bindparam("hashed"),
    code_table.c.door == bindparam("at"),
    code_table.c.client_id == bindparam("client"),
    code_table.c.challenge == bindparam("challenged"),
    or_(bindparam("uri", type_=Text).is_(None), code_table.c.redirect_uri == bindparam("uri")),
    or_(bindparam("resource", type_=String).is_(None), code_table.c.resource_id == bindparam("resource")),
    or_(code_table.c.dpop_jkt.is_(None), code_table.c.dpop_jkt == bindparam("key", type_=String)),
)
_CONSUME = (
    update(code_table)
    .where(*_FITS, code_table.c.spent_at.is_(None), code_table.c.expires_at > bindparam("now"))
    .values(spent_at=bindparam("now"))
    .returning(code_table)
)
_EXPLAIN = select(code_table).where(wall(code_table), code_table.c.hash == bindparam("hashed"))


def begin(
    tx: Transaction, hashed: str, browser: str, request: AuthorizationRequest, expires_at: float
) -> None:
    tx.require(request.tenant)
    document = {name: getattr(request, name) for name in AuthorizationRequest.__slots__ if name != "id"}
    tx.execute(
        _BEGIN,
        hash=hashed,
        tenant=request.tenant,
        browser=browser,
        document=json.dumps(document),
        expires_at=expires_at,
        decided_at=None,
    )


def pending(
    tx: Transaction, request_id: str, hashed: str, browser: str, now: float
) -> AuthorizationRequest | None:
    """The request, if this browser began it and nobody has decided it yet."""
    row = tx.execute(_PENDING, wall=tx.tenant, hashed=hashed, whose=browser, now=now).first()
    return None if row is None else _request(request_id, row.document)


def claim(
    tx: Transaction, request_id: str, hashed: str, browser: str, now: float
) -> AuthorizationRequest | None:
    """Decide the request: given to one caller only, ever."""
    row = tx.execute(_CLAIM, wall=tx.tenant, hashed=hashed, whose=browser, now=now).first()
    return None if row is None else _request(request_id, row.document)


def rebind(tx: Transaction, before: str, after: str) -> None:
    """A browser got a new session id: what it had begun goes with it."""
    tx.execute(_REBIND, wall=tx.tenant, before=before, after=after)


def sweep(tx: Transaction, now: float, long_ago: float) -> None:
    """Drop requests that expired, codes and grants so old that a replay can end nothing any more, and grants of that
    age that repeat a consent and were never used."""
    requests, *others = _SWEEP
    tx.execute(requests, wall=tx.tenant, now=now)
    for statement in others:
        tx.execute(statement, wall=tx.tenant, long_ago=long_ago)


def add_grant(tx: Transaction, grant: Grant) -> None:
    values = {name: getattr(grant, name) for name in Grant.__slots__}
    for name in ("scopes", "downstream", "amr", "identity", "details"):
        values[name] = json.dumps(values[name])
    tx.require(grant.tenant)
    tx.execute(_ADD_GRANT, **values)


def grant(tx: Transaction, grant_id: str) -> Grant | None:
    row = tx.execute(_GRANT, wall=tx.tenant, which=grant_id).first()
    return None if row is None else _grant(row)


def standing(tx: Transaction, user_id: str, client_id: str, resource_id: str, now: float) -> list[Grant]:
    """What this user allowed this client at this resource before, newest first; ended ones included."""
    rows = tx.execute(
        _STANDING, wall=tx.tenant, whose=user_id, client=client_id, resource=resource_id, now=now
    )
    return [_grant(row) for row in rows]


def of_consent(tx: Transaction, consent_id: str) -> list[str]:
    """The ids of the grants that rest on one consent."""
    return [row.id for row in tx.execute(_OF_CONSENT, wall=tx.tenant, consent=consent_id)]


def of_session(tx: Transaction, user_id: str, sid: str) -> list[Grant]:
    """What a user allowed in one browser session."""
    return [_grant(row) for row in tx.execute(_OF_SESSION, wall=tx.tenant, whose=user_id, session=sid)]


def widen(tx: Transaction, grant_id: str, downstream: Mapping[str, tuple[str, ...]]) -> bool:
    return tx.execute(_WIDEN, wall=tx.tenant, which=grant_id, reaches=json.dumps(downstream)).rowcount == 1


def used(tx: Transaction, grant_id: str, now: float, before: float) -> bool:
    """Keep that the grant was used now, unless it is known to have been used later than `before`."""
    return tx.execute(_USED, wall=tx.tenant, which=grant_id, now=now, before=before).rowcount == 1


def grants(tx: Transaction, user_id: str | None, now: float) -> list[Grant]:
    return [_grant(row) for row in tx.execute(_LIST, wall=tx.tenant, whose=user_id, now=now)]


def add_code(tx: Transaction, hashed: str, code: Code) -> None:
    values = {name: getattr(code, name) for name in Code.__slots__}
    tx.require(code.tenant)
    tx.execute(_ADD_CODE, hash=hashed, **values)


def consume(
    tx: Transaction,
    hashed: str,
    *,
    door: str,
    client_id: str,
    challenge: str,
    redirect_uri: str | None,
    resource_id: str | None,
    jkt: str | None,
    now: float,
) -> Code | None:
    """Spend the code if everything about it fits: one statement, one winner (law 1)."""
    row = tx.execute(
        _CONSUME,
        wall=tx.tenant,
        hashed=hashed,
        at=door,
        client=client_id,
        challenged=challenge,
        uri=redirect_uri,
        resource=resource_id,
        key=jkt,
        now=now,
    ).first()
    return None if row is None else _code(row)


def explain(tx: Transaction, hashed: str) -> Code | None:
    """The row behind a code that `consume` refused, to say why; gives nothing."""
    row = tx.execute(_EXPLAIN, wall=tx.tenant, hashed=hashed).first()
    return None if row is None else _code(row)


def _request(request_id: str, text: str) -> AuthorizationRequest:
    document = json.loads(text)
    for name in ("scopes", "prompt", "identity", "acr_values", "details"):
        document[name] = tuple(document.get(name, ()))
    return AuthorizationRequest(id=request_id, **document)


def _grant(row: Row[Any]) -> Grant:
    values = dict(row._mapping)
    for name in ("scopes", "amr", "identity", "details"):
        values[name] = tuple(json.loads(values[name]))
    reach = json.loads(values["downstream"])
    values["downstream"] = {target: tuple(scopes) for target, scopes in reach.items()}
    return Grant(**values)


def _code(row: Row[Any]) -> Code:
    values = dict(row._mapping)
    del values["hash"]
    return Code(**values)
