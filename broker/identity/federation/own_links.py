"""OWASP ASVS V7.4: a person takes a link away, after a fresh sign-in; the sessions that it let in go with it."""

from typing import NoReturn

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals
from broker.identity.federation.links import Links
from broker.identity.sessions.model import Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.users.own import NotChanged
from broker.identity.users.ways_in import WaysIn
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


class OwnLinks:
    def __init__(
        self, world: World, refusals: Refusals, sessions: Sessions, ways_in: WaysIn, links: Links
    ) -> None:
        self._world, self._refusals, self._sessions = world, refusals, sessions
        self._ways_in, self._links = ways_in, links

    def remove(self, session: Session, which: str, origin: Origin) -> bool:
        """Take a link away, and end every session that its provider made; False when the person has none of this id.

        NotChanged, recorded: when the sign-in is stale, or nothing else would let them in.
        """
        user_id = session.user_id
        if self._ways_in.stale(session):
            self._refuse(user_id, Reason.SIGN_IN_STALE, origin)

        def unit(tx: Transaction) -> bool:
            self._ways_in.alone(tx, user_id)
            link = self._links.one(tx, user_id, which)
            if link is None:
                return False
            if not self._sessions.goes_on(tx, session):
                raise NotChanged(Reason.SIGN_IN_STALE)
            factors = self._ways_in.factors(tx, user_id)
            if factors.strongest is None and not self._links.has(tx, user_id, but=which):
                raise NotChanged(Reason.LAST_WAY_IN)
            removed = self._links.take(tx, link, origin)
            if removed:
                self._sessions.end_vouched(tx, user_id, link.provider, origin)
            return removed

        try:
            return self._world.database.write(unit)
        except NotChanged as error:
            self._refuse(user_id, error.reason, origin)

    def _refuse(self, user_id: str, reason: Reason, origin: Origin) -> NoReturn:
        fact = Fact("credential.refused", Outcome.DENIED, reason, subject=user_id)
        self._refusals.record(fact, origin, known=True)
        raise NotChanged(reason)
