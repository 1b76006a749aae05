"""Who has no password yet, for the operator's diagnosis."""

from broker.identity.users import store
from broker.runtime.database import Transaction


def passwordless(tx: Transaction) -> list[str]:
    """The ids of users that cannot sign in with a password, in order."""
    return [user.id for user in store.every(tx) if store.password_hash(tx, user.id) is None]
