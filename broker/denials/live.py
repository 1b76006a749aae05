"""Whether something is off, asked inside the transaction that would use it (law 6)."""

from collections.abc import Iterable

from broker.denials import store
from broker.denials.model import EVERYTHING_ID, Kind, Target
from broker.runtime.database import Transaction


def first_off(tx: Transaction, targets: Iterable[Target], now: float) -> Target | None:
    """The first of `targets`, or everything, that is off; None when all are live."""
    return next(iter(store.off(tx, [Target(Kind.EVERYTHING, EVERYTHING_ID), *targets], now)), None)


def all_off(tx: Transaction, targets: Iterable[Target], now: float) -> frozenset[Target]:
    """Those of `targets` that are off; with everything off, all of them."""
    asked, everything = list(targets), Target(Kind.EVERYTHING, EVERYTHING_ID)
    found = frozenset(store.off(tx, [everything, *asked], now))
    return frozenset(asked) if everything in found else found


def newest(tx: Transaction) -> tuple[int, str] | None:
    """What moves with everything that is thrown: while it stands, nothing that was live is off since."""
    return store.newest(tx)


def gone(tx: Transaction, target: Target, now: float) -> None:
    """What was deleted is off for good, as its id is never given again: tokens made for it die with it."""
    end(tx, target, None, now, "deleted")


def end(
    tx: Transaction, target: Target, tenant: str | None, now: float, why: str, ends_at: float | None = None
) -> bool:
    """Revoke `target` for good within `tx`; False when it was revoked before."""
    return store.throw(tx, target, tenant, now, why, final=True, ends_at=ends_at)


def ended(tx: Transaction, target: Target, now: float) -> bool:
    """Whether `target` was revoked for good, so that `end` would change nothing: no reason to throw anything."""
    return store.stands(tx, target, now, final=True)


def sweep(tx: Transaction, now: float) -> None:
    store.sweep(tx, now)
