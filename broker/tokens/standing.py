"""What a token of ours came from, as it is now: grant, membership and sign-in; the same for all who ask.

Asked at an exchange, at introspection and at /userinfo, so that none of them believes what another refuses.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from broker.authorization.grants import Grants
from broker.authorization.model import Grant
from broker.denials import live as denials
from broker.denials.model import Target
from broker.guard.verifier import VerifiedToken
from broker.identity.federation.trusted.rules import SEPARATOR
from broker.identity.sessions.sessions import Sessions
from broker.identity.users.people import People
from broker.protocol.errors import OAuthError, Reason
from broker.runtime.database import Transaction
from broker.tokens import consented


@dataclass(frozen=True, slots=True)
class Standing:
    """What is true of a token inside the transaction that would use it.

    `off` is the first thing it depends on that is off, `grant` the consent behind it, `gone` why its user may not act
    there any more, `signed_out` whether the sign-in that it came from has ended.
    """

    off: Target | None = None
    grant: Grant | None = None
    gone: Reason | None = None
    signed_out: bool = False


class Standings:
    def __init__(self, grants: Grants, people: People, sessions: Sessions) -> None:
        self._grants, self._people, self._sessions = grants, people, sessions

    def of(
        self,
        inside: Transaction,
        token: VerifiedToken,
        targets: Iterable[Target],
        now: float,
        *,
        hold: bool = False,
    ) -> Standing:
        """Read behind the wall of the token's tenant. `targets`: everything whose end ends the token.

        `hold`: something is made of it in this transaction, and its sign-in cannot be ended before that is over.
        """
        off = denials.first_off(inside, targets, now)
        if off is not None:
            return Standing(off)
        grant = self._grants.within(inside, token.grant_id or "")
        if grant is None:
            return Standing()
        asks = grant.sid is not None and not grant.offline
        signed_out = asks and self._sessions.signed_out(inside, grant.sid or "", hold=hold)
        return Standing(None, grant, self._gone(inside, grant, now), signed_out)

    def _gone(self, inside: Transaction, grant: Grant, now: float) -> Reason | None:
        if grant.expires_at <= now:
            return Reason.GRANT_EXPIRED
        try:
            consented.require_member(inside, self._people, grant)
        except OAuthError as error:
            return error.reason
        return None


def over(token: VerifiedToken, standing: Standing) -> Reason | None:
    """Why nothing can be done with the token any more, though nothing of it is off; None when it stands."""
    if standing.gone is not None:
        return standing.gone
    if standing.grant is None:
        return None if foreign(token) or own_work(token) else Reason.GRANT_EXPIRED
    return Reason.SESSION_OVER if standing.signed_out and not standing.grant.offline else None


def foreign(token: VerifiedToken) -> bool:
    """Of nobody of this server, so that nobody can be asked: `ISSUER#NAME`."""
    return SEPARATOR in token.subject


def own_work(token: VerifiedToken) -> bool:
    """Of a client that works for itself, through whatever servers: there is no user, and no consent."""
    first = token.actors[-1].client_id if token.actors else token.client_id
    return not foreign(token) and token.subject == first
