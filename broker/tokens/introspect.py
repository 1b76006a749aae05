"""RFC 7662, RFC 9701: what a token is worth now, told to the resource it is for and to nobody else."""

from collections.abc import Callable
from dataclasses import replace

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals
from broker.denials import live as denials
from broker.denials.model import Kind, Target
from broker.estate.estate import Estate
from broker.guard.verifier import TokenRefused, VerifiedToken
from broker.identity.clients.authentication.authenticate import Authenticator
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.model import Client
from broker.identity.tenants.keys import DoorKeys
from broker.identity.tenants.model import Door
from broker.protocol import confirmation
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.names import TYP_INTROSPECTION
from broker.protocol.origin import Origin
from broker.runtime.world import World
from broker.tokens import live, signed_answer, standing, strangers
from broker.tokens.standing import Standings
from broker.tokens.verified import OwnTokens

INACTIVE: dict[str, object] = {"active": False}
_MINUTE = 60.0


class Introspection:
    def __init__(
        self,
        world: World,
        refusals: Refusals,
        estate: Callable[[], Estate],
        authenticator: Authenticator,
        tokens: OwnTokens,
        standings: Standings,
        keys: DoorKeys,
        inactive_per_minute: int,
    ) -> None:
        self._world, self._refusals, self._estate = world, refusals, estate
        self._authenticator, self._tokens, self._standings = authenticator, tokens, standings
        self._keys, self._limit = keys, inactive_per_minute

    def introspect(self, door: Door, attempt: Attempt, origin: Origin) -> dict[str, object]:
        """The members of the answer: the claims for a live token of the caller's, else only `active: false`."""
        return self._told(door, attempt, origin)[1]

    def introspect_signed(self, door: Door, attempt: Attempt, origin: Origin) -> str:
        """RFC 9701 section 5: the same answer as a JWT for the caller; a refusal stays one."""
        try:
            client, members = self._told(door, attempt, origin)
        except OAuthError as error:
            signed_answer.unauthenticated(error, attempt)
            raise
        resource = self._estate().of_client(client.client_id)
        algorithm = signed_answer.algorithm(client, resource)
        claims = signed_answer.claims(door, client, members, self._world.clock.now())
        self._keys.ready(door.issuer, algorithm)
        return self._keys.statement(door.issuer, algorithm, TYP_INTROSPECTION, claims)

    def _told(self, door: Door, attempt: Attempt, origin: Origin) -> tuple[Client, dict[str, object]]:
        client: Client | None = None
        try:
            client = self._authenticator.admit(attempt, door, origin)
            origin = replace(origin, client=client.client_id)
            if client.public:
                raise OAuthError(
                    "invalid_client", "Introspection needs a confidential client.", Reason.CLIENT_GRANT_TYPE
                )
            token = attempt.parameters.require("token")
            self._not_too_many(client)
            self._caller_is_live(door, client)
        except OAuthError as error:
            self._record("token.refused", door, client, error.reason, origin)
            raise
        verified, reason = self._verified(door, client, token)
        if reason is not None:
            self._world.ephemeral.hit("inactive", client.client_id, _MINUTE, self._world.clock.now())
            self._record("token.introspected", door, client, reason, origin, verified)
            return client, INACTIVE
        assert verified is not None
        now = self._world.clock.now()
        estate = self._estate()
        resource = estate.by_exact_uri(verified.audience)
        targets = [
            *live.of_token(verified),
            *live.of_chain(verified, estate),
            *([Target(Kind.RESOURCE, resource.id)] if resource else []),
        ]
        found = self._world.database.read(
            lambda tx: self._standings.of(tx, verified, targets, now), verified.tenant
        )
        gone = found.off or live.missing(verified, estate, now)
        if gone is not None or standing.over(verified, found) is not None:
            return client, INACTIVE
        bound = confirmation.of(verified.claims)
        kind = bound.token_type if bound else "Bearer"
        return client, {"active": True, **verified.claims, "token_type": kind}

    def _verified(self, door: Door, client: Client, token: str) -> tuple[VerifiedToken | None, Reason | None]:
        """The token, where it is one of this door's, and why the caller does not learn of it."""
        resource = self._estate().of_client(client.client_id)
        try:
            verified = self._tokens.verify(token, door)
        except TokenRefused as refused:
            expired = refused.reason == "expired"
            return None, Reason.SUBJECT_TOKEN_EXPIRED if expired else Reason.SUBJECT_TOKEN_INVALID
        if resource is None or verified.audience != resource.uri:
            return verified, Reason.NOT_THE_CALLERS
        return verified, None if resource.serves(verified.tenant) else Reason.TENANT_NOT_SERVED

    def _caller_is_live(self, door: Door, client: Client) -> None:
        """OAuthError when the caller is off. With everything off no token is active, which is an answer."""
        now = self._world.clock.now()
        target = Target(Kind.CLIENT, client.client_id)
        off = self._world.database.read(lambda tx: denials.first_off(tx, [target], now), door.tenant)
        if off == target:
            raise live.refused(off)

    def _not_too_many(self, client: Client) -> None:
        hits = self._world.ephemeral.seen("inactive", client.client_id, _MINUTE, self._world.clock.now())
        if hits.count >= self._limit:
            raise too_many(
                "Too many of the tokens that you asked about were not yours or not live.", hits.ends_in
            )

    def _record(
        self,
        name: str,
        door: Door,
        client: Client | None,
        reason: Reason,
        origin: Origin,
        about: VerifiedToken | None = None,
    ) -> None:
        """`about`: a token of ours in the wrong hands, whose story leads to this record."""
        fact = Fact(
            name,
            Outcome.DENIED,
            reason,
            tenant=about.tenant if about else door.tenant,
            client=client.client_id if client else None,
            jti=about.jti if about else None,
            txn=about.txn if about else None,
            grant_id=about.grant_id if about else None,
        )
        self._refusals.record(fact, origin, known=self._one_by_one(name, client, reason))

    def _one_by_one(self, name: str, client: Client | None, reason: Reason) -> bool:
        """Law 3: what authenticated callers are refused; of too many in a minute the first, the rest as a number."""
        if client is None or client.public:
            return False
        if reason is Reason.RATE_LIMITED:
            now = self._world.clock.now()
            return (
                self._world.ephemeral.hit("introspection-refused", client.client_id, _MINUTE, now).count == 1
            )
        if not strangers.known(client, reason):
            return False
        return name == "token.refused" or reason is Reason.NOT_THE_CALLERS
