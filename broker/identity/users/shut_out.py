"""Who cannot sign in by themselves, for the operator's diagnosis."""

from broker.identity.users import store
from broker.identity.users.credentials import passkeys
from broker.identity.users.model import User
from broker.runtime.database import Transaction


def shut_out(tx: Transaction) -> list[User]:
    """Those who have neither a password nor a passkey, by id."""
    return [
        user
        for user in store.every(tx)
        if store.password_hash(tx, user.id) is None and not passkeys.enrolled(tx, user.id)
    ]
