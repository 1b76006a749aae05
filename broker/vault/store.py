"""Connections with their sealed tokens: a version is left by one statement, and refreshed by one at a time."""

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    case,
    insert,
    or_,
    select,
    update,
)

from broker.runtime.database import Transaction, metadata, wall
from broker.vault.model import Account, Connection, Sealed, State

connection_table = Table(
    "vault_connection",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("user_id", String(128), nullable=False),
    Column("resource_id", String(128), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("account_id", String(200), nullable=False),
    Column("account_name", String(200), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("wider", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("refreshable", Boolean, nullable=False),
    Column("expires_at", Float),
    Column("connected_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("used_at", Float),
    Column("failures", Integer, nullable=False),
    Column("retry_at", Float),
    Column("why", String(200)),
    Column("key_id", String(16)),
    Column("data_key", LargeBinary),
    Column("access", LargeBinary),
    Column("refresh", LargeBinary),
    Column("refresher", String(64)),
    Column("leased_until", Float),
    UniqueConstraint("tenant", "user_id", "resource_id", name="uq_vault_connection_whose"),
)
_c = connection_table.c
_HERE = (wall(connection_table), _c.id == bindparam("which"))
_AT = (*_HERE, _c.version == bindparam("so_far"))
_GET = select(connection_table).where(*_HERE)
_FIND = select(connection_table).where(
    wall(connection_table),
    _c.tenant == bindparam("of_tenant"),
    _c.user_id == bindparam("whose"),
    _c.resource_id == bindparam("at"),
)
_EVERY = (
    select(connection_table)
    .where(
        wall(connection_table),
        _c.state != State.DISCONNECTED.value,
        or_(bindparam("whose", type_=String).is_(None), _c.user_id == bindparam("whose")),
    )
    .order_by(_c.tenant, _c.resource_id, _c.user_id)
)
_OTHERWISE = (
    select(connection_table)
    .where(
        wall(connection_table),
        _c.data_key.is_not(None),
        _c.key_id != bindparam("now_id"),
        _c.id > bindparam("after"),
    )
    .order_by(_c.id)
    .limit(bindparam("most", type_=Integer))
)
_ADD = insert(connection_table)
_RENEW = (
    update(connection_table)
    .where(*_AT)
    .values(
        provider=bindparam("of_provider"),
        account_id=bindparam("acc_id"),
        account_name=bindparam("acc_name"),
        scopes=bindparam("with_scopes"),
        wider=bindparam("with_wider"),
        state=State.CONNECTED.value,
        version=bindparam("next"),
        refreshable=bindparam("renewable"),
        expires_at=bindparam("ends"),
        connected_at=bindparam("since"),
        changed_at=bindparam("now"),
        failures=0,
        retry_at=None,
        why=None,
        key_id=bindparam("sealed_id"),
        data_key=bindparam("sealed_key"),
        access=bindparam("sealed_access"),
        refresh=bindparam("sealed_refresh"),
        refresher=None,
        leased_until=None,
    )
)
_CLAIM = (
    update(connection_table)
    .where(
        *_AT,
        _c.state == State.CONNECTED.value,
        or_(_c.leased_until.is_(None), _c.leased_until <= bindparam("now")),
        or_(_c.retry_at.is_(None), _c.retry_at <= bindparam("now")),
    )
    .values(refresher=bindparam("mine"), leased_until=bindparam("until"))
    .returning(*_c)
)
_FAIL = (
    update(connection_table)
    .where(*_AT, _c.refresher == bindparam("mine"))
    .values(
        failures=_c.failures + 1,
        retry_at=bindparam("again_at"),
        why=bindparam("because"),
        refresher=None,
        leased_until=None,
    )
)
_BREAK = (
    update(connection_table)
    .where(*_AT, _c.state == State.CONNECTED.value)
    .values(
        state=State.NEEDS_RECONNECT.value,
        why=bindparam("because"),
        changed_at=bindparam("now"),
        refresher=None,
        leased_until=None,
    )
)
_LEFT = bindparam("then", type_=String) == State.DISCONNECTED.value
_ERASE = (
    update(connection_table)
    .where(*_AT)
    .values(
        state=bindparam("then"),
        account_id=case((_LEFT, ""), else_=_c.account_id),
        account_name=case((_LEFT, ""), else_=_c.account_name),
        version=_c.version + 1,
        refreshable=False,
        expires_at=None,
        key_id=None,
        data_key=None,
        access=None,
        refresh=None,
        changed_at=bindparam("now"),
        why=bindparam("because"),
        refresher=None,
        leased_until=None,
    )
)
_EXPIRE = (
    update(connection_table)
    .where(*_AT)
    .values(expires_at=bindparam("now"), changed_at=bindparam("now"), why=bindparam("because"))
)
_USED = (
    update(connection_table)
    .where(*_HERE, or_(_c.used_at.is_(None), _c.used_at <= bindparam("before")))
    .values(used_at=bindparam("now"))
)
_REWRAP = (
    update(connection_table)
    .where(*_AT)
    .values(key_id=bindparam("sealed_id"), data_key=bindparam("sealed_key"))
)


def get(tx: Transaction, connection_id: str) -> tuple[Connection, Sealed | None] | None:
    row = tx.execute(_GET, wall=tx.tenant, which=connection_id).first()
    return None if row is None else (_connection(row), _sealed(row))


def find(
    tx: Transaction, tenant: str, user_id: str, resource_id: str
) -> tuple[Connection, Sealed | None] | None:
    """The connection of a user at a resource, whatever its state."""
    row = tx.execute(_FIND, wall=tx.tenant, of_tenant=tenant, whose=user_id, at=resource_id).first()
    return None if row is None else (_connection(row), _sealed(row))


def every(tx: Transaction, user_id: str | None = None) -> list[Connection]:
    """All that were not ended, of one user or of all."""
    return [_connection(row) for row in tx.execute(_EVERY, wall=tx.tenant, whose=user_id)]


def otherwise_sealed(tx: Transaction, key_id: str, after: str, most: int) -> list[tuple[str, str]]:
    """(id, tenant) of those whose data key is under another key-encryption key, by id, behind the id `after`."""
    rows = tx.execute(_OTHERWISE, wall=tx.tenant, now_id=key_id, after=after, most=most)
    return [(row.id, row.tenant) for row in rows]


def add(tx: Transaction, connection: Connection, sealed: Sealed) -> None:
    """`Conflict` when this user is or was connected there."""
    tx.require(connection.tenant)
    tx.execute(
        _ADD,
        id=connection.id,
        tenant=connection.tenant,
        user_id=connection.user_id,
        resource_id=connection.resource_id,
        provider=connection.provider,
        account_id=connection.account.id,
        account_name=connection.account.name,
        scopes=" ".join(connection.scopes),
        wider=" ".join(connection.wider),
        state=connection.state.value,
        version=connection.version,
        refreshable=connection.refreshable,
        expires_at=connection.expires_at,
        connected_at=connection.connected_at,
        changed_at=connection.changed_at,
        used_at=connection.used_at,
        failures=connection.failures,
        retry_at=connection.retry_at,
        why=connection.why,
        key_id=sealed.key_id,
        data_key=sealed.key,
        access=sealed.access,
        refresh=sealed.refresh,
        refresher=None,
        leased_until=None,
    )


def renew(tx: Transaction, so_far: int, connection: Connection, sealed: Sealed) -> bool:
    """New tokens instead of those of version `so_far`: False when that is not its version any more."""
    done = tx.execute(
        _RENEW,
        wall=tx.tenant,
        which=connection.id,
        so_far=so_far,
        of_provider=connection.provider,
        acc_id=connection.account.id,
        acc_name=connection.account.name,
        with_scopes=" ".join(connection.scopes),
        with_wider=" ".join(connection.wider),
        next=connection.version,
        renewable=connection.refreshable,
        ends=connection.expires_at,
        since=connection.connected_at,
        now=connection.changed_at,
        sealed_id=sealed.key_id,
        sealed_key=sealed.key,
        sealed_access=sealed.access,
        sealed_refresh=sealed.refresh,
    )
    return done.rowcount == 1


def claim(
    tx: Transaction, connection_id: str, so_far: int, refresher: str, now: float, until: float
) -> tuple[Connection, Sealed] | None:
    """For the one that may refresh it until then. None: another does, it changed, or it is too soon to try again."""
    row = tx.execute(
        _CLAIM, wall=tx.tenant, which=connection_id, so_far=so_far, mine=refresher, now=now, until=until
    ).first()
    sealed = None if row is None else _sealed(row)
    return None if row is None or sealed is None else (_connection(row), sealed)


def fail(tx: Transaction, connection_id: str, so_far: int, refresher: str, again_at: float, why: str) -> bool:
    """The refresher's attempt came to nothing; nothing of the tokens changes."""
    done = tx.execute(
        _FAIL,
        wall=tx.tenant,
        which=connection_id,
        so_far=so_far,
        mine=refresher,
        again_at=again_at,
        because=why,
    )
    return done.rowcount == 1


def broke(tx: Transaction, connection_id: str, so_far: int, why: str, now: float) -> bool:
    """The provider ended it, as far as this version says."""
    done = tx.execute(_BREAK, wall=tx.tenant, which=connection_id, so_far=so_far, because=why, now=now)
    return done.rowcount == 1


def erase(tx: Transaction, connection_id: str, so_far: int, state: State, why: str, now: float) -> bool:
    """Nothing of its tokens is left here; of one that its user left, nothing of the account either."""
    done = tx.execute(
        _ERASE, wall=tx.tenant, which=connection_id, so_far=so_far, then=state.value, because=why, now=now
    )
    return done.rowcount == 1


def expire(tx: Transaction, connection_id: str, so_far: int, why: str, now: float) -> bool:
    """Its access token counts as over from now on."""
    done = tx.execute(_EXPIRE, wall=tx.tenant, which=connection_id, so_far=so_far, because=why, now=now)
    return done.rowcount == 1


def used(tx: Transaction, connection_id: str, now: float, before: float) -> None:
    """Written only where the last use that is known was `before` then."""
    tx.execute(_USED, wall=tx.tenant, which=connection_id, now=now, before=before)


def rewrap(tx: Transaction, connection_id: str, so_far: int, sealed: Sealed) -> bool:
    done = tx.execute(
        _REWRAP,
        wall=tx.tenant,
        which=connection_id,
        so_far=so_far,
        sealed_id=sealed.key_id,
        sealed_key=sealed.key,
    )
    return done.rowcount == 1


def _connection(row: Row[Any]) -> Connection:
    return Connection(
        row.id,
        row.tenant,
        row.user_id,
        row.resource_id,
        row.provider,
        Account(row.account_id, row.account_name),
        tuple(row.scopes.split()),
        tuple(row.wider.split()),
        State(row.state),
        row.version,
        row.refreshable,
        row.expires_at,
        row.connected_at,
        row.changed_at,
        row.used_at,
        row.failures,
        row.retry_at,
        row.why,
    )


def _sealed(row: Row[Any]) -> Sealed | None:
    if row.data_key is None or row.key_id is None:
        return None
    return Sealed(row.key_id, row.data_key, row.access, row.refresh)
