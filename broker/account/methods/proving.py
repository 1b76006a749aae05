"""OWASP ASVS V7.5.1: the sign-in that comes before a change of a way in, where the session is not enough for one."""

from broker.authorization.login.way import Way
from broker.identity.sessions.model import Session
from broker.identity.users.own import NotChanged
from broker.identity.users.ways_in import WaysIn
from broker.protocol.errors import Reason


def way(ways_in: WaysIn, session: Session, page: str, refused: NotChanged | None = None) -> Way | None:
    """To the sign-in and back to `page`; None where the session will do. `refused`: why a change came to nothing."""
    stale = ways_in.stale(session) if refused is None else refused.reason is Reason.SIGN_IN_STALE
    if not stale:
        return None
    # Whoever is vouched for by a tenant's own provider has to prove it to this server itself.
    again = not ways_in.whole(session.provider)
    return Way("", "account", page, True, ways_in.demand(session.user_id).acr, again)
