"""RFC 7009, OWASP ASVS V10.7.3: a connection ends, or its access token: here at once, at the provider afterwards."""

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.vault import store
from broker.vault.farewells.farewells import Farewells
from broker.vault.model import Connection, Sealed, State, Tokens
from broker.vault.releases.model import Release
from broker.vault.releases.releases import Releases
from broker.vault.sealing import Sealing
from keys.sealed import SealError


class Ending:
    def __init__(
        self, world: World, recorder: Recorder, sealing: Sealing, farewells: Farewells, releases: Releases
    ) -> None:
        self._world, self._recorder, self._sealing = world, recorder, sealing
        self._farewells, self._releases = farewells, releases

    def end(
        self,
        tx: Transaction,
        connection: Connection,
        sealed: Sealed | None,
        why: str,
        origin: Origin | None,
    ) -> bool:
        """Within `tx`: nothing of its tokens is left here, and the provider is to be told. False: it changed since."""
        tokens = self._opened(connection, sealed)
        now = self._world.clock.now()
        if not store.erase(tx, connection.id, connection.version, State.DISCONNECTED, why[:200], now):
            return False
        told = tokens is not None and self._farewells.queue(tx, connection, tokens, why)
        released = self._releases.end_all(tx, connection.id, withdrawn=told, version=connection.version)
        older = self._releases.end_all(tx, connection.id, withdrawn=False)
        fact = Fact(
            "connection.ended",
            tenant=connection.tenant,
            subject=connection.user_id,
            downstream=connection.resource_id,
            scope=connection.scopes,
            change={
                "connection": connection.id,
                "account": connection.account.id,
                "why": why,
                "told": told,
                "released": len(released) + len(older),
            },
        )
        self._recorder.record(tx, fact, origin)
        if sealed is not None and not told:
            self._farewells.outlived(tx, connection, connection.expires_at, why, origin)
        ends = [one.expires_at for one in older if one.expires_at is None or one.expires_at > now]
        if ends:  # of what was replaced before, nothing is kept that the provider could be told
            until = None if None in ends else max(end for end in ends if end is not None)
            self._farewells.outlived(tx, connection, until, f"{why}, after newer ones", origin)
        return True

    def replaced(
        self, tx: Transaction, before: Connection, sealed: Sealed | None, after: Connection, origin: Origin
    ) -> None:
        """Within `tx`, in which `after` took the place of these tokens by another visit."""
        if sealed is None:
            return
        told = self.unkept(
            tx, before, self._opened(before, sealed), after, "replaced by another visit", origin
        )
        if told:
            self._releases.end_all(tx, before.id, withdrawn=True, version=before.version)

    def unkept(
        self,
        tx: Transaction,
        before: Connection,
        tokens: Tokens | None,
        after: Connection | None,
        why: str,
        origin: Origin | None,
    ) -> bool:
        """Within `tx`: tokens that are kept nowhere, as `after` is there instead; whether the provider is told.

        Taking back one token can end all that the person allowed there. So all of them are taken back where nothing
        or another account is connected now, the access token where it could do more; else the evidence says until when.
        """
        gone = after is None or after.state is not State.CONNECTED
        accounts = {before.account.id, *(() if after is None else (after.account.id,))}
        other = gone or ("" not in accounts and len(accounts) > 1)
        fewer = after is not None and any(name not in after.holds for name in before.holds)
        over = other or fewer or len(accounts) > 1
        if (
            tokens is not None
            and over
            and self._farewells.queue(tx, before, tokens, why, access_only=not other)
        ):
            return True
        self._farewells.outlived(tx, before, before.expires_at, why, origin)
        return False

    def take_back(
        self, tx: Transaction, connection: Connection, sealed: Sealed | None, release: Release, why: str
    ) -> bool:
        """Within `tx`: the access token that was released is over, as far as that can be; whether the provider is told.

        A newer token than that is no business of this release, and of an older one nothing is left to tell.
        """
        current = connection.state is State.CONNECTED and connection.version == release.version
        tokens = self._opened(connection, sealed) if current else None
        if tokens is None or not self._farewells.queue(tx, connection, tokens, why, access_only=True):
            return False
        now = self._world.clock.now()
        if connection.refreshable:
            store.expire(tx, connection.id, connection.version, why[:200], now)
        else:
            store.erase(tx, connection.id, connection.version, State.NEEDS_RECONNECT, why[:200], now)
        return True

    def _opened(self, connection: Connection, sealed: Sealed | None) -> Tokens | None:
        """None where there is nothing, or nothing that can be read: it is erased all the same."""
        if sealed is None:
            return None
        try:
            return self._sealing.opened(connection, sealed)
        except SealError:
            return None
