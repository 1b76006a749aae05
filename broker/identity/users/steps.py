"""OWASP ASVS V6.3: between two factors: what was proved is kept for the browser that proved it, briefly, and once."""

from dataclasses import dataclass

from broker.identity.sessions.model import Demand, Session
from broker.identity.users import store
from broker.identity.users.credentials.begun import Begun
from broker.identity.users.credentials.model import Ceremony, Factors, Purpose
from broker.identity.users.model import User
from broker.identity.users.ways_in import WaysIn
from broker.protocol import acr
from broker.runtime.database import Transaction
from broker.runtime.world import World

_AMR = ("pwd",)


@dataclass(frozen=True, slots=True)
class Half:
    """A sign-in that misses a factor: whose, what was proved and when, and how the rest can be proved.

    `needed` is the class that it has to reach. `session_id` is None when the password was proved a moment ago, and
    else the session that is to become stronger; `provider` is who vouched for that, `dated` whether it is known when.
    """

    user_id: str
    user_name: str
    needed: str
    amr: tuple[str, ...]
    auth_time: float
    by_app: bool
    by_recovery: bool
    by_passkey: bool
    session_id: str | None = None
    provider: str | None = None
    dated: bool = True

    @property
    def by_code(self) -> bool:
        return self.by_app or self.by_recovery


class Steps:
    def __init__(self, world: World, begun: Begun, ways_in: WaysIn) -> None:
        self._world, self._begun, self._ways_in = world, begun, ways_in

    def begin(self, tx: Transaction, user: User, needed: str, browser: str, about: str) -> Half:
        """Within `tx`: the password was right; it is kept until the other factor comes."""
        now = self._world.clock.now()
        content = {"auth_time": now, "needed": needed}
        self._begun.begin(tx, Ceremony(Purpose.SECOND_STEP, user.id, None, content), about, browser)
        return _half(user, self._ways_in.factors(tx, user.id), needed, _AMR, now)

    def half(
        self, browser: str, about: str, session: Session | None, demand: Demand, tenant: str | None
    ) -> Half | None:
        """What the browser has proved on its way to `about`: a password, or a session that is too weak for it."""
        found = self._begun.look(Purpose.SECOND_STEP, about, browser)

        def read(tx: Transaction) -> Half | None:
            user_id = found.user_id if found else session.user_id if session else None
            user = store.get(tx, user_id) if user_id else None
            if user is None or (tenant is not None and tenant not in user.tenants()):
                return None
            factors = self._ways_in.factors(tx, user.id)
            if found is not None:
                needed, at = str(found.content["needed"]), found.content["auth_time"]
                return _half(user, factors, needed, _AMR, float(str(at)))
            assert session is not None
            needed = self._ways_in.needed(tx, user, demand.acr)
            if (
                not demand.fresh(session)
                or demand.user not in (None, user.id)
                or acr.at_least(session.acr, needed)
            ):
                return None
            return _half(user, factors, needed, session.amr, session.auth_time, session)

        return self._world.database.read(read)

    def finish(
        self, tx: Transaction, half: Half, superseded: Session | None, browser: str, about: str
    ) -> bool:
        """Within the sign-in's transaction: what was proved before is used up with it, or was already."""
        if half.session_id is not None:
            return superseded is not None and superseded.id == half.session_id
        found = self._begun.finish(tx, Purpose.SECOND_STEP, about, browser)
        return found is not None and found.user_id == half.user_id


def _half(
    user: User,
    factors: Factors,
    needed: str,
    amr: tuple[str, ...],
    auth_time: float,
    session: Session | None = None,
) -> Half:
    by_code = acr.at_least(acr.MFA, needed)
    return Half(
        user.id,
        user.name,
        needed,
        amr,
        auth_time,
        by_code and factors.totp,
        by_code and factors.recovery > 0,
        factors.passkeys > 0,
        session.id if session else None,
        session.provider if session else None,
        session is None or session.dated,
    )
