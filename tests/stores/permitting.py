"""Permits for the tests of stores, and the cases of their store."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from broker.control.idempotency import store as permits
from broker.control.idempotency.model import Permit
from broker.runtime.database import Transaction
from tests.stores.samples import LATER, NOW


def permit(mark: str, tenant: str = "acme", made_at: float = NOW, **changes: object) -> Permit:
    made = Permit(
        id=f"dec-{mark}",
        tenant=tenant,
        resource=f"resource-{mark}",
        tool="close_ticket",
        subject=f"user-{mark}",
        client_id=f"client-{mark}",
        digest=f"digest-{mark}",
        keyed=True,
        txn=f"txn-{mark}",
        grant_id=f"grant-{mark}",
        made_at=made_at,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def seed(tx: Transaction, mark: str, tenant: str) -> None:
    permits.begin(tx, permit(mark, tenant), f"slot-{mark}", LATER, LATER)


def cases(
    mark: Callable[[str], str],
) -> Iterator[tuple[Callable[..., object], Callable[[Transaction, str], object], bool]]:
    yield permits.begin, lambda tx, o: permits.begin(tx, permit("new", o), "new", LATER, LATER), True
    yield (
        permits.begin,
        lambda tx, o: permits.begin(tx, permit("new", o), f"slot-{mark(o)}", LATER, LATER),
        False,
    )
    yield permits.find, lambda tx, o: permits.find(tx, f"dec-{mark(o)}"), False
    yield (
        permits.finish,
        lambda tx, o: permits.finish(tx, f"dec-{mark(o)}", {"status": "ok"}, NOW, NOW),
        False,
    )
    yield (
        permits.listed,
        lambda tx, o: permits.listed(tx, only_open=False, resource=None, before=LATER, most=100),
        False,
    )
    yield permits.sweep, lambda tx, o: permits.sweep(tx, LATER), False
