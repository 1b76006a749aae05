"""OAuth 2.1 section 2.4: exactly one method, a registered one; failures are counted by source."""

from collections.abc import Iterable

from broker.audit.refusals import source_key
from broker.audit.unknown import unknown
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.clients.authentication import client_secret_basic, client_secret_post, none
from broker.identity.clients.authentication.model import (
    Attempt,
    Authenticated,
    Candidate,
    Method,
    Presented,
    Proven,
    Unproven,
)
from broker.identity.clients.clients import Clients
from broker.identity.clients.documents.documents import Documents
from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.names import NONE, PRIVATE_KEY_JWT, TLS_CLIENT_AUTH
from broker.protocol.origin import Origin
from broker.runtime.log import note
from broker.runtime.once import spend
from broker.runtime.world import World

_MINUTE = 60.0
_ASSERTIONS = 6000
"""Client assertions that one source may send in a minute."""
_REST = 5


class Authenticator:
    """`methods`: those that need something of this server, beside the secrets and `none`."""

    def __init__(
        self,
        world: World,
        clients: Clients,
        documents: Documents,
        failures_per_minute: int,
        methods: Iterable[Method] = (),
    ) -> None:
        self._world, self._clients, self._limit = world, clients, failures_per_minute
        self._documents = documents
        stateless: tuple[Method, ...] = (none, client_secret_basic, client_secret_post)
        self.methods = {method.name: method for method in (*stateless, *methods)}

    def authenticate(self, attempt: Attempt, door: Door, origin: Origin) -> Authenticated:
        """The client that this request proves to come from; OAuthError otherwise. Burns nothing."""
        method, presented = self._only_one(attempt, door)
        now = self._world.clock.now()
        source = source_key(origin.source)
        hits = self._world.ephemeral.seen("client-authentication", source, _MINUTE, now)
        if hits.count >= self._limit:
            raise too_many(
                "Too many failed client authentications from your address. Wait, then try again.",
                hits.ends_in,
            )
        if method.name == PRIVATE_KEY_JWT:
            self._not_too_many(source, now)
        reason, detail, known = Reason.CLIENT_UNKNOWN, "", None
        for client_id, credential in presented.readings:
            try:
                self._documents.freshen(door, client_id, origin)
            except OAuthError as error:
                if error.error == "temporarily_unavailable":
                    raise
                reason, detail = error.reason, error.detail
                continue
            client, secrets = self._clients.with_secrets(door, client_id)
            if client is None:
                nobody = Client(client_id, "", door.tenant, NONE, Registered.ADMIN)
                nothing = method.proves(credential, Candidate(nobody, (), door, attempt, now))
                self._require_no_refusal(nothing, source, now)
                continue
            known = client.client_id
            method = self._meant(method, client)
            proof = method.proves(credential, Candidate(client, secrets, door, attempt, now))
            self._require_no_refusal(proof, source, now)
            if method.name not in client.methods:
                reason = Reason.CLIENT_METHOD_MISMATCH
            elif isinstance(proof, Unproven):
                if proof.passing:
                    raise _again(proof)
                reason, detail = proof.reason, proof.detail
            elif proof is not None:
                _same_client(attempt, client)
                proven = proof if isinstance(proof, Proven) else Proven(proof)
                self._require_live(proven, client, door, now)
                note(client=client.client_id)
                return Authenticated(client, method.name, proven.spends, proven.vouched_by)
            else:
                reason = Reason.CLIENT_AUTHENTICATION_FAILED
        self._world.ephemeral.hit("client-authentication", source, _MINUTE, now)
        raise refused(reason, presented.readings[0][0], detail, known)

    def _require_no_refusal(self, proof: object, source: str, now: float) -> None:
        if isinstance(proof, Unproven) and proof.refusal is not None:
            if not proof.passing:
                self._world.ephemeral.hit("client-authentication", source, _MINUTE, now)
            raise proof.refusal

    def _require_live(self, proven: Proven, client: Client, door: Door, now: float) -> None:
        """Who vouched for the client is not switched off; asked again where something is made for it (law 6)."""
        if proven.vouched_by is None:
            return
        issuer = Target(Kind.ISSUER, proven.vouched_by)
        off = self._world.database.read(lambda tx: live.first_off(tx, [issuer], now), door.tenant)
        if off == issuer:
            raise refused(Reason.ISSUER_OFF, client.client_id, f"issuer {issuer.id}", client.client_id)

    def _not_too_many(self, source: str, now: float) -> None:
        """What is remembered of used assertions stays bounded."""
        hits = self._world.ephemeral.hit("client-assertions", source, _MINUTE, now)
        if hits.count > _ASSERTIONS:
            raise too_many(
                "Too many client assertions came from your address. Wait, then try again.", hits.ends_in
            )

    def admit(self, attempt: Attempt, door: Door, origin: Origin) -> Client:
        """As `authenticate`, for acts without a transaction to use things up in: one is made for it."""
        found = self.authenticate(attempt, door, origin)
        if found.spends:
            self._world.database.write(lambda tx: spend(tx, found.spends), door.tenant)
        return found.client

    def _meant(self, method: Method, client: Client) -> Method:
        """A client that is registered for its certificate only names itself: the certificate is in the connection."""
        if method.name == none.name and client.method == TLS_CLIENT_AUTH:
            return self.methods.get(TLS_CLIENT_AUTH, method)
        return method

    def _only_one(self, attempt: Attempt, door: Door) -> tuple[Method, Presented]:
        found = [
            (method, shown)
            for method in self.methods.values()
            if method.name != none.name and (shown := method.presented(attempt, door)) is not None
        ]
        if len(found) > 1:
            raise OAuthError(
                "invalid_request",
                "Use one client authentication method, not two.",
                Reason.CLIENT_AUTHENTICATION_REPEATED,
            )
        if found:
            return found[0]
        named = none.presented(attempt, door)
        if named is None:
            raise OAuthError(
                "invalid_client", "Name the client with client_id or authenticate it.", Reason.CLIENT_UNKNOWN
            )
        return self.methods[none.name], named


def _again(unproven: Unproven) -> OAuthError:
    return OAuthError(
        "temporarily_unavailable",
        "The client's keys cannot be fetched from its jwks_uri now. Try again.",
        unproven.reason,
        detail=unproven.detail,
        retry_after=_REST,
    )


def refused(reason: Reason, said: str, detail: str = "", known: str | None = None) -> OAuthError:
    """One answer for every way to fail: a stranger does not learn which clients exist. `known` is one of ours."""
    return OAuthError(
        "invalid_client",
        "Client authentication failed: check client_id, credentials and the registered method.",
        reason,
        detail=f"client {known or unknown(said)}" + (f": {detail}" if detail else ""),
        client=known,
    )


def _same_client(attempt: Attempt, client: Client) -> None:
    named = attempt.parameters.get("client_id")
    if named is not None and named != client.client_id:
        raise OAuthError(
            "invalid_request",
            "client_id names another client than the one that authenticated.",
            Reason.CLIENT_AUTHENTICATION_REPEATED,
            detail=f"authenticated as {client.client_id}",
        )
