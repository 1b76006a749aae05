"""OpenID Connect RP-Initiated Logout 1.0 sections 2 and 3: who may sign a person out, and where that leads."""

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals
from broker.audit.unknown import unknown
from broker.authorization import rules
from broker.authorization.hints import Hints
from broker.authorization.logout.model import Departure
from broker.identity.clients.clients import Clients
from broker.identity.clients.model import Client
from broker.identity.sessions.model import Session
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters


class Departures:
    def __init__(self, refusals: Refusals, hints: Hints, clients: Clients, sessions: Sessions) -> None:
        self._refusals, self._hints = refusals, hints
        self._clients, self._sessions = clients, sessions

    def judge(self, door: Door, parameters: Parameters, session: Session | None, origin: Origin) -> Departure:
        """What the request comes to; OAuthError, never redirectable, for a hint or an address that is not as it should.

        The person is asked unless the hint is an id_token of this door that its client got of the very sign-in that is
        to end. Without one, and without the person's word, nobody is redirected.
        """
        client: Client | None = None
        try:
            hint = parameters.get("id_token_hint")
            said = None if hint is None else self._hints.claims(door, hint)
            if hint is not None and said is None:
                raise _refused("The id_token_hint is not an id_token of this issuer.", Reason.HINT_INVALID)
            client = self._client(door, parameters, said)
            uri = parameters.get("post_logout_redirect_uri")
            if uri is not None and client is not None and uri not in client.post_logout_redirect_uris:
                raise _refused(
                    "The post_logout_redirect_uri is not registered for this client.",
                    Reason.REDIRECT_URI_MISMATCH,
                    detail=unknown(uri),
                )
        except OAuthError as error:
            self._record(door, client, session, error, origin)
            raise
        its_own = session is not None and _is_of(said, session)
        ask = session is not None and not its_own
        known = client is not None and (said is not None or ask)
        return Departure(
            client.client_id if client else None,
            client.name if client else None,
            uri if known else None,
            parameters.get("state"),
            ask,
            unchecked=client is not None and uri is not None and rules.unchecked(client, uri) and not its_own,
        )

    def leave(self, cookie: str | None, origin: Origin) -> None:
        """End the sign-in behind this cookie, whether or not there is one."""
        if cookie:
            self._sessions.end(cookie, origin)

    def _client(self, door: Door, parameters: Parameters, said: dict[str, object] | None) -> Client | None:
        """The client that the hint was made for, else the one that is named; both must be the same."""
        named = parameters.get("client_id")
        meant = named if said is None else str(said.get("aud"))
        if said is not None and named not in (None, meant):
            raise _refused("The id_token_hint is another client's.", Reason.HINT_INVALID)
        if meant is None:
            return None
        client = self._clients.at(door, meant)
        if client is None:
            raise _refused("The client is not known here.", Reason.CLIENT_UNKNOWN)
        return client

    def _record(
        self, door: Door, client: Client | None, session: Session | None, error: OAuthError, origin: Origin
    ) -> None:
        fact = Fact(
            "logout.refused",
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            tenant=door.tenant,
            subject=session.user_id if session else None,
            client=client.client_id if client else None,
            issuer=door.issuer,
        )
        self._refusals.record(fact, origin, known=session is not None)


def _is_of(said: dict[str, object] | None, session: Session) -> bool:
    """Whether an id_token tells of this sign-in."""
    return said is not None and said.get("sub") == session.user_id and said.get("sid") == session.sid


def _refused(description: str, reason: Reason, detail: str = "") -> OAuthError:
    return OAuthError("invalid_request", description, reason, detail=detail, redirectable=False)
