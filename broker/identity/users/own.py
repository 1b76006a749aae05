"""OWASP ASVS V6.4, V7.5.1: a person changes their own ways in, after a fresh sign-in as strong as they can."""

from collections.abc import Callable
from typing import NoReturn, TypeVar

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals
from broker.identity.sessions.model import Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.users import store
from broker.identity.users.attempts import Attempts
from broker.identity.users.credentials.begun import Begun
from broker.identity.users.credentials.model import Ceremony, Passkey, Purpose
from broker.identity.users.credentials.notices import Notices
from broker.identity.users.credentials.passkeys import MOST, Passkeys, Unproven
from broker.identity.users.credentials.recovery import RecoveryCodes
from broker.identity.users.credentials.totp import Enrolment, Totp
from broker.identity.users.ways_in import WaysIn
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Conflict, Transaction
from broker.runtime.world import World

NAME_LENGTH = 100
T = TypeVar("T")


class NotChanged(Exception):
    """Nothing was changed, for this reason. SIGN_IN_STALE: sign in again, then it can be. `wait` in seconds."""

    def __init__(self, reason: Reason, wait: int = 0, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason, self.wait, self.detail = reason, wait, detail


class OwnWaysIn:
    """The changes; each recorded, told to the person, and refused with `NotChanged`, which is recorded too.

    `elsewhere` says within a transaction whether somebody else vouches for a person, so that no way in need be left
    here.
    """

    def __init__(
        self,
        world: World,
        refusals: Refusals,
        sessions: Sessions,
        ways_in: WaysIn,
        passkeys: Passkeys,
        totp: Totp,
        recovery: RecoveryCodes,
        begun: Begun,
        notices: Notices,
        attempts: Attempts,
        elsewhere: Callable[[Transaction, str], bool] = lambda tx, user_id: False,
    ) -> None:
        self._world, self._refusals, self._sessions, self._ways_in = world, refusals, sessions, ways_in
        self._passkeys, self._totp, self._recovery = passkeys, totp, recovery
        self._begun, self._notices, self._attempts = begun, notices, attempts
        self._elsewhere = elsewhere

    def begin_passkey(self, session: Session, browser: str, origin: Origin) -> dict[str, object]:
        """Options for `navigator.credentials.create`. `browser` is the session's cookie."""
        self._fresh(session, origin)
        user = self._world.database.read(lambda tx: store.get(tx, session.user_id))
        options = self._passkeys.begin(session, user, browser) if user else None
        if options is None:
            self._refuse(session, NotChanged(Reason.PASSKEY_INVALID), origin)
        return options

    def add_passkey(
        self, session: Session, browser: str, credential: str, name: str, origin: Origin
    ) -> Passkey:
        """The credential that `navigator.credentials.create` gave, as JSON."""
        self._fresh(session, origin)
        found = self._passkeys.made(session, credential, browser)
        if isinstance(found, Unproven):
            self._refuse(session, NotChanged(found.reason, detail=found.detail), origin)
        made, handle = found

        def unit(tx: Transaction) -> Passkey:
            if len(self._passkeys.of(tx, session.user_id)) >= MOST:
                raise NotChanged(Reason.CREDENTIALS_TOO_MANY)
            passkey = self._passkeys.add(tx, session.user_id, made, handle, _name(name))
            self._notices.tell(tx, session.user_id, "credential.added", "passkey", origin, passkey.name)
            return passkey

        try:
            return self._change(session, origin, unit)
        except Conflict:
            self._refuse(session, NotChanged(Reason.CREDENTIAL_TAKEN), origin)

    def rename_passkey(self, session: Session, passkey_id: str, name: str, origin: Origin) -> None:
        self._fresh(session, origin)

        def unit(tx: Transaction) -> None:
            if not self._passkeys.rename(tx, session.user_id, passkey_id, _name(name)):
                raise NotChanged(Reason.CREDENTIAL_UNKNOWN)
            self._notices.tell(tx, session.user_id, "credential.renamed", "passkey", origin, _name(name))

        self._change(session, origin, unit)

    def remove_passkey(self, session: Session, passkey_id: str, origin: Origin) -> None:
        """Ends the person's other sessions too."""
        self._fresh(session, origin)

        def unit(tx: Transaction) -> None:
            name = self._passkeys.remove(tx, session.user_id, passkey_id)
            if name is None:
                raise NotChanged(Reason.CREDENTIAL_UNKNOWN)
            self._removed(tx, session, "passkey", origin, name)

        self._change(session, origin, unit)

    def begin_totp(self, session: Session, browser: str, origin: Origin) -> Enrolment:
        """A secret for the person's app, good for some minutes; `confirm_totp` makes it a factor."""
        self._fresh(session, origin)
        secret, user_id = self._totp.draw(), session.user_id
        ceremony = Ceremony(
            Purpose.TOTP_ENROLMENT, user_id, session.id, {"sealed": self._totp.seal(secret, user_id)}
        )
        self._world.database.write(lambda tx: self._begun.begin(tx, ceremony, session.id, browser))
        return self._totp.enrolment(secret, user_id)

    def enrolling(self, session: Session, browser: str) -> Enrolment | None:
        """What was begun and waits for its code, to be shown again."""
        begun = self._begun.look(Purpose.TOTP_ENROLMENT, session.id, browser)
        secret = self._totp.open(str(begun.content["sealed"]), session.user_id) if begun else None
        return self._totp.enrolment(secret, session.user_id) if secret else None

    def confirm_totp(self, session: Session, browser: str, code: str, origin: Origin) -> tuple[str, ...]:
        """The app shows the right code: it is a factor from now on. New recovery codes, to be shown once, where there
        were none; ends the person's other sessions."""
        self._fresh(session, origin)
        counted = self._attempts.admit(session.user_id, origin, session.id)
        if isinstance(counted, int):
            self._refuse(session, NotChanged(Reason.RATE_LIMITED, counted), origin)
        begun = self._begun.look(Purpose.TOTP_ENROLMENT, session.id, browser)
        sealed = str(begun.content["sealed"]) if begun else ""
        secret = self._totp.open(sealed, session.user_id) if begun else None
        if begun is None or secret is None:
            self._refuse(session, NotChanged(Reason.STEP_UNKNOWN), origin)
        step = self._totp.step_of(secret, "".join(code.split()))
        if step is None:
            self._refuse(session, NotChanged(Reason.OTP_WRONG), origin)

        def unit(tx: Transaction) -> tuple[str, ...]:
            if self._begun.finish(tx, Purpose.TOTP_ENROLMENT, session.id, browser) is None:
                raise NotChanged(Reason.STEP_UNKNOWN)
            self._totp.put(tx, session.user_id, sealed, step)
            self._notices.tell(tx, session.user_id, "credential.added", "totp", origin)
            self._sessions.end_others_within(tx, session, origin)
            return () if self._recovery.left(tx, session.user_id) else self._codes(tx, session, origin)

        codes = self._change(session, origin, unit)
        self._attempts.forgive(counted)
        return codes

    def remove_totp(self, session: Session, origin: Origin) -> None:
        """Ends the person's other sessions too."""
        self._fresh(session, origin)

        def unit(tx: Transaction) -> None:
            if not self._totp.remove(tx, session.user_id):
                raise NotChanged(Reason.CREDENTIAL_UNKNOWN)
            self._removed(tx, session, "totp", origin)

        self._change(session, origin, unit)

    def renew_codes(self, session: Session, origin: Origin) -> tuple[str, ...]:
        """A new set of recovery codes, to be shown once; for who has a second factor that could be lost."""
        self._fresh(session, origin)

        def unit(tx: Transaction) -> tuple[str, ...]:
            factors = self._ways_in.factors(tx, session.user_id)
            if not (factors.totp or factors.passkeys):
                raise NotChanged(Reason.CREDENTIAL_UNKNOWN)
            return self._codes(tx, session, origin)

        return self._change(session, origin, unit)

    def _codes(self, tx: Transaction, session: Session, origin: Origin) -> tuple[str, ...]:
        codes = self._recovery.draw()
        self._recovery.put(tx, session.user_id, codes)
        self._notices.tell(tx, session.user_id, "credential.added", "recovery", origin)
        return codes

    def _removed(
        self, tx: Transaction, session: Session, kind: str, origin: Origin, name: str | None = None
    ) -> None:
        factors = self._ways_in.factors(tx, session.user_id)
        if factors.strongest is None and not self._elsewhere(tx, session.user_id):
            raise NotChanged(Reason.LAST_WAY_IN)
        if not (factors.totp or factors.passkeys):
            self._recovery.put(tx, session.user_id, ())  # they stand in for what is gone
        self._notices.tell(tx, session.user_id, "credential.removed", kind, origin, name)
        self._sessions.end_others_within(tx, session, origin)

    def _fresh(self, session: Session, origin: Origin) -> None:
        if self._ways_in.stale(session):
            self._refuse(session, NotChanged(Reason.SIGN_IN_STALE), origin)

    def _change(self, session: Session, origin: Origin, unit: Callable[[Transaction], T]) -> T:
        """What `unit` does, if the session has not ended meanwhile."""

        def signed_in(tx: Transaction) -> T:
            self._ways_in.alone(tx, session.user_id)
            if not self._sessions.goes_on(tx, session):
                raise NotChanged(Reason.SIGN_IN_STALE)
            return unit(tx)

        try:
            return self._world.database.write(signed_in)
        except NotChanged as error:
            self._refuse(session, error, origin)

    def _refuse(self, session: Session, error: NotChanged, origin: Origin) -> NoReturn:
        fact = Fact(
            "credential.refused",
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            subject=session.user_id,
        )
        self._refusals.record(fact, origin, known=True)
        raise error


def _name(given: str) -> str:
    """What a person calls a passkey: bounded, on one line, never empty."""
    line = "".join(letter for letter in " ".join(given.split()) if letter.isprintable())[:NAME_LENGTH]
    return line or "Passkey"
