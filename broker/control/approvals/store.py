"""Approvals and votes: one waits for one act, each change is one conditional update, and there is one end."""

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    delete,
    func,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_on_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite

from broker.control.approvals.model import WAITING, Approval, Question, State, Vote
from broker.control.model import Actor
from broker.estate.model import ApprovalRule, Impact
from broker.runtime.database import Transaction, metadata, wall

approval_table = Table(
    "approval",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("door", String(512), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("waiting", String(64)),
    Column("subject", String(512), nullable=False),
    Column("user", Boolean, nullable=False),
    Column("client_id", String(512), nullable=False),
    Column("grant_id", String(200)),
    Column("txn", String(200)),
    Column("resource_id", String(128), nullable=False),
    Column("question", Text, nullable=False),
    Column("arguments", Text),
    Column("roles", Text, nullable=False),
    Column("good_for", Integer, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("requested_at", Float),
    Column("answered_at", Float),
    Column("answered_by", String(128)),
    Column("why", Text),
    Column("spent_at", Float),
    Column("decision_id", String(64)),
    Column("request_key", String(64)),
    UniqueConstraint("tenant", "door", "waiting", name="uq_approval_waiting"),
)
"""`waiting` is the digest while it waits, and then null: one act is asked about once at a time at one door.

`roles` is a JSON list; `arguments` are null once they are forgotten.
"""
Index("ix_approval_digest", approval_table.c.tenant, approval_table.c.digest)
Index("ix_approval_client", approval_table.c.tenant, approval_table.c.client_id, approval_table.c.created_at)

vote_table = Table(
    "approval_vote",
    metadata,
    Column("approval_id", String(40), primary_key=True),
    Column("user_id", String(128), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("at", Float, nullable=False),
)

_A, _V = approval_table.c, vote_table.c
_OPEN = _A.state.in_(WAITING)
_HERE = (wall(approval_table), _A.id == bindparam("which"))
_ALIVE = _A.expires_at > bindparam("now")
_WAITS = (*_HERE, _OPEN, _ALIVE)
_STANDS = (*_HERE, or_(_OPEN, _A.state == State.APPROVED), _ALIVE)
_ADD = {
    "sqlite": insert_on_sqlite(approval_table).on_conflict_do_nothing().returning(_A.id),
    "postgresql": insert_on_postgresql(approval_table).on_conflict_do_nothing().returning(_A.id),
}
_GET = select(approval_table).where(*_HERE)
_WAITING = select(approval_table).where(
    wall(approval_table), _A.waiting == bindparam("act"), _A.door == bindparam("at"), _ALIVE
)
_DENIED = select(func.max(_A.answered_at)).where(
    wall(approval_table), _A.digest == bindparam("act"), _A.state == State.DENIED
)
_GOOD = (
    select(approval_table)
    .where(
        wall(approval_table),
        _A.digest == bindparam("act"),
        _A.state == State.APPROVED,
        _A.expires_at > bindparam("now"),
    )
    .order_by(_A.expires_at)
)
_LISTED = (
    select(approval_table)
    .where(
        wall(approval_table),
        or_(bindparam("of", type_=String).is_(None), _A.subject == bindparam("of")),
        or_(bindparam("only_open", type_=Boolean).is_(False), _OPEN & _ALIVE),
    )
    .order_by(_A.created_at.desc(), _A.id.desc())
    .limit(bindparam("most", type_=Integer))
)
_BEFORE = (
    select(approval_table)
    .where(
        wall(approval_table),
        _ALIVE,
        or_(_A.state == State.REQUESTED, and_(_OPEN, _A.user, _A.subject == bindparam("who"))),
    )
    .order_by(_A.state.desc(), _A.created_at.desc(), _A.id.desc())
    .limit(bindparam("most", type_=Integer))
)
_ANSWERED = (
    select(approval_table)
    .where(wall(approval_table), _A.answered_by == bindparam("who"), ~_OPEN)
    .order_by(_A.answered_at.desc(), _A.id.desc())
    .limit(bindparam("most", type_=Integer))
)
_OF = (
    _A.client_id == bindparam("by"),
    _A.subject == bindparam("of"),
    _A.resource_id == bindparam("where"),
)
_RECENT = select(func.count().label("many"), func.min(_A.created_at).label("first_at")).where(
    wall(approval_table), *_OF, _A.created_at > bindparam("since")
)
_PENDING = select(func.count().label("many"), func.min(_A.expires_at).label("first_at")).where(
    wall(approval_table), *_OF, _OPEN, _ALIVE
)
_REQUEST = (
    update(approval_table)
    .where(*_HERE, _A.state == State.OFFERED, _A.expires_at > bindparam("now"))
    .values(state=State.REQUESTED, requested_at=bindparam("now"), request_key=bindparam("key"))
)
_KEYED = select(_A.id).where(wall(approval_table), _A.request_key == bindparam("key"))
_HOLD = update(approval_table).where(*_WAITS).values(state=_A.state)
_HOLD_GIVEN = update(approval_table).where(*_STANDS).values(state=_A.state)
_APPROVE = (
    update(approval_table)
    .where(*_WAITS)
    .values(
        state=State.APPROVED,
        waiting=null(),
        requested_at=func.coalesce(_A.requested_at, bindparam("now")),
        answered_at=bindparam("now"),
        answered_by=bindparam("person"),
        why=bindparam("said"),
        expires_at=bindparam("now", type_=Float) + _A.good_for,
    )
    .returning(approval_table)
)
_CLOSE = (
    update(approval_table)
    .where(*_STANDS)
    .values(
        state=bindparam("end"),
        waiting=null(),
        answered_at=bindparam("now"),
        answered_by=bindparam("person"),
        why=bindparam("said"),
    )
    .returning(approval_table)
)
_SPEND = (
    update(approval_table)
    .where(*_HERE, _A.state == State.APPROVED, _A.expires_at > bindparam("now"))
    .values(state=State.SPENT, spent_at=bindparam("now"), decision_id=bindparam("decision"))
    .returning(approval_table)
)
_LAPSE = (
    update(approval_table)
    .where(
        wall(approval_table),
        _A.state.in_((*WAITING, State.APPROVED)),
        _A.expires_at <= bindparam("now"),
        or_(bindparam("act", type_=String).is_(None), _A.waiting == bindparam("act")),
    )
    .values(
        state=State.EXPIRED,
        waiting=null(),
        answered_at=case((_A.answered_at.is_(None), bindparam("now")), else_=_A.answered_at),
    )
    .returning(approval_table)
)
_DISCARD = delete(approval_table).where(
    wall(approval_table),
    _A.state == State.OFFERED,
    _A.expires_at <= bindparam("now"),
    or_(bindparam("act", type_=String).is_(None), _A.waiting == bindparam("act")),
)
_BLANK = (
    update(approval_table)
    .where(
        wall(approval_table),
        _A.state.not_in((*WAITING, State.APPROVED)),
        _A.expires_at <= bindparam("now"),
        _A.arguments.is_not(None),
    )
    .values(arguments=null())
)
_OLD = delete(approval_table).where(wall(approval_table), ~_OPEN, _A.expires_at <= bindparam("before"))
_OLD_VOTES = delete(vote_table).where(
    wall(vote_table), _V.at <= bindparam("before"), ~_V.approval_id.in_(select(_A.id))
)
_VOTE = {
    "sqlite": insert_on_sqlite(vote_table).on_conflict_do_nothing().returning(_V.user_id),
    "postgresql": insert_on_postgresql(vote_table).on_conflict_do_nothing().returning(_V.user_id),
}
_VOTES = select(vote_table).where(wall(vote_table), _V.approval_id == bindparam("which")).order_by(_V.at)


def add(tx: Transaction, approval: Approval) -> bool:
    """Whether it waits now; False when another waits for the same act."""
    tx.require(approval.tenant)
    return tx.execute(_ADD[tx.connection.dialect.name], **_row(approval)).first() is not None


def get(tx: Transaction, approval_id: str) -> Approval | None:
    row = tx.execute(_GET, wall=tx.tenant, which=approval_id).first()
    return _approval(row) if row else None


def waiting(tx: Transaction, digest: str, door: str, now: float) -> Approval | None:
    """The one that waits for this act at this door."""
    row = tx.execute(_WAITING, wall=tx.tenant, act=digest, at=door, now=now).first()
    return _approval(row) if row else None


def denied(tx: Transaction, digest: str) -> float | None:
    """When this act was denied last."""
    found: float | None = tx.execute(_DENIED, wall=tx.tenant, act=digest).scalar()
    return found


def good(tx: Transaction, digest: str, now: float) -> list[Approval]:
    """Those of this act that can be used, the one that ends first coming first."""
    return [_approval(row) for row in tx.execute(_GOOD, wall=tx.tenant, act=digest, now=now)]


def listed(
    tx: Transaction, now: float, most: int, subject: str | None = None, *, only_open: bool = False
) -> list[Approval]:
    """The newest first; `subject`: only who it is for."""
    found = tx.execute(_LISTED, wall=tx.tenant, of=subject, only_open=only_open, now=now, most=most)
    return [_approval(row) for row in found]


def before(tx: Transaction, user_id: str, now: float, most: int) -> list[Approval]:
    """What somebody wants answered, and then what is only offered in this user's name; each the newest first."""
    found = tx.execute(_BEFORE, wall=tx.tenant, who=user_id, now=now, most=most)
    return [_approval(row) for row in found]


def answered(tx: Transaction, user_id: str, most: int) -> list[Approval]:
    """What this user answered last, the newest first."""
    return [_approval(row) for row in tx.execute(_ANSWERED, wall=tx.tenant, who=user_id, most=most)]


def recent(
    tx: Transaction, client_id: str, subject: str, resource_id: str, since: float
) -> tuple[int, float | None]:
    """How many this client caused for a subject at a resource since then, and when the first of them was."""
    of = {"by": client_id, "of": subject, "where": resource_id}
    row = tx.execute(_RECENT, wall=tx.tenant, since=since, **of).one()
    return row.many, row.first_at


def pending(
    tx: Transaction, client_id: str, subject: str, resource_id: str, now: float
) -> tuple[int, float | None]:
    """How many wait for this client, subject and resource, and when the first of them ends."""
    of = {"by": client_id, "of": subject, "where": resource_id}
    row = tx.execute(_PENDING, wall=tx.tenant, now=now, **of).one()
    return row.many, row.first_at


def request(tx: Transaction, approval_id: str, now: float, key: str | None = None) -> bool:
    """True for who turns an offer into a request. `key` names the request that did."""
    return tx.execute(_REQUEST, wall=tx.tenant, which=approval_id, now=now, key=key).rowcount == 1


def keyed(tx: Transaction, key: str) -> str | None:
    """What was requested under this key."""
    row = tx.execute(_KEYED, wall=tx.tenant, key=key).first()
    return row.id if row else None


def hold(tx: Transaction, approval_id: str, now: float, *, given: bool = False) -> bool:
    """Whether it waits, or (`given`) was approved and is not used: until the end of `tx` nobody else changes it."""
    statement = _HOLD_GIVEN if given else _HOLD
    return tx.execute(statement, wall=tx.tenant, which=approval_id, now=now).rowcount == 1


def approve(tx: Transaction, approval_id: str, user_id: str, why: str | None, now: float) -> Approval | None:
    """What waited is approved, for as long as its rule says; None for all but one of those who end it."""
    row = tx.execute(_APPROVE, wall=tx.tenant, which=approval_id, person=user_id, said=why, now=now).first()
    return _approval(row) if row else None


def close(
    tx: Transaction, approval_id: str, state: State, person: str | None, why: str | None, now: float
) -> Approval | None:
    """What waited, or was approved and not used, is over; None for all but one of those who end it or use it."""
    row = tx.execute(
        _CLOSE, wall=tx.tenant, which=approval_id, end=state, person=person, said=why, now=now
    ).first()
    return _approval(row) if row else None


def spend(tx: Transaction, approval_id: str, decision_id: str | None, now: float) -> Approval | None:
    """What was approved is used up; None for all but one."""
    row = tx.execute(_SPEND, wall=tx.tenant, which=approval_id, decision=decision_id, now=now).first()
    return _approval(row) if row else None


def lapse(tx: Transaction, now: float, digest: str | None = None) -> list[Approval]:
    """Those whose time is over; with a digest, only what waited for that act."""
    return [_approval(row) for row in tx.execute(_LAPSE, wall=tx.tenant, now=now, act=digest)]


def discard(tx: Transaction, now: float, digest: str | None = None) -> None:
    """Forget offers that nobody took up in time; with a digest, only those of that act."""
    tx.execute(_DISCARD, wall=tx.tenant, now=now, act=digest)


def blank(tx: Transaction, now: float) -> None:
    """Forget the arguments of what is over, once its time is over too."""
    tx.execute(_BLANK, wall=tx.tenant, now=now)


def sweep(tx: Transaction, before: float) -> None:
    """Forget what ended before then, with its votes."""
    tx.execute(_OLD, wall=tx.tenant, before=before)
    tx.execute(_OLD_VOTES, wall=tx.tenant, before=before)


def vote(tx: Transaction, cast: Vote) -> bool:
    """False when this person voted before."""
    tx.require(cast.tenant)
    return tx.execute(_VOTE[tx.connection.dialect.name], **asdict(cast)).first() is not None


def votes(tx: Transaction, approval_id: str) -> list[Vote]:
    return [Vote(**row._mapping) for row in tx.execute(_VOTES, wall=tx.tenant, which=approval_id)]


def _row(approval: Approval) -> dict[str, object]:
    question = asdict(approval.question)
    arguments = question.pop("arguments")
    plain = {name: getattr(approval, name) for name in Approval.__slots__ if name not in ("question", "rule")}
    return {
        **plain,
        "waiting": approval.digest,
        "resource_id": approval.question.resource_id,
        "question": json.dumps(question, ensure_ascii=False),
        "arguments": None if arguments is None else json.dumps(arguments, ensure_ascii=False),
        "roles": json.dumps(approval.rule.by, ensure_ascii=False),
        "good_for": approval.rule.expires,
        "quorum": approval.rule.quorum,
        "request_key": None,
    }


def _approval(row: Row[Any]) -> Approval:
    kept = dict(row._mapping)
    for name in ("waiting", "resource_id", "request_key"):
        del kept[name]
    said, arguments = json.loads(kept.pop("question")), kept.pop("arguments")
    said["arguments"] = None if arguments is None else json.loads(arguments)
    rule = ApprovalRule(tuple(json.loads(kept.pop("roles"))), kept.pop("good_for"), kept.pop("quorum"))
    actors = tuple(Actor(**actor) for actor in said.pop("actors"))
    because, impact = tuple(said.pop("because")), Impact(said.pop("impact"))
    question = Question(**said, actors=actors, because=because, impact=impact)
    return Approval(**{**kept, "question": question, "rule": rule, "state": State(kept["state"])})
