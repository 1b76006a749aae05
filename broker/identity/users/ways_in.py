"""NIST SP 800-63B section 4.1: with what a person can sign in, how strong that has to be, and proving it."""

from collections.abc import Callable

from broker.identity.sessions.model import Demand, Session
from broker.identity.users import store
from broker.identity.users.credentials.model import PRIVILEGED, Factors, Notice, Passkey
from broker.identity.users.credentials.notices import Notices
from broker.identity.users.credentials.passkeys import Passkeys, Proven, Unproven
from broker.identity.users.credentials.recovery import RecoveryCodes
from broker.identity.users.credentials.totp import DIGITS, Totp
from broker.identity.users.model import User
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

FRESH = 300.0
"""Seconds for which a sign-in is fresh enough to change the ways in."""


class WaysIn:
    """`whole`: whether a session that somebody (`Session.provider`) vouched for is good for the account itself."""

    def __init__(
        self,
        world: World,
        passkeys: Passkeys,
        totp: Totp,
        recovery: RecoveryCodes,
        notices: Notices,
        whole: Callable[[str | None], bool],
    ) -> None:
        self._world, self._notices, self.whole = world, notices, whole
        self._passkeys, self._totp, self._recovery = passkeys, totp, recovery

    @property
    def offers_passkeys(self) -> bool:
        return self._passkeys.offered

    def alone(self, tx: Transaction, user_id: str) -> None:
        """Within `tx`, before anything is read: changes of one person's ways in come one after the other."""
        store.alone(tx, user_id)

    def factors(self, tx: Transaction, user_id: str) -> Factors:
        return Factors(
            store.password_hash(tx, user_id) is not None,
            len(self._passkeys.of(tx, user_id)),
            self._totp.enrolled(tx, user_id),
            self._recovery.left(tx, user_id),
        )

    def of(self, user_id: str) -> tuple[Factors, list[Passkey]]:
        """What a person has: as counts, and their passkeys, the oldest first."""
        return self._world.database.read(
            lambda tx: (self.factors(tx, user_id), self._passkeys.of(tx, user_id))
        )

    def told(self, user_id: str) -> list[Notice]:
        """What changed of late, the newest first."""
        return self._notices.told(user_id)

    def reachable(self, user_id: str) -> str | None:
        """The strongest class that this person can sign in with here; None when there is no way in here."""
        return self._world.database.read(lambda tx: self.factors(tx, user_id)).strongest

    def needed(self, tx: Transaction, user: User, demanded: tuple[str, ...]) -> str:
        """The class that a sign-in of this person has to reach."""
        roles = {role for membership in user.memberships for role in membership.roles}
        return self.factors(tx, user.id).needed(demanded, bool(roles & PRIVILEGED))

    def demand(self, user_id: str) -> Demand:
        """What a sign-in has to be to change a way in: of the last minutes, and the strongest the person has."""
        strongest = self.reachable(user_id)
        since = self._world.clock.now() - FRESH
        return Demand((strongest,) if strongest else (), since, user_id)

    def stale(self, session: Session) -> bool:
        """Whether this session is too old, too weak, or of a tenant alone, to change a way in."""
        return not self.whole(session.provider) or not self.demand(session.user_id).met_by(session)

    def request(self, browser: str) -> dict[str, object] | None:
        """Options for `navigator.credentials.get` in this browser; None where passkeys are not offered."""
        return self._passkeys.request(browser)

    def prove(self, credential: str, browser: str) -> Proven | Unproven:
        return self._passkeys.prove(credential, browser)

    def use_passkey(self, tx: Transaction, proven: Proven) -> Reason | None:
        """Within the sign-in's transaction; why not, else None."""
        return self._passkeys.use(tx, proven)

    def step_of(self, user_id: str, code: str) -> int | None:
        """The time step of an app's code; None when it is not one now, and may be a recovery code."""
        digits = "".join(code.split())
        if len(digits) != DIGITS or not digits.isascii() or not digits.isdigit():
            return None
        return self._totp.matching(user_id, digits)

    def use_code(
        self, tx: Transaction, user_id: str, code: str, step: int | None, origin: Origin
    ) -> Reason | None:
        """Within the sign-in's transaction: use up the app's code of `step`, or a recovery code; why not, else None."""
        if step is not None:
            return None if self._totp.use(tx, user_id, step) else Reason.OTP_REPLAYED
        if not self._recovery.spend(tx, user_id, code):
            return Reason.OTP_WRONG
        self._notices.tell(tx, user_id, "credential.spent", "recovery", origin)
        return None
