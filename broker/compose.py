"""How the rooms are built and hang together: the only place that knows."""

from broker.account.apps import Apps
from broker.account.visitor import Visitors
from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.authorization.authorize import Authorize
from broker.authorization.choices.choices import Choices
from broker.authorization.consent import Consent
from broker.authorization.device.devices import Devices
from broker.authorization.device.entry import Entry
from broker.authorization.device.start import Start
from broker.authorization.device.user_codes import UserCodes
from broker.authorization.giving import Giving
from broker.authorization.grants import Grants
from broker.authorization.hints import Hints
from broker.authorization.interaction import Interactions
from broker.authorization.logout.departures import Departures
from broker.authorization.logout.notices import LogoutNotices
from broker.authorization.pushed.push import Push
from broker.authorization.pushed.requests import PushedRequests
from broker.authorization.question import Questions
from broker.authorization.wishes import PROMPTS, RESPONSE_MODES
from broker.built import Broker as Broker
from broker.denials.switch import Switches
from broker.estate.changes import Changes
from broker.estate.claims.claims import Claims
from broker.estate.estate import STAMP
from broker.estate.published import Offer, Published
from broker.identity.clients.authentication.authenticate import Authenticator
from broker.identity.clients.authentication.private_key_jwt import PrivateKeyJwt
from broker.identity.clients.authentication.tls_client_auth import TlsClientAuth, read_authorities
from broker.identity.clients.clients import Clients
from broker.identity.clients.documents.address import Here
from broker.identity.clients.documents.documents import Documents
from broker.identity.clients.keys import ClientKeys
from broker.identity.clients.management import Management
from broker.identity.clients.model import METHODS
from broker.identity.clients.possession import Possession
from broker.identity.clients.registration import Policy, Registration
from broker.identity.federation.providers import Providers
from broker.identity.federation.room import furnished
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.keys import DoorKeys
from broker.identity.tenants.model import Trust
from broker.identity.tenants.tenants import Tenants
from broker.identity.users import familiar
from broker.identity.users.assembly import Limits, assembled
from broker.identity.users.credentials.notices import Notices
from broker.identity.users.password import Passwords
from broker.identity.users.people import People
from broker.protocol.nonces import Nonces
from broker.runtime import failpoints
from broker.runtime.clock import Clock, SystemClock
from broker.runtime.database import Database
from broker.runtime.egress import Egress
from broker.runtime.engines import open_database
from broker.runtime.entropy import Entropy, SystemEntropy
from broker.runtime.ephemeral.memory import Memory
from broker.runtime.ephemeral.model import Ephemeral
from broker.runtime.ephemeral.redis import Redis
from broker.runtime.metrics import Measured, Metrics
from broker.runtime.snapshot import Snapshot
from broker.runtime.world import World
from broker.settings import Settings
from broker.tokens import consented, who
from broker.tokens.assembly import grant_types
from broker.tokens.families import Families
from broker.tokens.introspect import Introspection
from broker.tokens.pipeline import Pipeline
from broker.tokens.revoke import Revocation
from broker.tokens.userinfo.tell import UserInfo
from broker.tokens.verified import OwnTokens
from broker.vault.room import furnished as furnished_vault
from broker.web.certificate import Certificates
from broker.web.cookie import Cookie
from broker.web.csrf import Csrf
from broker.web.manners import Manners
from broker.web.source import Sources
from broker.web.texts import CATALOGUES
from keys.rotation import RotationPolicy
from keys.sealed import KeyEncryptionKey, read_key_file


def sealing_key(settings: Settings) -> KeyEncryptionKey:
    """The key-encryption key, and the one before it where that is named; ValueError or OSError in plain words."""
    key, previous = _sealing_key(settings), settings.previous_key_encryption_key_file
    return key if previous is None else key.after(read_key_file(previous))


def _sealing_key(settings: Settings) -> KeyEncryptionKey:
    if settings.key_encryption_key is not None:
        return KeyEncryptionKey.parse(settings.key_encryption_key.get_secret_value())
    credentials = settings.credentials_directory
    if settings.key_encryption_key_file is None and credentials is not None:
        return KeyEncryptionKey.parse((credentials / "kek").read_bytes())  # guarded by who made the folder
    return read_key_file(settings.key_encryption_key_file or settings.data / "kek")


def by_certificate(settings: Settings) -> tuple[TlsClientAuth, ...]:
    """Authentication by certificate, where the authorities to believe are named; ValueError or OSError."""
    file = settings.client_certificate_authorities
    return () if file is None else (TlsClientAuth(read_authorities(file)),)


def counters(settings: Settings, kek: KeyEncryptionKey) -> Ephemeral:
    """Where limits are counted: Redis for several processes, else the memory of this one."""
    if settings.redis_url is None:
        return Memory()
    return Redis(settings.redis_url.get_secret_value(), kek.derive("ephemeral"), settings.redis_prefix)


def compose(
    settings: Settings,
    *,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    database: Database | None = None,
    kek: KeyEncryptionKey | None = None,
    egress: Egress | None = None,
) -> Broker:
    """Build the rooms over an already migrated database."""
    failpoints.arm(settings.fail_point)
    kek = kek or sealing_key(settings)
    metrics = Metrics()
    world = World(
        clock or SystemClock(),
        entropy or SystemEntropy(),
        Measured(database or open_database(settings.database), metrics),
        counters(settings, kek),
    )
    egress = egress or Egress(
        settings.development and settings.loopback, world.clock, authorities=settings.egress_authorities
    )
    recorder = Recorder(world.clock, world.entropy)
    refusals = Refusals(world, recorder)
    keys = DoorKeys(
        world,
        recorder,
        kek,
        RotationPolicy(settings.key_publish_before, settings.key_active, settings.key_retire_after),
    )
    tenants = Tenants(world)
    changes = Changes(world, tenants, settings.issuer)
    snapshot = Snapshot(STAMP, world.database, world.clock, changes.load)
    estate = snapshot.get
    clients = Clients(world, settings.development, settings.registration_idle_lifetime)
    ports = (settings.port, settings.metrics_port)
    at_home = settings.development and settings.loopback
    here = Here.of(settings.issuer, ports, at_home, settings.sees_certificates)
    documents = Documents(
        world,
        recorder,
        clients,
        egress,
        here,
        Trust(settings.client_documents_allow or None, settings.client_documents_deny),
        lambda: estate().doors,
        offered=settings.client_documents,
        per_minute=settings.client_documents_per_minute,
        unused=settings.registration_unused_lifetime,
    )
    passwords = Passwords(settings.argon2_memory_kib, settings.argon2_iterations)
    sessions = Sessions(world, recorder, settings.session_idle, settings.session_absolute)
    notices = Notices(world, recorder)
    people = People(world, passwords, sessions, notices)
    providers = Providers(world, kek, STAMP)
    federation = furnished(
        world,
        recorder,
        refusals,
        egress,
        sessions,
        people,
        clients,
        providers,
        lambda: estate().doors,
        key=kek.derive("federation"),
        per_minute=settings.interactions_per_minute,
        longest=settings.session_absolute,
        stamp=STAMP,
    )
    workloads = federation.trusted.workloads
    vault = furnished_vault(
        world,
        recorder,
        refusals,
        egress,
        people,
        providers,
        estate,
        kek,
        per_minute=settings.interactions_per_minute,
    )
    grants = Grants(world, recorder)
    logout_notices = LogoutNotices(world, recorder, clients, grants, keys, egress)
    sessions.on_sign_out(logout_notices.queue)
    user_codes = UserCodes.under(kek)
    devices = Devices(world, recorder, user_codes)
    choices = Choices(world, recorder, settings.grant_lifetime)
    questions = Questions(world.clock, clients, people, grants, estate, providers.known, devices, choices)
    pushed = PushedRequests(world, settings.pushed_request_lifetime, settings.interaction_lifetime)
    interactions = Interactions(
        world, clients, grants, pushed, settings.interaction_lifetime, settings.interactions_per_minute
    )
    families = Families(
        kek.derive("refresh"),
        world.entropy,
        settings.refresh_grace,
        settings.refresh_lifetime,
        settings.refresh_rotation_confidential,
    )
    own_tokens = OwnTokens(world, keys, estate)
    sources = Sources(settings.trusted_proxies, world.entropy)
    client_keys = ClientKeys(egress, world.clock)
    authenticator = Authenticator(
        world,
        clients,
        documents,
        settings.failures_per_minute,
        (PrivateKeyJwt(client_keys, workloads.takes), *by_certificate(settings), workloads),
    )
    nonces = Nonces(kek.derive("dpop-nonce"))
    possession = Possession(
        world,
        nonces,
        demand=settings.dpop_nonces,
        per_minute=settings.dpop_proofs_per_minute,
        mtls_origin=settings.mtls_origin,
    )
    hints = Hints(keys)
    trusted = federation.trusted
    kinds = grant_types(world, own_tokens, hints, client_keys, grants, people, families, sessions, trusted)
    pipeline = Pipeline(
        world,
        recorder,
        refusals,
        estate,
        authenticator,
        clients,
        grants,
        families,
        keys,
        possession,
        vault,
        kinds,
    )
    offer = Offer(
        tuple(pipeline.grant_types),
        tuple(name for name in authenticator.methods if name in METHODS),
        PROMPTS,
        settings.registration_open,
        settings.client_documents,
        (*who.CLAIMS, *consented.AUTH_CLAIMS),
        certificates=settings.sees_certificates,
        mtls_origin=settings.mtls_origin,
        response_modes=RESPONSE_MODES,
        ui_locales=tuple(CATALOGUES),
    )
    registration = Registration(
        world,
        recorder,
        refusals,
        clients,
        Policy(
            is_open=settings.registration_open,
            per_hour=settings.registration_per_hour,
            door_per_hour=settings.registration_door_per_hour,
            unused=settings.registration_unused_lifetime,
            settled=2 * settings.interaction_lifetime,
            here=here,
            key=kek.derive("registration"),
        ),
    )
    signing_in = assembled(
        world,
        recorder,
        refusals,
        sessions,
        passwords,
        kek,
        settings.issuer,
        settings.server_name,
        Limits(
            settings.failures_per_minute,
            settings.account_failures_per_minute,
            settings.account_strangers_per_hour,
        ),
        notices,
        federation.links.has,
        providers.whole,
    )
    signing_in.new_passwords.on_reset(
        lambda tx, user_id: grants.end_all(tx, user_id, "the password was set anew")
    )
    broker = Broker(
        settings=settings,
        world=world,
        egress=egress,
        metrics=metrics,
        recorder=recorder,
        refusals=refusals,
        door_keys=keys,
        estate_snapshot=snapshot,
        tenants=tenants,
        changes=changes,
        claims=Claims(world, recorder, egress, lambda: estate().doors),
        clients=clients,
        people=people,
        sessions=sessions,
        providers=providers,
        federation=federation,
        vault=vault,
        grants=grants,
        switches=Switches(world, recorder),
        registration=registration,
        management=Management(world, recorder, clients, registration, settings.failures_per_minute),
        signing_in=signing_in,
        authorize=Authorize(world, refusals, clients, documents, interactions, pushed, hints, estate),
        pushed=pushed,
        push=Push(
            world,
            recorder,
            refusals,
            authenticator,
            clients,
            possession,
            hints,
            pushed,
            estate,
            settings.pushed_requests_per_minute,
        ),
        interactions=interactions,
        choices=choices,
        consent=Consent(
            world,
            recorder,
            refusals,
            interactions,
            questions,
            Giving(world, recorder, grants, estate, devices, settings.code_lifetime, settings.grant_lifetime),
            devices,
            choices,
            signing_in.sign_in.reachable,
        ),
        devices=devices,
        device_start=Start(
            world,
            recorder,
            refusals,
            authenticator,
            clients,
            possession,
            interactions,
            user_codes,
            estate,
            settings.device_code_lifetime,
        ),
        device_entry=Entry(world, refusals, interactions, questions, user_codes),
        families=families,
        authenticator=authenticator,
        pipeline=pipeline,
        introspection=Introspection(
            world,
            refusals,
            estate,
            authenticator,
            own_tokens,
            keys,
            settings.inactive_introspections_per_minute,
        ),
        revocation=Revocation(world, recorder, refusals, authenticator, own_tokens, grants, families),
        userinfo=UserInfo(
            world,
            recorder,
            refusals,
            estate,
            own_tokens,
            grants,
            people,
            nonces if settings.dpop_nonces else None,
        ),
        departures=Departures(refusals, hints, clients, sessions),
        logout_notices=logout_notices,
        published=Published(estate, keys, world.clock, offer, settings.metadata_max_age),
        visitors=Visitors(world, people, sessions, questions),
        apps=Apps(world, grants, choices, clients, people, estate),
        manners=Manners(
            Cookie(settings.secure),
            Cookie(settings.secure, "known", familiar.LIFETIME),
            Csrf(kek.derive("csrf"), settings.issuer),
            sources,
            Certificates(settings.client_certificate_header, sources),
            settings.server_name,
        ),
    )
    world.database.write(broker.prepare_keys)
    keys.refresh()
    return broker
