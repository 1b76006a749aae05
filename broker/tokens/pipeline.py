"""RFC 6749 section 3.2: the one way through which a request becomes a token, the same for every grant type."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.audit.unknown import unknown
from broker.authorization.grants import Grants
from broker.estate.estate import Estate
from broker.identity.clients.authentication.authenticate import Authenticator
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.clients import Clients
from broker.identity.clients.model import Client
from broker.identity.clients.possession import Possession
from broker.identity.tenants.keys import DoorKeys
from broker.identity.tenants.model import Door
from broker.protocol.errors import Consequence, OAuthError, Reason, concerning
from broker.protocol.names import DEFAULT_ALGORITHM
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.runtime.database import Conflict, Transaction
from broker.runtime.failpoints import failpoint
from broker.runtime.log import note
from broker.runtime.once import spend
from broker.runtime.world import World
from broker.tokens import issued, live, step_up, strangers
from broker.tokens.caps import Caps
from broker.tokens.carried import Carried
from broker.tokens.ceiling import Ceiling
from broker.tokens.families import Families
from broker.tokens.issued import Issued
from broker.tokens.mint import access, id_jag, identity, release
from broker.tokens.model import Authority, GrantType, Minted, TokenRequest
from broker.vault.room import Room as Vault
from broker.vault.use import Stale


class Pipeline:
    def __init__(
        self,
        world: World,
        recorder: Recorder,
        refusals: Refusals,
        estate: Callable[[], Estate],
        authenticator: Authenticator,
        clients: Clients,
        grants: Grants,
        families: Families,
        keys: DoorKeys,
        possession: Possession,
        vault: Vault,
        ceiling: Ceiling,
        caps: Caps,
        carried: Carried,
        grant_types: Iterable[GrantType],
    ) -> None:
        self._world, self._recorder, self._refusals = world, recorder, refusals
        self._estate, self._authenticator, self._clients = estate, authenticator, clients
        self._grants, self._families, self._keys = grants, families, keys
        self._possession, self._vault, self._ceiling = possession, vault, ceiling
        self._caps, self._carried = caps, carried
        self.grant_types = {grant.name: grant for grant in grant_types}

    def issue(self, door: Door, attempt: Attempt, origin: Origin) -> Issued:
        """Judge the request and mint. OAuthError when refused; the refusal is recorded by then."""
        client: Client | None = None
        try:
            authenticated = self._authenticator.authenticate(attempt, door, origin)
            client = authenticated.client
            origin = replace(origin, client=client.client_id)
            grant = self._grant_type(attempt, client)
            now = self._world.clock.now()
            proven = self._possession.prove(door, attempt, client, origin, now)
            request = TokenRequest(
                door,
                client,
                attempt.parameters.only(grant.parameters),
                self._estate(),
                origin,
                now,
                proven.confirmation,
                (*authenticated.spends, *proven.spends),
                authenticated.vouched_by,
            )
            verified = grant.verify(request)
            self._keys.ready(door.issuer, client.id_token_alg or DEFAULT_ALGORITHM)
            made = self._capped(door, grant, request, verified)
            failpoint("token.after_commit")
            note(grant_type=grant.name)
            return replace(made, dpop_nonce=self._possession.fresh_nonce(door, attempt))
        except OAuthError as error:
            error.dpop_nonce = error.dpop_nonce or self._possession.fresh_nonce(door, attempt)
            self._refused(door, client, attempt, error, origin)
            raise

    def unreadable(self, door: Door, error: OAuthError, origin: Origin) -> None:
        """Record that a form was refused before anybody could be recognized in it."""
        self._refused(door, None, Attempt(None, Parameters({})), error, origin)

    def _grant_type(self, attempt: Attempt, client: Client) -> GrantType:
        name = attempt.parameters.require("grant_type")
        grant = self.grant_types.get(name)
        if grant is None:
            raise OAuthError(
                "unsupported_grant_type",
                "That grant_type is not offered.",
                Reason.GRANT_TYPE_UNKNOWN,
                detail=unknown(name),
            )
        _registered_for(grant, client)
        return grant

    def _capped(self, door: Door, grant: GrantType, request: TokenRequest, verified: object) -> Issued:
        """What may be counted elsewhere is counted around the unit of work, not in it."""
        taken = self._caps.enter(verified, request.now)
        try:
            made = self._made(door, grant, request, verified)
        except BaseException:
            self._caps.back(taken)
            raise
        if not taken:
            self._caps.made(made.grant_id, self._world.clock.now())
        return made

    def _made(self, door: Door, grant: GrantType, request: TokenRequest, verified: object) -> Issued:
        """One transaction; and another, where a provider has to be asked for a newer token in between."""

        def mint(*, patient: bool) -> Issued:
            def unit(tx: Transaction) -> Issued:
                return self._mint(tx, grant, request, verified, patient=patient)

            wall = None if grant.before_walls else door.tenant
            try:
                return self._world.database.write(unit, wall)
            except Conflict:  # the same person arrived twice at once: the other one made the account
                return self._world.database.write(unit, wall)

        try:
            return mint(patient=True)
        except Stale as stale:
            self._vault.refreshing.ahead(stale.connection, request.origin)
        return mint(patient=False)

    def _mint(
        self, tx: Transaction, grant: GrantType, request: TokenRequest, verified: object, *, patient: bool
    ) -> Issued:
        client = self._clients.within(tx, request.client.client_id)
        if client is None or client.proves != request.client.proves:
            raise OAuthError("invalid_client", "The client is not known any more.", Reason.CLIENT_UNKNOWN)
        _registered_for(grant, client)
        request = replace(request, client=client)
        live.require(tx, live.of_request(request), request.now)
        spend(tx, request.spends)
        authority = step_up.attained(grant.redeem(tx, request, verified), request.now)
        inside = tx.inside(authority.tenant)
        with concerning(issued.about(authority)):
            live.require(inside, live.of_authority(authority), request.now)
            authority = self._ceiling.lowered(inside, authority, request.now)
            authority = self._carried.bounded(inside, authority, request.now)
            self._caps.require(inside, authority, request.now)
        failpoint("token.after_live")
        minted = self._minted(inside, authority, request.now, patient=patient)
        failpoint("token.after_sign")
        about = authority.identity
        id_token = None
        if about is not None:
            id_token = identity.mint(inside, authority, about, minted.token, self._keys, request.now)
        refresh = authority.successor
        if authority.refreshable:
            refresh = self._families.begin(inside, authority, request.now)
        self._clients.mark_used(tx, request.client)
        if authority.user:
            self._grants.used(inside, authority.grant_id, authority.last_used_at)
        failpoint("token.before_record")
        self._record(inside, authority, minted, request.origin)
        failpoint("token.before_commit")
        return Issued(issued.answer(authority, minted, id_token, refresh), grant_id=authority.grant_id)

    def _minted(self, tx: Transaction, authority: Authority, now: float, *, patient: bool) -> Minted:
        if authority.resource.vault is not None:
            later = self._world.clock.now()
            return release.mint(tx, authority, self._vault, later, patient=patient)
        if authority.vouching is not None:
            return id_jag.mint(tx, authority, authority.vouching, self._keys, self._world.entropy, now)
        return access.mint(tx, authority, self._keys, self._world.entropy, now)

    def _record(self, tx: Transaction, authority: Authority, minted: Minted, origin: Origin) -> None:
        fact = issued.fact(authority, minted)
        for name in authority.also:
            self._recorder.record(tx, replace(fact, fact=name, jti=None), origin)
        if authority.identity is not None:
            told = replace(fact, fact="id_token.issued", scope=authority.identity.scopes, jti=None)
            self._recorder.record(tx, told, origin)
        self._recorder.record(tx, fact, origin)

    def _refused(
        self, door: Door, client: Client | None, attempt: Attempt, error: OAuthError, origin: Origin
    ) -> None:
        if error.reason is Reason.DEVICE_PENDING:
            return  # not refused: nobody has answered yet
        said, about = attempt.parameters.get("client_id"), error.about
        fact = Fact(
            _REPLAYS.get(error.reason, "token.refused"),
            Outcome.DENIED,
            error.reason,
            detail=error.detail or None,
            tenant=error.consequence.tenant if error.consequence else about.tenant if about else door.tenant,
            subject=about.subject if about else None,
            client=client.client_id if client else error.client or (unknown(said) if said else None),
            parent_jti=about.jti if about else None,
            txn=about.txn if about else None,
            grant_id=error.consequence.grant_id if error.consequence else about.grant_id if about else None,
            issuer=door.issuer,
        )
        ended = self._still_to_end(error)

        def consequence(tx: Transaction) -> None:
            if ended is not None:
                self._grants.end(tx, ended.grant_id, ended.tenant, error.reason.value, origin)

        known = strangers.known(client, error.reason)
        self._refusals.record(fact, origin, known=known, consequence=consequence if ended else None)

    def _still_to_end(self, error: OAuthError) -> Consequence | None:
        """A throw holds everybody up: nobody causes one after the other with a token that came back already."""
        ended = error.consequence
        if ended is None:
            return None
        over = self._world.database.read(lambda tx: self._grants.over(tx, ended.grant_id), ended.tenant)
        return None if over else ended


def _registered_for(grant: GrantType, client: Client) -> None:
    if grant.name not in client.grant_types or (client.public and not grant.public_clients):
        raise OAuthError(
            "unauthorized_client",
            "The client is not registered for that grant_type.",
            Reason.CLIENT_GRANT_TYPE,
        )


_REPLAYS = {
    Reason.CODE_REPLAYED: "code.replayed",
    Reason.DEVICE_CODE_REPLAYED: "device.replayed",
    Reason.REFRESH_REPLAYED: "refresh.reused",
    Reason.CONNECTION_UNREADABLE: "connection.unreadable",
}
