"""How much the evidence tells of something, without what it tells."""

from broker.audit import store
from broker.runtime.database import Transaction


def denied(tx: Transaction, since: float) -> dict[str, int]:
    """Refusals by tenant, behind the wall of `tx.tenant`, from then on (epoch seconds)."""
    return dict(store.denied(tx, since))
