"""What has to be told to somebody who may not be there: kept until it is, tried in turn, and holding nobody else up.

A room keeps such rows in a table of its own, with `tenant`, `attempts` and `next_at` (epoch seconds), and says which
column names whom each is for. Used for notices of sign-outs and for revocations at providers.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Column, Integer, Select, Table, Update, bindparam, func, select, update

from broker.runtime.clock import Clock
from broker.runtime.database import wall

MOST_AT_ONCE = 100
_LONGEST = 15.0
"""Seconds for one round, begun attempts aside: other duties wait."""


class Waiting(Protocol):
    """One of the rows."""

    @property
    def attempts(self) -> int: ...


W = TypeVar("W", bound=Waiting)


def statements(table: Table, whose: "Column[Any]") -> tuple[Select[Any], Update, Update]:
    """For a store: those that are due (`now`, `most`), one of each recipient and then the next of each, the longest due
    first; one more attempt at `which` after `so_far`, for one process; and putting all of `whose` off to `again_at`."""
    turn = func.row_number().over(partition_by=whose, order_by=(table.c.next_at, table.c.id))
    in_turn = (
        select(*table.c, turn.label("turn"))
        .where(wall(table), table.c.next_at <= bindparam("now"))
        .subquery()
    )
    due = (
        select(*(in_turn.c[column.name] for column in table.c))
        .order_by(in_turn.c.turn, in_turn.c.next_at, in_turn.c.id)
        .limit(bindparam("most", type_=Integer))
    )
    attempt = (
        update(table)
        .where(wall(table), table.c.id == bindparam("which"), table.c.attempts == bindparam("so_far"))
        .values(attempts=table.c.attempts + 1, next_at=bindparam("again_at"))
    )
    put_off = (
        update(table)
        .where(wall(table), whose == bindparam("whose"), table.c.next_at <= bindparam("now"))
        .values(next_at=bindparam("again_at"))
    )
    return due, attempt, put_off


def deliver(
    clock: Clock,
    due: Iterable[W],
    whose: Callable[[W], str],
    tried: Callable[[W], bool],
    put_off: Callable[[str, float], None],
) -> None:
    """One round. `tried`: whether the recipient was reached; where not, `put_off` (recipient, now) moves its others."""
    began, silent = clock.now(), set[str]()
    for one in due:
        now, recipient = clock.now(), whose(one)
        if now - began > _LONGEST:
            return
        if recipient not in silent and not tried(one):
            silent.add(recipient)
            put_off(recipient, now)
