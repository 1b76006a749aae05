"""RFC 7591 sections 3.1 and 3.2: a client registers itself; limited by source and door, forgotten when not used."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.audit.refusals import Refusals, source_key
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.clients import store
from broker.identity.clients.clients import Clients, secret_hash
from broker.identity.clients.documents.address import Here
from broker.identity.clients.metadata import Metadata, validate
from broker.identity.clients.model import SECRET_METHODS, Client, Registered, Secret
from broker.identity.tenants.model import Door
from broker.identity.tenants.tenants import suspended
from broker.protocol import jcs
from broker.protocol.errors import OAuthError, Reason, too_many
from broker.protocol.origin import Origin
from broker.protocol.redirect_uri import destination
from broker.runtime.database import Transaction
from broker.runtime.world import World

_HOUR = 3600.0
SECRET_PREFIX = "mcpb_cs_"  # noqa: S105  what secret scanners look for
TOKEN_PREFIX = "mcpb_ra_"  # noqa: S105  as above


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say; times in seconds. `settled`: a registration of that age that was never used will not be.

    `key` keeps a fingerprint from telling whose it is. `here` is this server, which `jwks_uri` must not name.
    """

    is_open: bool
    per_hour: int
    door_per_hour: int
    unused: float
    settled: float
    here: Here
    key: bytes = field(repr=False)


class Registration:
    def __init__(
        self, world: World, recorder: Recorder, refusals: Refusals, clients: Clients, policy: Policy
    ) -> None:
        self._world, self._recorder, self._refusals, self._clients = world, recorder, refusals, clients
        self._policy = policy

    def register(self, door: Door, document: Mapping[str, object], origin: Origin) -> dict[str, object]:
        """The registration response of RFC 7591 section 3.2.1; the only time that a secret is told."""
        try:
            metadata = self.judged(door, document, origin)
        except OAuthError as error:
            self.refused(door, error, origin)
            raise
        now = self._world.clock.now()
        client = Client(
            client_id=self._world.entropy.identifier("dyn", now),
            name=metadata.name,
            tenant=door.tenant,
            method=metadata.method,
            registered=Registered.DYNAMIC,
            redirect_uris=metadata.redirect_uris,
            grant_types=metadata.grant_types,
            application_type=metadata.application_type,
            created_at=now,
            unused_until=now + self._policy.unused,
            jwks=metadata.jwks,
            jwks_uri=metadata.jwks_uri,
            assertion_alg=metadata.assertion_alg,
            dpop_bound=metadata.dpop_bound,
            pushed_only=metadata.pushed_only,
            id_token_alg=metadata.id_token_alg,
            post_logout_redirect_uris=metadata.post_logout_redirect_uris,
            logout_uri=metadata.logout_uri,
            logout_needs_sid=metadata.logout_needs_sid,
            authorization_details_types=metadata.authorization_details_types,
            certificate_bound=metadata.certificate_bound,
            fingerprint=self.fingerprint(door, metadata, origin),
        )
        secret = self._world.entropy.secret(SECRET_PREFIX) if metadata.method in SECRET_METHODS else None
        token = self._world.entropy.secret(TOKEN_PREFIX)
        self._world.database.write(lambda tx: self._add(tx, client, secret, token, origin))
        members = described(door, client, token)
        if metadata.scope:
            members["scope"] = metadata.scope
        if secret:
            members |= {"client_secret": secret, "client_secret_expires_at": 0}
        return members

    def require_open(self) -> None:
        if not self._policy.is_open:
            raise OAuthError(
                "access_denied",
                "Registration is closed here: ask the administrator to register the client.",
                Reason.METADATA_REFUSED,
            )

    def judged(self, door: Door, document: Mapping[str, object], origin: Origin) -> Metadata:
        """The policy of this server on a whole document, for a new client and for a changed one; OAuthError.

        What is refused for its source or content takes nothing of what the door has for all.
        """
        self.require_open()
        self._require_live(door)
        self._count("registration", source_key(origin.source), self._policy.per_hour, "from your address")
        metadata = validate(document, self._policy.here)
        self._count("registration-door", door.issuer, self._policy.door_per_hour, "at this server")
        return metadata

    def _require_live(self, door: Door) -> None:
        targets = [Target(Kind.TENANT, door.tenant)] if door.tenant else []
        now = self._world.clock.now()
        off = self._world.database.read(lambda tx: live.first_off(tx, targets, now), door.tenant)
        if off in targets:
            raise suspended()

    def refused(self, door: Door, error: OAuthError, origin: Origin, client_id: str | None = None) -> None:
        """Record a registration, or a change of one, that came to nothing, also one that could not be read."""
        fact = Fact(
            "client.refused",
            Outcome.DENIED,
            error.reason,
            tenant=door.tenant,
            client=client_id,
            detail=error.detail or error.description,
        )
        self._refusals.record(fact, origin, known=False)

    def expire(self, tx: Transaction) -> None:
        """Remove, within `tx`, what registered itself and was not used in time."""
        for client_id, tenant in store.expire(tx, self._world.clock.now()):
            self._recorder.record(tx, Fact("client.expired", tenant=tenant, client=client_id))

    def fingerprint(self, door: Door, metadata: Metadata, origin: Origin) -> str:
        """Equal for what one source registers at one door again and again, whatever its loopback ports."""
        said = {
            "door": door.issuer,
            "source": source_key(origin.source),
            "name": metadata.name,
            "redirect_uris": sorted({_portless(uri) for uri in metadata.redirect_uris}),
            "grant_types": sorted(metadata.grant_types),
            "method": metadata.method,
            "application_type": metadata.application_type,
            "keys": [metadata.jwks, metadata.jwks_uri, metadata.assertion_alg],
            "dpop_bound": metadata.dpop_bound,
            **({"pushed_only": True} if metadata.pushed_only else {}),
            "details": metadata.authorization_details_types,
            "id_token_alg": metadata.id_token_alg,
            "logout": [
                sorted({_portless(uri) for uri in metadata.post_logout_redirect_uris}),
                metadata.logout_uri,
                metadata.logout_needs_sid,
            ],
            "certificate_bound": metadata.certificate_bound,
        }
        return hmac.digest(self._policy.key, jcs.canonical(said), "sha256").hex()

    def _add(self, tx: Transaction, client: Client, secret: str | None, token: str, origin: Origin) -> None:
        self.expire(tx)
        assert client.fingerprint is not None
        settled = client.created_at - self._policy.settled
        again = store.supersede(tx, client.fingerprint, settled) if _at_home(client) else ()
        for client_id, tenant in again:
            fact = Fact("client.expired", tenant=tenant, client=client_id, change={"by": client.client_id})
            self._recorder.record(tx, fact, origin)
        self._clients.put(tx, client)
        store.hand_over(tx, client.client_id, secret_hash(token))
        if secret:
            store.set_secrets(tx, client.client_id, client.tenant, [Secret(secret_hash(secret), None)])
        change: dict[str, object] = {"name": client.name, "redirect_uris": list(client.redirect_uris)}
        fact = Fact("client.registered", tenant=client.tenant, client=client.client_id, change=change)
        self._recorder.record(tx, fact, origin)

    def _count(self, bucket: str, key: str, most: int, where: str) -> None:
        hits = self._world.ephemeral.hit(bucket, key, _HOUR, self._world.clock.now())
        if hits.count > most:
            raise too_many(f"Too many registrations {where}. Wait, then try again.", hits.ends_in)


def described(door: Door, client: Client, token: str) -> dict[str, object]:
    """RFC 7591 section 3.2.1, RFC 7592 section 3: what is registered, and how to manage it."""
    members: dict[str, object] = {
        "client_id": client.client_id,
        "client_id_issued_at": int(client.created_at),
        "registration_client_uri": door.url(f"/register/{client.client_id}"),
        "registration_access_token": token,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": ["code"],
        "token_endpoint_auth_method": client.method,
        "application_type": client.application_type,
    }
    if client.jwks is not None:
        members["jwks"] = json.loads(client.jwks)
    if client.jwks_uri is not None:
        members["jwks_uri"] = client.jwks_uri
    if client.assertion_alg is not None:
        members["token_endpoint_auth_signing_alg"] = client.assertion_alg
    if client.dpop_bound:
        members["dpop_bound_access_tokens"] = True
    if client.pushed_only:
        members["require_pushed_authorization_requests"] = True
    if client.authorization_details_types:
        members["authorization_details_types"] = list(client.authorization_details_types)
    if client.id_token_alg is not None:
        members["id_token_signed_response_alg"] = client.id_token_alg
    if client.post_logout_redirect_uris:
        members["post_logout_redirect_uris"] = list(client.post_logout_redirect_uris)
    if client.logout_uri is not None:
        members["backchannel_logout_uri"] = client.logout_uri
        members["backchannel_logout_session_required"] = client.logout_needs_sid
    if client.certificate_bound:
        members["tls_client_certificate_bound_access_tokens"] = True
    return members


def _portless(uri: str) -> str:
    """On http loopback any port is as good (RFC 8252 section 7.3)."""
    parts = urlsplit(uri)
    if parts.scheme != "http":
        return uri
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return parts._replace(netloc=host or "").geturl()


def _at_home(client: Client) -> bool:
    """Whether it runs where it registered: one on the web registers for many people from one address."""
    return client.public and all(destination(uri).kind != "web" for uri in client.redirect_uris)
