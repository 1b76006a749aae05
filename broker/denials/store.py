"""Denials: thrown once, lifted once, read where authority is given."""

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
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

from broker.denials.model import Denial, Kind, Target
from broker.runtime.database import Transaction, metadata, wall

denial = Table(
    "denial",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("target", String(600), nullable=False, index=True),
    Column("tenant", String(128)),
    Column("thrown_at", Float, nullable=False),
    Column("ends_at", Float),
    Column("lifted_at", Float),
    Column("final", Boolean, nullable=False),
    Column("why", Text, nullable=False),
    sqlite_autoincrement=True,
)

_MOST = 1000  # parameters of one statement

_THROW = insert(denial)
_IN_FORCE = denial.c.lifted_at.is_(None)
_OFF = select(denial.c.kind, denial.c.target).where(
    wall(denial, server_rows=True),
    _IN_FORCE,
    denial.c.target.in_(bindparam("targets", expanding=True)),
    or_(denial.c.ends_at.is_(None), denial.c.ends_at > bindparam("now")),
)
_STANDS = (
    select(denial.c.number)
    .where(
        wall(denial, server_rows=True),
        _IN_FORCE,
        denial.c.kind == bindparam("which"),
        denial.c.target == bindparam("aim"),
        denial.c.final == bindparam("for_good"),
        or_(denial.c.ends_at.is_(None), denial.c.ends_at > bindparam("now")),
    )
    .limit(1)
)
_LIFT = (
    update(denial)
    .where(
        wall(denial),
        _IN_FORCE,
        denial.c.final.is_(False),
        denial.c.kind == bindparam("which"),
        denial.c.target == bindparam("aim"),
    )
    .values(lifted_at=bindparam("now"))
)
_SWEEP = delete(denial).where(wall(denial, server_rows=True), denial.c.ends_at <= bindparam("now"))
_NEWEST = (
    select(denial.c.number, denial.c.target)
    .where(wall(denial, server_rows=True))
    .order_by(denial.c.number.desc())
    .limit(1)
)
_LIST = (
    select(denial)
    .where(
        wall(denial, server_rows=True),
        _IN_FORCE,
        or_(denial.c.ends_at.is_(None), denial.c.ends_at > bindparam("now")),
    )
    .order_by(denial.c.number)
)


def throw(
    tx: Transaction,
    target: Target,
    tenant: str | None,
    now: float,
    why: str,
    *,
    final: bool,
    ends_at: float | None = None,
) -> bool:
    """Put `target` off: a switch, or (`final`) for good; one never hides the other. False when it stands already."""
    tx.require(tenant)
    if not tx.throwing:
        raise RuntimeError("begin the transaction as a throwing one")
    if stands(tx, target, now, final=final):
        return False
    tx.execute(
        _THROW,
        kind=target.kind.value,
        target=target.id,
        tenant=tenant,
        thrown_at=now,
        ends_at=ends_at,
        final=final,
        why=why,
    )
    return True


def stands(tx: Transaction, target: Target, now: float, *, final: bool) -> bool:
    """Whether `target` itself is off: by a switch, or (`final`) for good."""
    found = tx.execute(
        _STANDS, wall=tx.tenant, which=target.kind.value, aim=target.id, for_good=final, now=now
    )
    return found.first() is not None


def off(tx: Transaction, targets: Iterable[Target], now: float) -> list[Target]:
    """Those of `targets` that are off behind the wall of `tx.tenant` or for the whole server, in their order."""
    asked = list(targets)
    found: set[tuple[str, str]] = set()
    for start in range(0, len(asked), _MOST):
        ids = [target.id for target in asked[start : start + _MOST]]
        found |= {(row.kind, row.target) for row in tx.execute(_OFF, wall=tx.tenant, targets=ids, now=now)}
    return [target for target in asked if (target.kind.value, target.id) in found]


def lift(tx: Transaction, target: Target, now: float) -> bool:
    """Lift the switch of `target`; False when none was thrown. What ended for good stays ended."""
    return tx.execute(_LIFT, wall=tx.tenant, which=target.kind.value, aim=target.id, now=now).rowcount > 0


def sweep(tx: Transaction, now: float) -> None:
    """Forget what denied something that has ended by itself."""
    tx.execute(_SWEEP, wall=tx.tenant, now=now)


def newest(tx: Transaction) -> tuple[int, str] | None:
    """Number and target of what was thrown last, lifted or not."""
    row = tx.execute(_NEWEST, wall=tx.tenant).first()
    return None if row is None else (row.number, row.target)


def in_force(tx: Transaction, now: float) -> list[Denial]:
    return [
        Denial(
            row.number, Kind(row.kind), row.target, row.tenant, row.thrown_at, row.ends_at, row.final, row.why
        )
        for row in tx.execute(_LIST, wall=tx.tenant, now=now)
    ]
