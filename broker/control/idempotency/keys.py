"""One effect for one key: the first call goes ahead, the same again learns what became of it, another is refused.

A key belongs to a tenant, resource, tool, subject and client. What rolls back with its transaction leaves it free.
"""

import hashlib

from broker.control.classes import DEFAULTS
from broker.control.idempotency import store
from broker.control.idempotency.model import Permit
from broker.control.model import Act, Refused, Why
from broker.runtime.database import Transaction

OPEN_KEPT = 30 * 86400.0
"""Seconds that a permit of a call with effects is kept while nobody says what came of it."""

LATE_KEPT = 3600.0
"""Seconds that a key is remembered once its outcome was reported, however late."""


class Keys:
    """`lifetime`: seconds that a key, and the outcome under it, is remembered."""

    def __init__(self, lifetime: int) -> None:
        self._lifetime = float(lifetime)

    def begin(self, tx: Transaction, act: Act, key: str | None, decision_id: str, now: float) -> None:
        """Note that the act is let through. Refused: `in_progress`, `duplicate` with what came of the first, or
        `idempotency_mismatch` where the key is of another act."""
        keyed = key is not None or DEFAULTS[act.tool.impact].keyed
        permit = Permit(
            id=decision_id,
            tenant=act.tenant,
            resource=act.resource.id,
            tool=act.tool.name,
            subject=act.subject.id,
            client_id=act.client_id,
            digest=act.digest,
            keyed=keyed,
            txn=act.txn,
            grant_id=act.grant_id,
            made_at=now,
        )
        until = now + self._lifetime
        slot = None if key is None else _slot(permit, key)
        first = store.begin(tx, permit, slot, until, max(until, now + OPEN_KEPT) if keyed else until)
        if first is None:
            return
        if first.digest != act.digest:
            raise Refused(Why.IDEMPOTENCY_MISMATCH, f"decision {first.id}")
        if first.outcome is None:
            raise Refused(Why.IN_PROGRESS, f"decision {first.id}", earlier=first.id)
        raise Refused(Why.DUPLICATE, f"decision {first.id}", earlier=first.id, outcome=dict(first.outcome))

    def find(self, tx: Transaction, decision_id: str) -> Permit | None:
        return store.find(tx, decision_id)

    def finish(
        self, tx: Transaction, tenant: str, decision_id: str, outcome: dict[str, object], now: float
    ) -> bool:
        """Say once what came of it; False when it was said before, or nothing of the tenant is there."""
        return store.finish(tx.inside(tenant), decision_id, outcome, now, now + LATE_KEPT)

    def listed(
        self,
        tx: Transaction,
        *,
        only_open: bool = False,
        resource: str | None = None,
        before: float = float("inf"),
        most: int = 100,
    ) -> list[Permit]:
        """What was let through, the newest first; `only_open`: where nobody said what came of it."""
        return store.listed(tx, only_open=only_open, resource=resource, before=before, most=most)

    def open_since(self, tx: Transaction, before: float) -> dict[str, int]:
        """By tenant: calls with effects that were let through by then, and nobody said what came of them."""
        return dict(store.still_open(tx, before))

    def sweep(self, tx: Transaction, now: float) -> None:
        store.sweep(tx, now)


def _slot(permit: Permit, key: str) -> str:
    """Whose key it is, as one text; only its hash is kept."""
    parts = (permit.tenant, permit.resource, permit.tool, permit.subject, permit.client_id, key)
    return hashlib.sha256("\0".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()
