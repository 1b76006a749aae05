"""RFC 7009: a client takes back what it holds; what was made from it falls with it."""

from dataclasses import replace

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.authorization.grants import Grants
from broker.denials import live as denials
from broker.denials.model import Kind, Target
from broker.guard.verifier import TokenRefused, VerifiedToken
from broker.identity.clients.authentication.authenticate import Authenticator
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.model import Client
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.tokens import live, strangers
from broker.tokens.families import Families
from broker.tokens.verified import OwnTokens


class Revocation:
    def __init__(
        self,
        world: World,
        recorder: Recorder,
        refusals: Refusals,
        authenticator: Authenticator,
        tokens: OwnTokens,
        grants: Grants,
        families: Families,
    ) -> None:
        self._world, self._recorder, self._refusals = world, recorder, refusals
        self._authenticator, self._tokens = authenticator, tokens
        self._grants, self._families = grants, families

    def revoke(self, door: Door, attempt: Attempt, origin: Origin) -> None:
        """End it. What is unknown, foreign or dead already is no error (section 2.2)."""
        client: Client | None = None
        try:
            client = self._authenticator.admit(attempt, door, origin)
            origin = replace(origin, client=client.client_id)
            token = attempt.parameters.require("token")
            self._revoke(door, client, token, self._access_token(token, door), origin)
        except OAuthError as error:
            name = client.client_id if client else None
            fact = Fact("token.refused", Outcome.DENIED, error.reason, tenant=door.tenant, client=name)
            self._refusals.record(fact, origin, known=strangers.known(client, error.reason))
            raise

    def _access_token(self, token: str, door: Door) -> VerifiedToken | None:
        try:
            return self._tokens.verify(token, door)
        except TokenRefused:
            return None

    def _revoke(
        self, door: Door, client: Client, token: str, verified: VerifiedToken | None, origin: Origin
    ) -> None:
        """A throw holds everybody up: it is made only for what is this client's and not over yet."""
        database = self._world.database
        if verified is not None and verified.client_id != client.client_id:
            database.write(lambda tx: self._foreign(tx, verified, client, origin), door.tenant)
        elif database.read(lambda tx: self._stands(tx, door, client, token, verified), door.tenant):
            database.write(
                lambda tx: self._end(tx, door, client, token, verified, origin), door.tenant, throwing=True
            )

    def _require_on(self, tx: Transaction, client: Client) -> None:
        """With everything off, a client can still take back what it holds."""
        caller = Target(Kind.CLIENT, client.client_id)
        if denials.first_off(tx, [caller], self._world.clock.now()) == caller:
            raise live.refused(caller)

    def _stands(
        self, tx: Transaction, door: Door, client: Client, token: str, verified: VerifiedToken | None
    ) -> bool:
        self._require_on(tx, client)
        target, _ = self._target(tx, door, client, token, verified)
        return target is not None and not denials.ended(tx, target, self._world.clock.now())

    def _target(
        self, tx: Transaction, door: Door, client: Client, token: str, verified: VerifiedToken | None
    ) -> tuple[Target | None, str]:
        """What ends with the token, and the tenant that it is of: the grant of its client, or the token alone."""
        if verified is None:
            row = self._families.find(tx, token)
            ours = row is not None and row.client_id == client.client_id and row.door == door.issuer
            return (Target(Kind.GRANT, row.grant_id), row.tenant) if row and ours else (None, "")
        grant = self._grants.within(tx, verified.grant_id or "")
        if grant is not None and grant.client_id == client.client_id:
            return Target(Kind.GRANT, grant.id), grant.tenant
        if not verified.actors and verified.txn:  # its own work
            return Target(Kind.TRANSACTION, verified.txn), verified.tenant
        return Target(Kind.TOKEN, verified.jti), verified.tenant

    def _foreign(self, tx: Transaction, token: VerifiedToken, client: Client, origin: Origin) -> None:
        """Somebody holds a token that is not theirs: no error for them, but evidence."""
        self._require_on(tx, client)
        fact = Fact(
            "token.refused",
            Outcome.DENIED,
            Reason.NOT_THE_CALLERS,
            tenant=token.tenant,
            client=client.client_id,
            jti=token.jti,
            txn=token.txn,
            grant_id=token.grant_id,
        )
        self._recorder.record(tx, fact, origin)

    def _end(
        self,
        tx: Transaction,
        door: Door,
        client: Client,
        token: str,
        verified: VerifiedToken | None,
        origin: Origin,
    ) -> None:
        self._require_on(tx, client)
        target, tenant = self._target(tx, door, client, token, verified)
        if target is None:
            return
        inside = tx.inside(tenant)
        if target.kind is Kind.GRANT:
            self._grants.end(inside, target.id, tenant, "revoked by the client", origin)
            return
        assert verified is not None
        now = self._world.clock.now()
        if denials.end(inside, target, tenant, now, "revoked by the client", verified.expires_at):
            fact = Fact(
                "token.revoked",
                tenant=verified.tenant,
                subject=verified.subject,
                client=client.client_id,
                jti=verified.jti,
                txn=verified.txn,
                grant_id=verified.grant_id,
            )
            self._recorder.record(inside, fact, origin)
