"""Budgets as they are set, and what a day spent of each: by one conditional statement, so that none is overspent."""

from typing import Any

from sqlalchemy import (
    Column,
    Float,
    Integer,
    Row,
    String,
    Table,
    and_,
    bindparam,
    case,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_on_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite

from broker.control.budgets.model import Bound, Budget, Level, Spent
from broker.estate.model import Bounds
from broker.runtime.database import Transaction, metadata, wall

budget_table = Table(
    "budget",
    metadata,
    Column("key", String(800), primary_key=True),
    Column("level", String(16), nullable=False),
    Column("id", String(640), nullable=False),
    Column("tenant", String(128)),
    Column("per_minute", Integer),
    Column("concurrent", Integer),
    Column("calls_per_day", Integer),
    Column("budget_per_day", Float),
)
spent_table = Table(
    "budget_spent",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("level", String(16), primary_key=True),
    Column("id", String(800), primary_key=True),
    Column("day", Integer, primary_key=True, index=True),
    Column("calls", Integer, nullable=False),
    Column("cost", Float, nullable=False),
)
_BOUNDS = ("per_minute", "concurrent", "calls_per_day", "budget_per_day")
_NAME = (spent_table.c.tenant, spent_table.c.level, spent_table.c.id, spent_table.c.day)
_NEXT_CALLS, _NEXT_COST = spent_table.c.calls + 1, spent_table.c.cost + bindparam("more", type_=Float)
_ROUNDING = 1e-6
"""Tenths do not add up exactly."""
_NO_LIMIT = 2**31 - 1
_FITS = and_(
    bindparam("most_calls", type_=Integer) >= _NEXT_CALLS,
    bindparam("most_cost", type_=Float) >= _NEXT_COST,
)
_SPEND = {
    name: made(spent_table)
    .values(calls=1, cost=bindparam("more", type_=Float))
    .on_conflict_do_update(
        index_elements=_NAME,
        set_={"calls": _NEXT_CALLS, "cost": _NEXT_COST},
        where=and_(wall(spent_table), _FITS),
    )
    .returning(spent_table.c.calls, spent_table.c.cost)
    for name, made in (("sqlite", insert_on_sqlite), ("postgresql", insert_on_postgresql))
}
_CORRECTED = spent_table.c.cost + bindparam("more", type_=Float)
_CORRECT = (
    update(spent_table)
    .where(
        wall(spent_table),
        spent_table.c.tenant == bindparam("of"),
        spent_table.c.level == bindparam("which_level"),
        spent_table.c.id == bindparam("which"),
        spent_table.c.day == bindparam("on"),
    )
    .values(cost=case((_CORRECTED > 0, _CORRECTED), else_=0.0))
    .returning(spent_table.c.calls, spent_table.c.cost)
)
_SPENT = (
    select(spent_table).where(wall(spent_table), spent_table.c.day == bindparam("which")).order_by(*_NAME)
)
_OF = select(spent_table.c.calls, spent_table.c.cost).where(
    wall(spent_table),
    spent_table.c.tenant == bindparam("of"),
    spent_table.c.level == bindparam("level"),
    spent_table.c.id == bindparam("which"),
    spent_table.c.day == bindparam("day"),
)
_SWEEP = delete(spent_table).where(wall(spent_table), spent_table.c.day < bindparam("before"))
_EVERY = select(budget_table).where(wall(budget_table, server_rows=True)).order_by(budget_table.c.key)
_PUT = update(budget_table).where(wall(budget_table), budget_table.c.key == bindparam("which"))
_ADD = insert(budget_table)
_REMOVE = delete(budget_table).where(wall(budget_table), budget_table.c.key == bindparam("which"))


def spend(tx: Transaction, tenant: str, bound: Bound, day: int, cost: float) -> Spent | None:
    """One more call and its cost on that day; None, and nothing, where that is more than there is."""
    tx.require(tenant)
    most = bound.bounds
    if most.calls_per_day == 0 or (most.budget_per_day is not None and cost > most.budget_per_day):
        return None  # an insert has no condition
    row = tx.execute(
        _SPEND[tx.connection.dialect.name],
        wall=tx.tenant,
        tenant=tenant,
        level=bound.level,
        id=bound.id,
        day=day,
        more=cost,
        most_calls=_NO_LIMIT if most.calls_per_day is None else most.calls_per_day,
        most_cost=1e300 if most.budget_per_day is None else most.budget_per_day + _ROUNDING,
    ).first()
    return None if row is None else Spent(tenant, bound.level, bound.id, day, row.calls, row.cost)


def correct(tx: Transaction, tenant: str, bound: Bound, day: int, more: float) -> Spent | None:
    """So much more was spent, or less (never below zero); None where nothing was spent of it on that day."""
    tx.require(tenant)
    named = {"of": tenant, "which_level": bound.level, "which": bound.id, "on": day}
    row = tx.execute(_CORRECT, wall=tx.tenant, **named, more=more).first()
    return None if row is None else Spent(tenant, bound.level, bound.id, day, row.calls, row.cost)


def spent_of(tx: Transaction, tenant: str, bound: Bound, day: int) -> Spent:
    """What one tenant spent of one bound on that day so far."""
    named = {"of": tenant, "level": bound.level, "which": bound.id, "day": day}
    row = tx.execute(_OF, wall=tx.tenant, **named).first()
    calls, cost = (0, 0.0) if row is None else (row.calls, row.cost)
    return Spent(tenant, bound.level, bound.id, day, calls, cost)


def spent(tx: Transaction, day: int) -> list[Spent]:
    """All that was spent on one day."""
    return [Spent(**row._mapping) for row in tx.execute(_SPENT, wall=tx.tenant, which=day)]


def sweep(tx: Transaction, before: int) -> None:
    """Forget days before that one."""
    tx.execute(_SWEEP, wall=tx.tenant, before=before)


def every(tx: Transaction) -> list[Budget]:
    return [_budget(row) for row in tx.execute(_EVERY, wall=tx.tenant)]


def put(tx: Transaction, budget: Budget) -> None:
    """As it is now, whether or not there was one."""
    tx.require(budget.tenant)
    bounds = {name: getattr(budget.bounds, name) for name in _BOUNDS}
    if tx.execute(_PUT, wall=tx.tenant, which=budget.key, **bounds).rowcount == 0:
        named = {"key": budget.key, "level": budget.level.value, "id": budget.id, "tenant": budget.tenant}
        tx.execute(_ADD, **named, **bounds)


def remove(tx: Transaction, key: str) -> bool:
    return tx.execute(_REMOVE, wall=tx.tenant, which=key).rowcount == 1


def _budget(row: Row[Any]) -> Budget:
    bounds = Bounds(*(getattr(row, name) for name in _BOUNDS))
    return Budget(Level(row.level), row.id, row.tenant, bounds)
