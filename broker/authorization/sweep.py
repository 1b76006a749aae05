"""Drop what the front channel need not remember any more."""

from broker.authorization import store
from broker.runtime.database import Transaction

KEEP_CODES = 86400.0


def sweep(tx: Transaction, now: float) -> None:
    """Expired requests at once; codes a day later, so that their replay is still seen."""
    store.sweep(tx, now, now - KEEP_CODES)
