"""NIST SP 800-63B section 3.1.1.2, OWASP ASVS V6.4: a new password, judged, set, and what ends with the old one."""

import hashlib
from collections.abc import Callable
from typing import NoReturn

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals
from broker.identity.sessions.model import Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.users import store
from broker.identity.users.attempts import Attempts
from broker.identity.users.credentials.begun import Begun
from broker.identity.users.credentials.model import Ceremony, Purpose
from broker.identity.users.credentials.notices import Notices
from broker.identity.users.guessable import around, common
from broker.identity.users.model import User
from broker.identity.users.own import NotChanged
from broker.identity.users.password import Passwords, Unfit
from broker.identity.users.ways_in import WaysIn
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

RESET_PREFIX = "mcpb_pr_"  # found by scanners of secrets


class NewPasswords:
    """`words`: what this server is called, which makes no password."""

    def __init__(
        self,
        world: World,
        refusals: Refusals,
        sessions: Sessions,
        passwords: Passwords,
        ways_in: WaysIn,
        begun: Begun,
        notices: Notices,
        attempts: Attempts,
        words: tuple[str, ...],
    ) -> None:
        self._world, self._refusals, self._sessions, self._passwords = world, refusals, sessions, passwords
        self._ways_in, self._begun, self._notices = ways_in, begun, notices
        self._attempts, self._words = attempts, words
        self._hear: list[Callable[[Transaction, str], None]] = []

    def on_reset(self, hear: Callable[[Transaction, str], None]) -> None:
        """From now on `hear(tx, user)` is called within each transaction in which a link set a password."""
        self._hear.append(hear)

    def judge(self, password: str, user: User) -> None:
        """Unfit, in plain words, when this person should not have this password."""
        self._passwords.check(password)
        if common(password):
            raise Unfit("common", "This password is one of those that are tried first: it leaked before.")
        if around(password, (*self._words, user.id, user.name, user.email or "")):
            raise Unfit("around", "This password is made of a name that everybody knows.")

    def change(self, session: Session, old: str, new: str, origin: Origin) -> None:
        """The person's new password; ends their other sessions. NotChanged; Unfit when only `new` is wrong."""
        user_id = session.user_id
        if self._ways_in.stale(session):
            self._refuse(user_id, Reason.SIGN_IN_STALE, origin)
        counted = self._attempts.admit(user_id, origin, session.id)
        if isinstance(counted, int):
            self._refuse(user_id, Reason.RATE_LIMITED, origin, counted)
        user, stored = self._world.database.read(
            lambda tx: (store.get(tx, user_id), store.password_hash(tx, user_id))
        )
        if user is None or (stored is not None and not self._passwords.verify(stored, old)):
            self._refuse(user_id, Reason.PASSWORD_WRONG, origin)
        self._attempts.forgive(counted)
        self._judged(new, user, origin)
        hashed = self._passwords.hash(new)

        def unit(tx: Transaction) -> Reason | None:
            if not self._sessions.goes_on(tx, session):
                return Reason.SIGN_IN_STALE
            if not store.replace_password_hash(tx, user_id, stored, hashed):
                return Reason.PASSWORD_WRONG  # changed meanwhile
            self._told(tx, user_id, origin)
            self._sessions.end_others_within(tx, session, origin)
            return None

        if (reason := self._world.database.write(unit)) is not None:
            self._refuse(user_id, reason, origin)

    def offer_reset(self, user_id: str, origin: Origin) -> str:
        """A secret that sets this person's password, once and soon; any before it is worth nothing. LookupError."""
        secret = self._world.entropy.secret(RESET_PREFIX)

        def unit(tx: Transaction) -> None:
            user = store.get(tx, user_id)
            if user is None:
                raise LookupError(user_id)
            self._begun.forget(tx, user_id, Purpose.PASSWORD_RESET)
            ceremony = Ceremony(
                Purpose.PASSWORD_RESET,
                user_id,
                None,
                {"account": _account(user)},
            )
            self._begun.begin(tx, ceremony, secret, "")
            self._notices.tell(tx, user_id, "reset.offered", "password", origin)

        self._world.database.write(unit)
        return secret

    def resetting(self, secret: str, session: Session | None, origin: Origin) -> User:
        """Whose password this secret sets; NotChanged when nobody's now, or when somebody else is signed in here."""
        begun = self._begun.look(Purpose.PASSWORD_RESET, secret, "") if secret else None
        user_id = begun.user_id if begun else None
        found = self._world.database.read(lambda tx: self._standing(tx, user_id))
        if begun is None or found is None or begun.content["account"] != found[1]:
            self._refuse(None, Reason.RESET_UNKNOWN, origin)
        if session is not None and session.user_id != user_id:
            self._refuse(user_id, Reason.RESET_FOREIGN, origin)
        return found[0]

    def reset(self, secret: str, new: str, session: Session | None, origin: Origin) -> User:
        """Set it, and end every session and grant of theirs. Further factors stay, and are asked for as ever.

        NotChanged; Unfit when only `new` is wrong, and then the secret can be used again.
        """
        user = self.resetting(secret, session, origin)
        self._judged(new, user, origin)
        hashed = self._passwords.hash(new)

        def unit(tx: Transaction) -> bool:
            begun = self._begun.finish(tx, Purpose.PASSWORD_RESET, secret, "")
            now = self._standing(tx, user.id)
            if begun is None or now is None or begun.content["account"] != now[1]:
                return False
            store.set_password_hash(tx, user.id, hashed)
            self._told(tx, user.id, origin)
            self._sessions.end_all(tx, user.id)
            for hear in self._hear:
                hear(tx, user.id)
            return True

        if not self._world.database.write(unit, throwing=True):
            self._refuse(user.id, Reason.RESET_UNKNOWN, origin)
        return user

    def _judged(self, password: str, user: User, origin: Origin) -> None:
        try:
            self.judge(password, user)
        except Unfit as wrong:
            fact = Fact(
                "credential.refused", Outcome.DENIED, Reason.PASSWORD_UNFIT, detail=wrong.why, subject=user.id
            )
            self._refusals.record(fact, origin, known=True)
            raise

    def _standing(self, tx: Transaction, user_id: str | None) -> tuple[User, str] | None:
        """A person, and a digest of what a reset link was made for: it dies when that changes.

        The password is no part of that: a sign-in may renew its hash. Whoever sets another forgets the link.
        """
        user = store.get(tx, user_id) if user_id else None
        return None if user is None else (user, _account(user))

    def _told(self, tx: Transaction, user_id: str, origin: Origin) -> None:
        """Within the change, after it."""
        self._begun.outdate(tx, user_id)
        self._notices.tell(tx, user_id, "password.changed", "password", origin)

    def _refuse(self, user_id: str | None, reason: Reason, origin: Origin, wait: int = 0) -> NoReturn:
        fact = Fact("credential.refused", Outcome.DENIED, reason, subject=user_id)
        self._refusals.record(fact, origin, known=user_id is not None)
        raise NotChanged(reason, wait)


def _account(user: User) -> str:
    return hashlib.sha256(f"{user.id}\0{user.email}".encode()).hexdigest()
