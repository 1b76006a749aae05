"""RFC 7592: a client that registered itself reads, changes or ends its registration, with the token it got for that."""

from collections.abc import Mapping
from dataclasses import replace

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.audit.refusals import source_key
from broker.audit.unknown import unknown
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.clients import store
from broker.identity.clients.clients import Clients, secret_hash
from broker.identity.clients.metadata import Metadata
from broker.identity.clients.model import Client, Registered
from broker.identity.clients.registration import Registration, described
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

_MINUTE = 60.0
# RFC 7592 section 2.2: what the server alone says of a client.
_OWNED = (
    "registration_access_token",
    "registration_client_uri",
    "client_id_issued_at",
    "client_secret_expires_at",
)
_CHANGEABLE = (
    "name",
    "redirect_uris",
    "grant_types",
    "jwks",
    "jwks_uri",
    "assertion_alg",
    "dpop_bound",
    "pushed_only",
    "id_token_alg",
    "post_logout_redirect_uris",
    "logout_uri",
    "logout_needs_sid",
    "authorization_details_types",
    "certificate_bound",
)


class Management:
    """`token` is what the request bears, empty for none. Whatever is wrong with it is one refusal."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        clients: Clients,
        registration: Registration,
        failures_per_minute: int,
    ) -> None:
        self._world, self._recorder, self._clients = world, recorder, clients
        self._registration, self._limit = registration, failures_per_minute

    def read(self, door: Door, client_id: str, token: str, origin: Origin) -> dict[str, object]:
        """The registration as it is now. A secret cannot be told again: only its hash is kept."""
        return described(door, self._admitted(door, client_id, token, origin), token)

    def update(
        self, door: Door, client_id: str, token: str, document: Mapping[str, object], origin: Origin
    ) -> dict[str, object]:
        """Replace the registration by `document`, which is judged as if it were new and may not ask for more."""
        self._admitted(door, client_id, token, origin)
        try:
            metadata = self._registration.judged(door, document, origin)
            changed = self._world.database.write(
                lambda tx: self._update(tx, door, client_id, token, document, metadata, origin),
                throwing=True,  # before or after a mint, never beside it
            )
        except OAuthError as error:
            self._registration.refused(door, error, origin, client_id)
            raise
        return described(door, changed, token) | ({"scope": metadata.scope} if metadata.scope else {})

    def delete(self, door: Door, client_id: str, token: str, origin: Origin) -> None:
        """End the client, and with it whatever was granted to it."""
        self._admitted(door, client_id, token, origin)

        def unit(tx: Transaction) -> None:
            client = self._own(tx, door, client_id, token)
            if client is None:
                raise _wrong(client_id)
            self._clients.end(tx, client)
            fact = Fact("client.deleted", tenant=client.tenant, client=client_id)
            self._recorder.record(tx, fact, origin)

        self._world.database.write(unit, throwing=True)

    def _admitted(self, door: Door, client_id: str, token: str, origin: Origin) -> Client:
        try:
            self._registration.require_open()
            now, source = self._world.clock.now(), source_key(origin.source)
            hits = self._world.ephemeral.seen("registration-access", source, _MINUTE, now)
            if hits.count >= self._limit:
                raise too_many(
                    "Too many wrong registration access tokens from your address. Wait, then try again.",
                    hits.ends_in,
                )
            client, known = self._world.database.read(
                lambda tx: (self._own(tx, door, client_id, token), self._clients.within(tx, client_id))
            )
            if client is None:
                self._world.ephemeral.hit("registration-access", source, _MINUTE, now)
                raise _wrong(known.client_id if known else unknown(client_id))
        except OAuthError as error:
            self._registration.refused(door, error, origin)
            raise
        return client

    def _own(self, tx: Transaction, door: Door, client_id: str, token: str) -> Client | None:
        """The client that `token` manages, at the door where it registered."""
        client = store.managed(tx, client_id, secret_hash(token))
        if client is None or client.registered is not Registered.DYNAMIC or client.tenant != door.tenant:
            return None
        if not self._clients.known(client, door):
            return None
        off = live.first_off(tx, [Target(Kind.CLIENT, client_id)], self._world.clock.now())
        return client if off is None else None

    def _update(
        self,
        tx: Transaction,
        door: Door,
        client_id: str,
        token: str,
        document: Mapping[str, object],
        metadata: Metadata,
        origin: Origin,
    ) -> Client:
        client = self._own(tx, door, client_id, token)
        if client is None:
            raise _wrong(client_id)
        wrong = self._not_its_own(tx, client, document) or _asks_for_more(client, metadata)
        if wrong:
            raise OAuthError("invalid_client_metadata", wrong, Reason.METADATA_REFUSED)
        marked = client.fingerprint and self._registration.fingerprint(door, metadata, origin)
        wanted = {name: getattr(metadata, name) for name in _CHANGEABLE}
        changed = replace(client, **wanted, fingerprint=marked)
        self._clients.put(tx, changed)
        change: dict[str, object] = {
            "name": changed.name,
            "redirect_uris": list(changed.redirect_uris),
            "fields": [name for name in _CHANGEABLE if getattr(client, name) != wanted[name]],
        }
        fact = Fact("client.updated", tenant=client.tenant, client=client_id, change=change)
        self._recorder.record(tx, fact, origin)
        return changed

    def _not_its_own(self, tx: Transaction, client: Client, document: Mapping[str, object]) -> str | None:
        """What the document says that the server says, and says differently or never takes from a client."""
        if document.get("client_id") != client.client_id:
            return "client_id: give the client's own."
        for name in _OWNED:
            if document.get(name) is not None:
                return f"{name}: the server says that; leave it out."
        secret = document.get("client_secret")
        if secret is None:
            return None
        kept = [one.hash for one in store.secrets(tx, client.client_id, self._world.clock.now())]
        own = isinstance(secret, str) and secret_hash(secret) in kept
        return None if own else "client_secret: it is not the client's; nobody chooses a secret."


def _asks_for_more(client: Client, metadata: Metadata) -> str | None:
    """Consents were given to a client that is of a kind and proves itself in a way; another kind registers anew."""
    if metadata.method != client.method:
        return f"token_endpoint_auth_method: it stays {client.method}; register another client."
    if metadata.application_type != client.application_type:
        return f"application_type: it stays {client.application_type}; register another client."
    if added := set(metadata.grant_types) - set(client.grant_types):
        return f"grant_types: {', '.join(sorted(added))} cannot be added; register another client."
    if client.dpop_bound and not metadata.dpop_bound:
        return "dpop_bound_access_tokens: it stays true; register another client."
    if client.pushed_only and not metadata.pushed_only:
        return "require_pushed_authorization_requests: it stays true; register another client."
    if client.certificate_bound and not metadata.certificate_bound:
        return "tls_client_certificate_bound_access_tokens: it stays true; register another client."
    return None


def _wrong(client_id: str) -> OAuthError:
    """One answer for no token, another's, and whatever client that is or is not."""
    return OAuthError(
        "invalid_token",
        "The registration access token is not that of this client.",
        Reason.REGISTRATION_TOKEN_WRONG,
        detail=f"client {client_id}",
    )
