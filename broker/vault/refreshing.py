"""RFC 6749 section 6: new tokens for old ones, by one at a time; the old stay until the new are committed.

Whoever refreshes says so first, in a transaction of its own: a lease on one version of the connection. Then it asks the
provider, outside of any transaction, and puts the new tokens in the place of exactly that version. What a crash or
a lost answer leaves is the old version with its tokens: they are tried again, and if the provider has voided them
meanwhile, it says so, and the connection needs its user.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.estate.estate import Estate
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.database import Unavailable as DatabaseUnavailable
from broker.runtime.world import World
from broker.vault import reach, store
from broker.vault.credentials.credentials import Credentials
from broker.vault.ending import Ending
from broker.vault.few import Few
from broker.vault.model import Connection, Rotation, Sealed, State, Tokens
from broker.vault.refused import unreadable
from broker.vault.sealing import Sealing
from broker.vault.upstream import Over, Unavailable, Upstream
from keys.sealed import SealError

LEASE = 30.0
"""Seconds for which nobody else asks the provider: longer than egress waits for any answer."""
_STEP, _STEPS = 0.1, 200
_AT_ONCE, _OF_ONE, _MOST_WAITING = 32, 8, 64
_COMMITS = 3
_PAUSE, _LONGEST_PAUSE = 5.0, 300.0


class Refreshing:
    """`wait(seconds)`: how to pass the time until another process is done."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        upstream: Upstream,
        credentials: Credentials,
        sealing: Sealing,
        ending: Ending,
        estate: Callable[[], Estate],
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._world, self._recorder, self._upstream = world, recorder, upstream
        self._credentials, self._sealing, self._estate = credentials, sealing, estate
        self._ending = ending
        self._wait = wait or threading.Event().wait
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], Future[None]] = {}
        self._asking = Few(_AT_ONCE, _OF_ONE)
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)

    def ahead(self, connection: Connection, origin: Origin | None) -> None:
        """As `refresh`; while the access token of now lasts, it is no matter that there is no newer one."""
        try:
            self.refresh(connection, origin)
        except OAuthError:
            if connection.expires_at is None or connection.expires_at - self._world.clock.now() < 1.0:
                raise

    def refresh(self, connection: Connection, origin: Origin | None) -> None:
        """Return once another version is there, or the connection is none any more. OAuthError: not now.

        In this process one asks for all who wait for the same version.
        """
        key = (connection.id, connection.version)
        with self._lock:
            waited_for = self._under_way.get(key)
            if waited_for is None:
                mine: Future[None] = Future()
                self._under_way[key] = mine
        if waited_for is not None:
            self._told(waited_for)
            return
        try:
            with self._asking.one(connection.resource_id) as may:
                if not may:
                    raise _away("too many requests are under way", _STEP)
                self._in_turn(connection, origin)
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(None)
        finally:
            with self._lock:
                del self._under_way[key]

    def _told(self, waited_for: Future[None]) -> None:
        """What the one who asks comes to; so many wait for it, and no more hold a thread."""
        if not self._waiting.acquire(blocking=False):
            raise _away("too many wait for it", _STEP)
        try:
            waited_for.result()
        except OAuthError as error:
            raise _away(error.detail, error.retry_after or 0, error.reason) from None
        finally:
            self._waiting.release()

    def _claim(self, connection: Connection, refresher: str, now: float) -> tuple[Connection, Sealed] | None:
        return self._world.database.write(
            lambda tx: store.claim(tx, connection.id, connection.version, refresher, now, now + LEASE),
            connection.tenant,
        )

    def _in_turn(self, connection: Connection, origin: Origin | None) -> None:
        """Ask the provider, or see what another process comes to that does."""
        refresher, database = (
            self._world.entropy.identifier("ref", self._world.clock.now()),
            self._world.database,
        )
        for _ in range(_STEPS):
            now = self._world.clock.now()
            claimed = self._claim(connection, refresher, now)
            if claimed is not None:
                self._claimed(*claimed, refresher, origin)
                return
            known = database.read(lambda tx: store.get(tx, connection.id), connection.tenant)
            if known is None or known[0].version != connection.version:
                return
            if known[0].state is not State.CONNECTED:
                return
            if known[0].retry_at is not None and known[0].retry_at > now:
                raise _away("it was not there a moment ago", known[0].retry_at - now)
            self._wait(_STEP)
        raise _away("another process asks it", _STEP)

    def _claimed(self, connection: Connection, sealed: Sealed, refresher: str, origin: Origin | None) -> None:
        try:
            tokens = self._asked(connection, sealed)
        except Over as over:
            self._broke(connection, str(over), origin)
            return
        except Unavailable as away:
            why = f"{'answer lost' if away.sent else 'provider away'}: {away}"
            raise _away(why, self._failed(connection, refresher, why)) from None
        except SealError:
            self._failed(connection, refresher, "what is sealed does not open")
            raise unreadable(connection) from None
        self._keep(connection, tokens, origin)

    def _failed(self, connection: Connection, refresher: str, why: str) -> float:
        """Give the lease back; seconds until the next attempt."""
        pause = min(_PAUSE * 2.0**connection.failures, _LONGEST_PAUSE)
        again_at = self._world.clock.now() + pause
        self._world.database.write(
            lambda tx: store.fail(tx, connection.id, connection.version, refresher, again_at, why[:200]),
            connection.tenant,
        )
        return pause

    def _asked(self, connection: Connection, sealed: Sealed) -> Tokens:
        """What the provider gives for the refresh token; Over, Unavailable or SealError."""
        aim = reach.at(self._estate(), connection.resource_id, connection.tenant)
        if aim is None:
            raise Unavailable("the resource is not in the estate")
        tokens = self._sealing.opened(connection, sealed)
        secret = self._world.database.read(
            lambda tx: self._credentials.secret(tx, connection.resource_id), connection.tenant
        )
        if tokens.refresh is None:
            raise Over("there is no refresh token")
        new = self._upstream.refresh(aim, secret, tokens.refresh)
        given = None if new.scopes is None else reach.without_always(aim, new.scopes)
        # RFC 6749 section 6: without a new refresh token, the old one stays good where providers do not rotate
        kept = tokens.refresh if aim.provider.rotation is Rotation.KEPT else None
        return replace(new, refresh=new.refresh or kept, scopes=given)

    def _keep(self, connection: Connection, tokens: Tokens, origin: Origin | None) -> None:
        """In the place of the version that was refreshed. Somebody else's newer version stays."""
        now = self._world.clock.now()
        given = connection.holds if tokens.scopes is None else tokens.scopes
        successor = replace(
            connection,
            scopes=tuple(name for name in connection.scopes if name in given),
            wider=tuple(name for name in given if name not in connection.scopes),
            state=State.CONNECTED,
            version=connection.version + 1,
            refreshable=tokens.refresh is not None,
            expires_at=tokens.expires_at,
            changed_at=now,
            failures=0,
            retry_at=None,
            why=None,
        )
        sealed = self._sealing.sealed(successor, tokens)
        fact = _fact("connection.refreshed", successor, {"version": successor.version})

        def unit(tx: Transaction) -> None:
            if store.renew(tx, connection.version, successor, sealed):
                self._recorder.record(tx, fact, origin)
                return
            found = store.get(tx, connection.id)
            if (
                found is None or found[1] is None or found[1].access != sealed.access
            ):  # else: a commit unknown
                after = None if found is None else found[0]
                self._ending.unkept(tx, successor, tokens, after, "replaced while refreshed", origin)

        for attempt in range(_COMMITS):
            try:
                self._world.database.write(unit, connection.tenant)
                return
            except (
                DatabaseUnavailable
            ):  # the provider has voided the old token: what is in hand is all there is
                if attempt == _COMMITS - 1:
                    raise

    def _broke(self, connection: Connection, detail: str, origin: Origin | None) -> None:
        """The provider does not take our token: only its user can mend that."""
        lost = (connection.why or "").startswith("answer lost")
        why = f"{detail}{', after an answer that was lost' if lost else ''}"[:200]
        fact = replace(
            _fact("connection.broken", connection, {"version": connection.version}),
            outcome=Outcome.DENIED,
            reason=Reason.CONNECTION_BROKEN,
            detail=why,
        )

        def unit(tx: Transaction) -> None:
            if store.broke(tx, connection.id, connection.version, why, self._world.clock.now()):
                self._recorder.record(tx, fact, origin)

        self._world.database.write(unit, connection.tenant)


def _fact(name: str, connection: Connection, more: dict[str, object]) -> Fact:
    return Fact(
        name,
        tenant=connection.tenant,
        subject=connection.user_id,
        downstream=connection.resource_id,
        scope=connection.scopes,
        change={"connection": connection.id, **more},
    )


def _away(detail: str, pause: float, reason: Reason = Reason.PROVIDER_UNAVAILABLE) -> OAuthError:
    return OAuthError(
        "temporarily_unavailable",
        "The provider of that system cannot be used at the moment.",
        reason,
        detail=detail,
        retry_after=int(pause) + 1,
    )
