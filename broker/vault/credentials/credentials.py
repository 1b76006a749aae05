"""RFC 6749 section 2.3: what this server proves itself with at the provider of a resource."""

import contextlib
import hmac

from broker.runtime.database import Transaction
from broker.vault.credentials import store
from keys.sealed import KeyEncryptionKey, SealError


class Credentials:
    def __init__(self, kek: KeyEncryptionKey) -> None:
        self._kek = kek

    def set(self, tx: Transaction, resource_id: str, secret: str | None) -> None:
        """None: there is none, or none any more."""
        sealed = None if secret is None else self._kek.seal(secret.encode(), _context(resource_id))
        store.set_secret(tx, resource_id, sealed)

    def secret(self, tx: Transaction, resource_id: str) -> str | None:
        """SealError when it does not open."""
        sealed = store.secret(tx, resource_id)
        return None if sealed is None else self._kek.open(sealed, _context(resource_id)).decode()

    def rewrap(self, tx: Transaction) -> int:
        """Seal all of them under the key-encryption key of now; how many. What does not open stays as it is."""
        done = 0
        for resource_id in store.resources(tx):
            with contextlib.suppress(SealError):
                self.set(tx, resource_id, self.secret(tx, resource_id))
                done += 1
        return done

    def has(self, tx: Transaction, resource_id: str, secret: str) -> bool:
        known = self.secret(tx, resource_id)
        return known is not None and hmac.compare_digest(known.encode(), secret.encode())


def _context(resource_id: str) -> dict[str, str]:
    return {"purpose": "vault-client", "resource": resource_id}
