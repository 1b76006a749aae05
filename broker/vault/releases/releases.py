"""RFC 8693: which server holds which access token of a provider; noted with the record of its release."""

from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.vault.releases import store
from broker.vault.releases.model import Release

_MOST = 1000
_KEPT = 90 * 86400.0
"""Seconds for which a token without an end is remembered after its release was over."""


class Releases:
    def __init__(self, world: World) -> None:
        self._world = world

    def note(self, tx: Transaction, release: Release) -> None:
        store.add(tx, release)

    def still_good(self, tx: Transaction, after: str, most: int) -> list[Release]:
        return store.still_good(tx, self._world.clock.now(), after, most)

    def of(self, connection_id: str, tenant: str | None = None, most: int = 100) -> list[Release]:
        """The newest of one connection."""
        return self._world.database.read(lambda tx: store.of(tx, connection_id, most), tenant)

    def end(self, tx: Transaction, release_id: str, *, withdrawn: bool) -> bool:
        """Within `tx`: True for the one who ends it. `withdrawn`: the provider is told."""
        return store.end(tx, release_id, self._world.clock.now(), withdrawn=withdrawn)

    def end_all(
        self, tx: Transaction, connection_id: str, *, withdrawn: bool, version: int | None = None
    ) -> list[Release]:
        """Within `tx`: those of a connection, or of one version of its tokens, that are not over."""
        now = self._world.clock.now()
        return store.end_all(tx, connection_id, now, withdrawn=withdrawn, version=version)

    def fold(self, tx: Transaction, release: Release) -> bool:
        """Within `tx`: forget one without an end whose grant is over, where another that is not over ends by the same.

        The last of them stays, so that whoever is switched off later is found to hold the token.
        """
        for other in store.of(tx, release.connection_id, _MOST):
            same = (other.version, other.ended_at) == (release.version, None) and other.id != release.id
            if same and release.lasting <= other.lasting:
                store.forget(tx, release.id)
                return True
        return False

    def sweep(self, tx: Transaction, now: float) -> None:
        store.sweep(tx, now, now - _KEPT)
