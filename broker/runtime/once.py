"""What may be used once, whoever asks and wherever: assertions and proofs, by their `jti` (law 1).

The database decides; the loss of any cache forgets nothing. Only a hash is kept, until it would be refused for its age.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Column, Float, String, Table, bindparam, delete
from sqlalchemy.dialects.postgresql import insert as insert_on_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite

from broker.protocol.errors import OAuthError
from broker.runtime.database import Transaction, metadata

spent_table = Table(
    "spent",
    metadata,
    Column("purpose", String(32), primary_key=True),
    Column("hash", String(64), primary_key=True),
    Column("expires_at", Float, nullable=False, index=True),
)
_ADD = {
    "sqlite": insert_on_sqlite(spent_table).on_conflict_do_nothing().returning(spent_table.c.hash),
    "postgresql": insert_on_postgresql(spent_table).on_conflict_do_nothing().returning(spent_table.c.hash),
}
_SWEEP = delete(spent_table).where(spent_table.c.expires_at <= bindparam("now"))


@dataclass(frozen=True, slots=True)
class Spend:
    """One thing to use up: `key` names it within `purpose`; `refusal` is the answer when it was used before."""

    purpose: str
    key: tuple[str, ...]
    expires_at: float
    refusal: OAuthError


def spend(tx: Transaction, spends: Iterable[Spend]) -> None:
    """Use all of them up within `tx`; raises the refusal of the first that was used before."""
    for one in spends:
        hashed = hashlib.sha256("\0".join(one.key).encode("utf-8", "surrogatepass")).hexdigest()
        done = tx.execute(
            _ADD[tx.connection.dialect.name], purpose=one.purpose, hash=hashed, expires_at=one.expires_at
        )
        if done.first() is None:
            raise one.refusal


def sweep(tx: Transaction, now: float) -> None:
    """Forget what nobody would accept any more."""
    tx.execute(_SWEEP, now=now)
