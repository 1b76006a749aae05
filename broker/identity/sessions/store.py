"""Sessions: started, touched, ended; the cookie's value is never stored, only its SHA-256."""

import json
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
    exists,
    insert,
    select,
    update,
)

from broker.identity.sessions.model import Seen, Session
from broker.runtime.database import Transaction, metadata

session_table = Table(
    "browser_session",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("user_id", String(128), nullable=False, index=True),
    Column("auth_time", Float, nullable=False),
    Column("acr", String(128), nullable=False),
    Column("amr", Text, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("sid", String(40), nullable=False, index=True),
    Column("provider", String(128)),
    Column("dated", Boolean, nullable=False),
    Column("source", String(64)),
    Column("agent", String(300)),
)
SERVER_WIDE = (
    "a session is a person's, and people belong to the server; the face checks membership at each door"
)

_START = insert(session_table)
_ALIVE = (
    session_table.c.ended_at.is_(None),
    session_table.c.seen_at > bindparam("idle_since"),
    session_table.c.auth_time > bindparam("begun_since"),
)
_CURRENT = select(session_table).where(session_table.c.hash == bindparam("hashed"), *_ALIVE)
_LIVE = select(session_table.c.id).where(session_table.c.id == bindparam("which"), *_ALIVE)
_TOUCH = (
    update(session_table).where(session_table.c.hash == bindparam("hashed")).values(seen_at=bindparam("now"))
)
_END = (
    update(session_table)
    .where(session_table.c.hash == bindparam("hashed"), session_table.c.ended_at.is_(None))
    .values(ended_at=bindparam("now"))
    .returning(session_table.c.id, session_table.c.user_id)
)
_END_BY_ID = (
    update(session_table)
    .where(session_table.c.id == bindparam("which"), session_table.c.ended_at.is_(None))
    .values(ended_at=bindparam("now"))
    .returning(session_table.c.id, session_table.c.user_id)
)
_END_ALL = (
    update(session_table)
    .where(session_table.c.user_id == bindparam("whose"), session_table.c.ended_at.is_(None))
    .values(ended_at=bindparam("now"))
    .returning(session_table.c.id, session_table.c.user_id)
)
_END_VOUCHED = _END_ALL.where(session_table.c.provider == bindparam("by"))
_END_OF = (
    update(session_table)
    .where(
        session_table.c.id == bindparam("which"),
        session_table.c.user_id == bindparam("whose"),
        session_table.c.ended_at.is_(None),
    )
    .values(ended_at=bindparam("now"))
)
_END_OTHERS = (
    update(session_table)
    .where(
        session_table.c.user_id == bindparam("whose"),
        session_table.c.id != bindparam("but"),
        session_table.c.ended_at.is_(None),
    )
    .values(ended_at=bindparam("now"))
    .returning(session_table.c.id)
)
_OF = (
    select(session_table)
    .where(session_table.c.user_id == bindparam("whose"), *_ALIVE)
    .order_by(session_table.c.seen_at.desc(), session_table.c.id)
)
_other = session_table.alias("other")
_OVER = select(session_table.c.sid).where(
    session_table.c.id == bindparam("which"),
    session_table.c.ended_at.is_not(None),
    ~exists().where(_other.c.sid == session_table.c.sid, _other.c.ended_at.is_(None)),
)
_SIGNED_OUT = (
    select(session_table.c.sid)
    .where(
        session_table.c.sid == bindparam("which"),
        session_table.c.ended_at.is_not(None),
        ~exists().where(_other.c.sid == session_table.c.sid, _other.c.ended_at.is_(None)),
    )
    .limit(1)
)
_HOLD = (
    select(session_table.c.id)
    .where(session_table.c.sid == bindparam("which"), session_table.c.ended_at.is_(None))
    .with_for_update(read=True)  # SQLite writes one unit after the other anyway
)
_SWEEP = delete(session_table).where(session_table.c.auth_time <= bindparam("long_ago"))
_OPEN = select(session_table).where(session_table.c.ended_at.is_(None)).order_by(session_table.c.id)


def start(
    tx: Transaction,
    hashed: str,
    session: Session,
    now: float,
    *,
    source: str | None = None,
    agent: str | None = None,
) -> None:
    tx.execute(
        _START,
        hash=hashed,
        id=session.id,
        user_id=session.user_id,
        auth_time=session.auth_time,
        acr=session.acr,
        amr=json.dumps(session.amr),
        seen_at=now,
        ended_at=None,
        sid=session.sid,
        provider=session.provider,
        dated=session.dated,
        source=source,
        agent=agent,
    )


def current(
    tx: Transaction, hashed: str, idle_since: float, begun_since: float
) -> tuple[Session, float] | None:
    """The live session behind a cookie and when it was last seen."""
    row = tx.execute(_CURRENT, hashed=hashed, idle_since=idle_since, begun_since=begun_since).first()
    if row is None:
        return None
    return _session(row), row.seen_at


def live(tx: Transaction, session_id: str, idle_since: float, begun_since: float) -> bool:
    """Whether the session with this id is one."""
    found = tx.execute(_LIVE, which=session_id, idle_since=idle_since, begun_since=begun_since)
    return found.first() is not None


def touch(tx: Transaction, hashed: str, now: float) -> None:
    tx.execute(_TOUCH, hashed=hashed, now=now)


def end(tx: Transaction, hashed: str, now: float) -> tuple[str, str] | None:
    """(id, user) of the session that this ended, or None when there was none."""
    row = tx.execute(_END, hashed=hashed, now=now).first()
    return None if row is None else (row.id, row.user_id)


def end_by_id(tx: Transaction, session_id: str, now: float) -> tuple[str, str] | None:
    row = tx.execute(_END_BY_ID, which=session_id, now=now).first()
    return None if row is None else (row.id, row.user_id)


def end_of(tx: Transaction, user_id: str, session_id: str, now: float) -> bool:
    """Whether this ended that session of that user."""
    return tx.execute(_END_OF, whose=user_id, which=session_id, now=now).rowcount == 1


def end_others(tx: Transaction, user_id: str, but: str, now: float) -> list[str]:
    """Ends every session of a user except the one with the id `but`; their ids."""
    return [row.id for row in tx.execute(_END_OTHERS, whose=user_id, but=but, now=now)]


def of(tx: Transaction, user_id: str, idle_since: float, begun_since: float) -> list[Seen]:
    """The live sessions of a user, the one last seen first."""
    rows = tx.execute(_OF, whose=user_id, idle_since=idle_since, begun_since=begun_since)
    return [Seen(_session(row), row.seen_at, row.source, row.agent) for row in rows]


def end_all(tx: Transaction, user_id: str, now: float) -> list[str]:
    """Ends every session of a user; their ids."""
    return [row.id for row in tx.execute(_END_ALL, whose=user_id, now=now)]


def end_vouched(tx: Transaction, user_id: str, provider: str, now: float) -> list[str]:
    """Ends every session of a user for which this provider vouched; their ids."""
    return [row.id for row in tx.execute(_END_VOUCHED, whose=user_id, by=provider, now=now)]


def over(tx: Transaction, session_id: str) -> str | None:
    """The `sid` of a session that ended, unless another goes on with it: the person proved more, or again."""
    row = tx.execute(_OVER, which=session_id).first()
    return None if row is None else row.sid


def signed_out(tx: Transaction, sid: str) -> bool:
    """Whether a sign-in was ended, and no session goes on with it."""
    return tx.execute(_SIGNED_OUT, which=sid).first() is not None


def hold(tx: Transaction, sid: str) -> bool:
    """Whether a session goes on with this sign-in; none of those can be ended before `tx` is over."""
    return tx.execute(_HOLD, which=sid).first() is not None


def sweep(tx: Transaction, long_ago: float) -> None:
    """Forget sessions that began so long ago that none of them can be live."""
    tx.execute(_SWEEP, long_ago=long_ago)


def every_open(tx: Transaction) -> list[tuple[Session, float]]:
    rows = tx.execute(_OPEN)
    return [(_session(row), row.seen_at) for row in rows]


def _session(row: Row[Any]) -> Session:
    return Session(
        row.id,
        row.user_id,
        row.auth_time,
        row.acr,
        tuple(json.loads(row.amr)),
        row.sid,
        row.provider,
        row.dated,
    )
