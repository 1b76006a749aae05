"""NIST SP 800-63B section 2: signing in, factor by factor; limited, silent about who exists, one way to a session."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.sessions.model import Demand, Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.users import store
from broker.identity.users.attempts import Attempts, Counted
from broker.identity.users.credentials.passkeys import Unproven
from broker.identity.users.familiar import Familiar
from broker.identity.users.model import User
from broker.identity.users.password import Passwords
from broker.identity.users.steps import Half, Steps
from broker.identity.users.ways_in import WaysIn
from broker.protocol import acr
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

_LONGEST = 160
_PASSKEY_AMR = ("pop", "user", "mfa")
_CODE_AMR = ("otp", "mfa")


@dataclass(frozen=True, slots=True)
class Visit:
    """Who is at the door: its tenant, where from, in which browser, on the way to what, and what is demanded there.

    `familiar` is the cookie by which a browser is known again. `session` is who is signed in there now.
    """

    tenant: str | None
    origin: Origin
    browser: str
    about: str = ""
    demand: Demand = field(default_factory=Demand)
    session: Session | None = None
    familiar: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`cookie` is the browser's new id, `familiar` the value by which it is known again."""

    cookie: str
    session: Session
    familiar: str


@dataclass(frozen=True, slots=True)
class NotSignedIn:
    """`wait` is in seconds when there were too many attempts, else 0. Never says whether the account exists."""

    wait: int
    what: Literal["password", "code", "passkey", "step"] = "password"


class _Stopped(Exception):
    """The sign-in ends here, and nothing of its transaction is kept."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class SignIn:
    def __init__(
        self,
        world: World,
        recorder: Recorder,
        refusals: Refusals,
        sessions: Sessions,
        passwords: Passwords,
        ways_in: WaysIn,
        steps: Steps,
        attempts: Attempts,
        familiar: Familiar,
    ) -> None:
        self._world, self._recorder, self._refusals = world, recorder, refusals
        self._sessions, self._passwords, self._ways_in = sessions, passwords, ways_in
        self._steps, self._attempts, self._familiar = steps, attempts, familiar

    def reachable(self, user_id: str) -> str | None:
        """The strongest class that this person can sign in with here; None when there is no way in."""
        return self._ways_in.reachable(user_id)

    def half(self, visit: Visit) -> Half | None:
        """What this browser has proved already, when only a further factor is missing."""
        return self._steps.half(visit.browser, visit.about, visit.session, visit.demand, visit.tenant)

    def by_password(self, username: str, password: str, visit: Visit) -> SignedIn | Half | NotSignedIn:
        """Verify, then begin a session, or ask for another factor. Only members pass a tenant's door."""
        user_id = visit.demand.user or folded(username)
        counted = self._admit(user_id, visit)
        if isinstance(counted, int):
            return self._refused(user_id, visit, Reason.RATE_LIMITED, "password", counted)
        stored = self._world.database.read(lambda tx: store.password_hash(tx, user_id))
        if not self._passwords.verify(stored, password) or stored is None:
            return self._refused(user_id, visit, Reason.PASSWORD_WRONG, "password")
        kept = self._passwords.hash(password) if self._passwords.outdated(stored) else stored

        def unit(tx: Transaction) -> SignedIn | Half:
            user = self._admitted(tx, user_id, visit)
            if not store.replace_password_hash(tx, user_id, stored, kept):
                raise _Stopped(Reason.PASSWORD_WRONG)  # changed while this one was compared
            needed = self._ways_in.needed(tx, user, visit.demand.acr)
            if acr.at_least(acr.PASSWORD, needed):
                return self._enter(tx, user_id, ("pwd",), acr.PASSWORD, visit)
            self._recorder.record(tx, Fact("password.accepted", subject=user_id), visit.origin)
            return self._steps.begin(tx, user, needed, visit.browser, visit.about)

        return self._finish(unit, user_id, visit, "password", counted)

    def by_code(self, code: str, visit: Visit) -> SignedIn | NotSignedIn:
        """The second factor of a half-finished sign-in, or of a session that is too weak: an app's code or a recovery
        code."""
        half = self.half(visit)
        if half is None or not half.by_code:
            return self._refused(half.user_id if half else None, visit, Reason.STEP_UNKNOWN, "step")
        user_id = half.user_id
        counted = self._admit(user_id, visit)
        if isinstance(counted, int):
            return self._refused(user_id, visit, Reason.RATE_LIMITED, "code", counted)
        step = self._ways_in.step_of(user_id, code)

        def unit(tx: Transaction) -> SignedIn:
            self._admitted(tx, user_id, visit)
            reason = self._ways_in.use_code(tx, user_id, code, step, visit.origin)
            if reason is not None:
                raise _Stopped(reason)
            return self._enter(tx, user_id, (*half.amr, *_CODE_AMR), acr.MFA, visit, half, half.provider)

        result = self._finish(unit, user_id, visit, "code", counted)
        assert not isinstance(result, Half)
        return result

    def by_passkey(self, credential: str, visit: Visit, *, missing: bool = False) -> SignedIn | NotSignedIn:
        """A passkey alone, or (`missing`) as the factor that a half-finished sign-in lacks: then of the same person."""
        half = self.half(visit) if missing else None
        if missing and half is None:
            return self._refused(None, visit, Reason.STEP_UNKNOWN, "step")
        proven = self._ways_in.prove(credential, visit.browser)
        if isinstance(proven, Unproven):
            return self._refused(proven.user_id, visit, proven.reason, "passkey", detail=proven.detail)
        user_id = proven.passkey.user_id
        if (half.user_id if half else visit.demand.user) not in (None, user_id):
            return self._refused(user_id, visit, Reason.PASSKEY_FOREIGN, "passkey")

        def unit(tx: Transaction) -> SignedIn:
            self._admitted(tx, user_id, visit)
            reason = self._ways_in.use_passkey(tx, proven)
            if reason is not None:
                raise _Stopped(reason)
            return self._enter(tx, user_id, _PASSKEY_AMR, acr.PASSKEY, visit, half)

        result = self._finish(unit, user_id, visit, "passkey", Counted(()))
        assert not isinstance(result, Half)
        return result

    def remembering(self, user_id: str, familiar: str | None) -> str:
        """The next value of the cookie by which a browser is known again, after this person signed in there."""
        now, drawn = self._world.clock.now(), self._world.entropy.secret()
        return self._familiar.remembering(familiar, user_id, now, drawn)

    def _admit(self, user_id: str, visit: Visit) -> Counted | int:
        browser = self._familiar.browser(visit.familiar, user_id, self._world.clock.now())
        return self._attempts.admit(user_id, visit.origin, browser)

    def _admitted(self, tx: Transaction, user_id: str, visit: Visit) -> User:
        """The person, who may come in at this door now."""
        user = store.get(tx, user_id)
        off = live.first_off(tx, [Target(Kind.USER, user_id)], self._world.clock.now())
        if user is None or off is not None:
            everything = off is not None and off.kind is Kind.EVERYTHING
            raise _Stopped(Reason.EVERYTHING_OFF if everything else Reason.USER_OFF)
        if visit.tenant is not None and visit.tenant not in user.tenants():
            raise _Stopped(Reason.NOT_A_MEMBER)
        return user

    def _enter(
        self,
        tx: Transaction,
        user_id: str,
        amr: tuple[str, ...],
        reached: str,
        visit: Visit,
        half: Half | None = None,
        provider: str | None = None,
    ) -> SignedIn:
        """The one way to a session: a new id, and the browser's earlier one is dead with the same commit.

        It is as old as its oldest factor, unless the newest proves everything.
        """
        before = self._sessions.within(tx, visit.browser)
        if half is not None and not self._steps.finish(tx, half, before, visit.browser, visit.about):
            raise _Stopped(Reason.STEP_UNKNOWN)
        same = before is not None and before.user_id == user_id
        cookie, session = self._sessions.start(
            tx,
            user_id,
            tuple(dict.fromkeys(amr)),
            reached,
            visit.origin,
            sid=before.sid if before and same else None,
            provider=provider,
            auth_time=half.auth_time if half and reached != acr.PASSKEY else None,
            dated=half is None or half.dated or reached == acr.PASSKEY,
        )
        if before is not None and not self._sessions.end_within(tx, visit.browser, visit.origin):
            raise _Stopped(Reason.STEP_UNKNOWN)  # replaced by another sign-in at this moment
        return SignedIn(cookie, session, self.remembering(user_id, visit.familiar))

    def _finish(
        self,
        unit: Callable[[Transaction], SignedIn | Half],
        user_id: str,
        visit: Visit,
        what: Literal["password", "code", "passkey"],
        counted: Counted,
    ) -> SignedIn | Half | NotSignedIn:
        try:
            result = self._world.database.write(unit)
        except _Stopped as stopped:
            return self._refused(user_id, visit, stopped.reason, what)
        self._attempts.forgive(counted)
        return result

    def _refused(
        self,
        user_id: str | None,
        visit: Visit,
        reason: Reason,
        what: Literal["password", "code", "passkey", "step"],
        wait: int = 0,
        detail: str | None = None,
    ) -> NotSignedIn:
        # People type passwords where names belong: what is nobody's name is not kept.
        known = (
            user_id is not None and self._world.database.read(lambda tx: store.get(tx, user_id)) is not None
        )
        fact = Fact(
            "session.refused", Outcome.DENIED, reason, detail=detail, subject=user_id if known else None
        )
        # Who guesses at a second factor knows the password: that is recorded one by one, like all that is wrong with
        # what somebody once enrolled.
        proven = known and what in ("code", "passkey") and reason is not Reason.RATE_LIMITED
        self._refusals.record(fact, visit.origin, known=proven)
        return NotSignedIn(wait, what)


def folded(username: str) -> str:
    """The id that a person means; bounded, as it becomes a key of limits, and longer than any id when cut."""
    return unicodedata.normalize("NFKC", username[:_LONGEST]).strip().casefold()[:_LONGEST]
