"""Server-side sessions (OWASP ASVS V7): a random cookie, found by its hash, with an idle and an absolute end."""

import hashlib
from collections.abc import Callable

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.identity.sessions import store
from broker.identity.sessions.model import Seen, Session
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

_TOUCH_EVERY = 60.0


def hashed(cookie: str) -> str:
    return hashlib.sha256(b"session:" + cookie.encode()).hexdigest()


class Sessions:
    def __init__(self, world: World, recorder: Recorder, idle: float, absolute: float) -> None:
        self._world, self._recorder, self._idle, self._absolute = world, recorder, idle, absolute
        self._hear: list[Callable[[Transaction, str, str], None]] = []

    def on_sign_out(self, hear: Callable[[Transaction, str, str], None]) -> None:
        """From now on `hear(tx, user, sid)` is called within each transaction in which somebody is signed out."""
        self._hear.append(hear)

    def start(
        self,
        tx: Transaction,
        user_id: str,
        amr: tuple[str, ...],
        acr: str,
        origin: Origin,
        *,
        sid: str | None = None,
        provider: str | None = None,
        auth_time: float | None = None,
        dated: bool = True,
    ) -> tuple[str, Session]:
        """A new session within `tx`: (the cookie's new value, the session). `sid` of the one that it replaces.

        `auth_time`: when they proved it, where that was before now and elsewhere; not `dated`, nobody says when.
        """
        now = self._world.clock.now()
        cookie = self._world.entropy.secret()
        identifier = self._world.entropy.identifier("ses", now)
        session = Session(
            identifier,
            user_id,
            now if auth_time is None else auth_time,
            acr,
            amr,
            sid or identifier,
            provider,
            dated,
        )
        store.start(tx, hashed(cookie), session, now, source=origin.source, agent=origin.agent)
        self._recorder.record(
            tx, Fact("session.started", subject=user_id, change={"session": session.id}), origin
        )
        return cookie, session

    def current(self, cookie: str | None) -> Session | None:
        """Whoever is signed in behind this cookie now."""
        found = self._world.database.read(lambda tx: self._live(tx, cookie))
        if not cookie or found is None:
            return None
        session, seen_at = found
        now = self._world.clock.now()
        if not 0 <= now - seen_at < _TOUCH_EVERY:
            self._world.database.write(lambda tx: store.touch(tx, hashed(cookie), now))
        return session

    def within(self, tx: Transaction, cookie: str | None) -> Session | None:
        """Whoever is signed in behind this cookie, as this transaction sees it."""
        found = self._live(tx, cookie)
        return None if found is None else found[0]

    def goes_on(self, tx: Transaction, session: Session) -> bool:
        """Whether a session that was read before still is one, as this transaction sees it."""
        now = self._world.clock.now()
        return store.live(tx, session.id, now - self._idle, now - self._absolute)

    def end(self, cookie: str, origin: Origin) -> None:
        self._world.database.write(lambda tx: self.end_within(tx, cookie, origin))

    def end_within(self, tx: Transaction, cookie: str, origin: Origin) -> bool:
        """Within `tx`, after the session that replaces it was started; whether there was one to end."""
        ended = store.end(tx, hashed(cookie), self._world.clock.now())
        if ended is not None:
            self._ended(tx, ended[0], ended[1], origin)
        return ended is not None

    def end_by_id(self, session_id: str) -> bool:
        def unit(tx: Transaction) -> bool:
            ended = store.end_by_id(tx, session_id, self._world.clock.now())
            if ended is not None:
                self._ended(tx, ended[0], ended[1], None)
            return ended is not None

        return self._world.database.write(unit)

    def of(self, user_id: str) -> list[Seen]:
        """Where a person is signed in now, the browser last seen first."""
        now = self._world.clock.now()
        return self._world.database.read(
            lambda tx: store.of(tx, user_id, now - self._idle, now - self._absolute)
        )

    def end_own(self, user_id: str, session_id: str, origin: Origin) -> bool:
        """End one session of this person; False when it is nobody's, somebody else's, or over."""

        def unit(tx: Transaction) -> bool:
            ended = store.end_of(tx, user_id, session_id, self._world.clock.now())
            if ended:
                self._ended(tx, session_id, user_id, origin)
            return ended

        return self._world.database.write(unit)

    def end_others(self, mine: Session, origin: Origin) -> int:
        """End every session of the person of `mine` but that one; how many."""
        return self._world.database.write(lambda tx: self.end_others_within(tx, mine, origin))

    def end_others_within(self, tx: Transaction, mine: Session, origin: Origin) -> int:
        """The same within `tx`: what a change of a way in brings with it."""
        ended = store.end_others(tx, mine.user_id, mine.id, self._world.clock.now())
        for session_id in ended:
            self._ended(tx, session_id, mine.user_id, origin)
        return len(ended)

    def end_vouched(self, tx: Transaction, user_id: str, provider: str, origin: Origin | None) -> None:
        """Within `tx`: what a link that was taken away brings with it."""
        for session_id in store.end_vouched(tx, user_id, provider, self._world.clock.now()):
            self._ended(tx, session_id, user_id, origin)

    def end_all(self, tx: Transaction, user_id: str) -> None:
        """Within `tx`: what a change of password or a deleted account brings with it."""
        for session_id in store.end_all(tx, user_id, self._world.clock.now()):
            self._ended(tx, session_id, user_id, None)

    def signed_out(self, tx: Transaction, sid: str, *, hold: bool = False) -> bool:
        """Within `tx`: whether this sign-in was ended. One that only grew old was not, nor one that is not known.

        `hold`: whoever would end it waits until `tx` is over, so that what is made meanwhile was made before (law 6).
        """
        return not (hold and store.hold(tx, sid)) and store.signed_out(tx, sid)

    def sweep(self, tx: Transaction) -> None:
        store.sweep(tx, self._world.clock.now() - self._absolute - 86400)

    def open(self) -> list[tuple[Session, float]]:
        """Every session that was not ended, with when it was last seen."""
        return self._world.database.read(store.every_open)

    def _live(self, tx: Transaction, cookie: str | None) -> tuple[Session, float] | None:
        if not cookie:
            return None
        now = self._world.clock.now()
        return store.current(tx, hashed(cookie), now - self._idle, now - self._absolute)

    def _ended(self, tx: Transaction, session_id: str, user_id: str, origin: Origin | None) -> None:
        self._recorder.record(
            tx, Fact("session.ended", subject=user_id, change={"session": session_id}), origin
        )
        sid = store.over(tx, session_id)
        for hear in self._hear if sid else ():
            hear(tx, user_id, sid or "")
