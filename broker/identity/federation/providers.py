"""OpenID Connect Registration section 2: the providers that an administrator trusts; their secrets sealed."""

import hmac
from collections.abc import Mapping

from broker.identity.federation import rules, store
from broker.identity.federation.model import Provider
from broker.runtime.database import Transaction
from broker.runtime.world import World
from keys.sealed import KeyEncryptionKey


class Providers:
    """`stamp`: the version stamp that moves when any of them changes."""

    def __init__(self, world: World, kek: KeyEncryptionKey, stamp: str) -> None:
        self._kek = kek
        self._snapshot = world.snapshots.of(stamp, self._load)

    def known(self) -> Mapping[str, Provider]:
        """All of them, by id, as requests are judged by now."""
        return self._snapshot.get()

    def whole(self, by: str | None) -> bool:
        """Whether a session that `by` vouched for is good for the account itself, and not only in one tenant."""
        return rules.whole(by, self.known())

    def every(self, tx: Transaction) -> list[Provider]:
        return store.every(tx)

    def put(self, tx: Transaction, provider: Provider) -> None:
        """Create or change; `Conflict` when the id belonged to one that was deleted."""
        store.put(tx, provider)

    def remove(self, tx: Transaction, provider_id: str) -> bool:
        """Sessions that it made count nowhere any more. Links stay: they are to the issuer, not to this entry."""
        return store.remove(tx, provider_id)

    def set_secret(self, tx: Transaction, provider: Provider, secret: str | None) -> None:
        sealed = None if secret is None else self._kek.seal(secret.encode(), _context(provider))
        store.set_secret(tx, provider.id, sealed)

    def secret(self, tx: Transaction, provider: Provider) -> str | None:
        """What this server proves itself with there. SealError when it does not open."""
        sealed = store.secret(tx, provider.id)
        return None if sealed is None else self._kek.open(sealed, _context(provider)).decode()

    def has_secret(self, tx: Transaction, provider: Provider, secret: str) -> bool:
        known = self.secret(tx, provider)
        return known is not None and hmac.compare_digest(known.encode(), secret.encode())

    def _load(self, tx: Transaction) -> dict[str, Provider]:
        return {provider.id: provider for provider in store.every(tx)}


def _context(provider: Provider) -> dict[str, str]:
    return {"purpose": "identity-provider", "provider": provider.id, "tenant": provider.tenant or ""}
