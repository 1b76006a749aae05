"""Drop what the front channel need not remember any more."""

from broker.authorization import store
from broker.authorization.grants import KEEP
from broker.runtime.database import Transaction


def sweep(tx: Transaction, now: float) -> None:
    """Expired requests at once; codes and grants a day later, so that a replay is still seen.

    A grant that repeats a consent, and from which nothing was ever made, goes a day after it was given.
    """
    store.sweep(tx, now, now - KEEP)
