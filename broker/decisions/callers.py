"""AuthZEN 1.0 section 12.2: who asks. Only the own client of a resource does, about that resource."""

from collections.abc import Callable

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals
from broker.decisions.model import Caller
from broker.denials import live as denials
from broker.denials.model import EVERYTHING_ID, Kind, Target
from broker.estate.estate import Estate
from broker.guard.possession import Memory, Possession, PossessionRefused, Sent
from broker.guard.verifier import TokenRefused, VerifiedToken
from broker.identity.clients.authentication.authenticate import Authenticator
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.clients import Clients
from broker.identity.clients.model import Client
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.tokens import live, strangers
from broker.tokens.standing import Standings, over, own_work
from broker.tokens.verified import OwnTokens


class Callers:
    def __init__(
        self,
        world: World,
        refusals: Refusals,
        estate: Callable[[], Estate],
        authenticator: Authenticator,
        clients: Clients,
        tokens: OwnTokens,
        standings: Standings,
    ) -> None:
        self._world, self._refusals, self._estate = world, refusals, estate
        self._authenticator, self._clients = authenticator, clients
        self._tokens, self._standings = tokens, standings

    def authenticated(self, door: Door, attempt: Attempt, origin: Origin) -> Client:
        """The client that sent this: by the ways of RFC 6749, or by an access token of its own; OAuthError."""
        scheme, _, bearer = (attempt.authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            return self._by_token(door, attempt, bearer.strip())
        return self._authenticator.admit(attempt, door, origin)

    def admitted(self, door: Door, client: Client) -> Caller:
        """The client with the resource whose own it is; OAuthError for any other, and for one that is off."""
        resource = self._estate().of_client(client.client_id)
        if client.public or resource is None:
            raise OAuthError(
                "access_denied",
                "Only the own client of a resource asks for decisions.",
                Reason.NOT_THE_CALLERS,
            )
        self._require_on(door, client)
        return Caller(client, resource, door)

    def refused(self, door: Door, client: Client | None, error: OAuthError, origin: Origin) -> None:
        """Record a request that was refused before anything was judged."""
        fact = Fact(
            "decision.refused",
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            tenant=door.tenant,
            client=client.client_id if client else error.client,
            issuer=door.issuer,
        )
        self._refusals.record(fact, origin, known=strangers.known(client, error.reason))

    def _require_on(self, door: Door, client: Client) -> None:
        """OAuthError when the caller is off. With everything off nothing is permitted, which is an answer."""
        now, target = self._world.clock.now(), Target(Kind.CLIENT, client.client_id)
        off = self._world.database.read(lambda tx: denials.first_off(tx, [target], now), door.tenant)
        if off == target:
            raise live.refused(off)

    def _by_token(self, door: Door, attempt: Attempt, text: str) -> Client:
        """RFC 6750: an access token that the client got for its own work at its own resource, and holds."""
        try:
            token = self._tokens.verify(text, door)
            certificate = attempt.certificates[0] if attempt.certificates else None
            sent = Sent("POST", attempt.url, certificate=certificate)
            clock = self._world.clock.now
            Possession(token.audience, clock, Memory(0), None, required=False).check(token, text, sent)
        except PossessionRefused as refused:
            raise _invalid(Reason.CERTIFICATE_MISMATCH, refused.reason) from None
        except TokenRefused as refused:
            raise _invalid(Reason.SUBJECT_TOKEN_INVALID, refused.reason) from None
        resource = self._estate().of_client(token.client_id)
        if resource is None or token.audience != resource.uri or not own_work(token) or token.actors:
            raise _invalid(Reason.NOT_THE_CALLERS, "a token of another kind")
        found = self._world.database.read(lambda tx: self._live(tx, door, token), token.tenant)
        if found is None:
            raise _invalid(Reason.TOKEN_OFF)
        return found

    def _live(self, tx: Transaction, door: Door, token: VerifiedToken) -> Client | None:
        everything = Target(Kind.EVERYTHING, EVERYTHING_ID)
        found = self._standings.of(tx, token, live.of_token(token), self._world.clock.now())
        if found.off not in (None, everything) or (found.off is None and over(token, found) is not None):
            return None
        client = self._clients.within(tx, token.client_id)
        return client if client is not None and client.at_door(door.tenant) else None


def _invalid(reason: Reason, detail: str = "") -> OAuthError:
    return OAuthError("invalid_token", "The access token is not valid here.", reason, detail=detail)
