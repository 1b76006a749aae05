"""RFC 7591, RFC 6749 section 2: the room as a whole, its verbs wired to each other."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.identity.clients.authentication.authenticate import Authenticator
from broker.identity.clients.authentication.model import Method
from broker.identity.clients.authentication.private_key_jwt import PrivateKeyJwt
from broker.identity.clients.authentication.tls_client_auth import TlsClientAuth, read_authorities
from broker.identity.clients.clients import Clients
from broker.identity.clients.documents.address import Here
from broker.identity.clients.documents.documents import Documents
from broker.identity.clients.keys import ClientKeys
from broker.identity.clients.management import Management
from broker.identity.clients.possession import Possession
from broker.identity.clients.registration import Policy, Registration
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Trust
from broker.protocol.nonces import Nonces
from broker.runtime.egress import Egress
from broker.runtime.world import World
from keys.sealed import KeyEncryptionKey


class Knobs(Protocol):
    """The settings that the room takes."""

    issuer: str
    port: int
    metrics_port: int
    development: bool
    interaction_lifetime: int
    failures_per_minute: int
    registration_open: bool
    registration_per_hour: int
    registration_door_per_hour: int
    registration_unused_lifetime: int
    registration_idle_lifetime: int
    client_documents: bool
    client_documents_allow: tuple[str, ...]
    client_documents_deny: tuple[str, ...]
    client_documents_per_minute: int
    client_certificate_authorities: Path | None
    dpop_nonces: bool
    dpop_proofs_per_minute: int
    mtls_origin: str | None

    @property
    def loopback(self) -> bool: ...
    @property
    def sees_certificates(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Room:
    """What other rooms and faces call."""

    clients: Clients
    documents: Documents
    registration: Registration
    management: Management
    authenticator: Authenticator
    keys: ClientKeys
    nonces: Nonces
    possession: Possession


class Platforms(Method, Protocol):
    """A way to authenticate with tokens that a platform made."""

    def takes(self, token: str) -> bool:
        """Whether an assertion is a platform's, and not the client's own."""
        ...


def furnished(
    world: World,
    recorder: Recorder,
    refusals: Refusals,
    egress: Egress,
    kek: KeyEncryptionKey,
    platforms: Platforms,
    doors: Callable[[], Doors],
    knobs: Knobs,
) -> Room:
    """ValueError or OSError where the authorities of certificates cannot be read."""
    clients = Clients(world, knobs.development, knobs.registration_idle_lifetime)
    at_home = knobs.development and knobs.loopback
    here = Here.of(knobs.issuer, (knobs.port, knobs.metrics_port), at_home, knobs.sees_certificates)
    documents = Documents(
        world,
        recorder,
        clients,
        egress,
        here,
        Trust(knobs.client_documents_allow or None, knobs.client_documents_deny),
        doors,
        offered=knobs.client_documents,
        per_minute=knobs.client_documents_per_minute,
        unused=knobs.registration_unused_lifetime,
    )
    policy = Policy(
        is_open=knobs.registration_open,
        per_hour=knobs.registration_per_hour,
        door_per_hour=knobs.registration_door_per_hour,
        unused=knobs.registration_unused_lifetime,
        settled=2 * knobs.interaction_lifetime,
        here=here,
        key=kek.derive("registration"),
    )
    registration = Registration(world, recorder, refusals, clients, policy)
    keys = ClientKeys(egress, world.clock)
    methods: tuple[Method, ...] = (
        PrivateKeyJwt(keys, platforms.takes),
        *_by_certificate(knobs),
        platforms,
    )
    nonces = Nonces(kek.derive("dpop-nonce"))
    possession = Possession(
        world,
        nonces,
        demand=knobs.dpop_nonces,
        per_minute=knobs.dpop_proofs_per_minute,
        mtls_origin=knobs.mtls_origin,
    )
    return Room(
        clients,
        documents,
        registration,
        Management(world, recorder, clients, registration, knobs.failures_per_minute),
        Authenticator(world, clients, documents, knobs.failures_per_minute, methods),
        keys,
        nonces,
        possession,
    )


def _by_certificate(knobs: Knobs) -> tuple[TlsClientAuth, ...]:
    """Authentication by certificate, where the authorities to believe are named."""
    file = knobs.client_certificate_authorities
    return () if file is None else (TlsClientAuth(read_authorities(file)),)
