"""How the rooms are built and hang together: the only place that knows."""

from broker.account.apps import Apps
from broker.account.visitor import Visitors
from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.authorization import room as front_room
from broker.authorization.wishes import PROMPTS, RESPONSE_MODES
from broker.built import Broker as Broker
from broker.control.alerts.spikes import Spikes
from broker.control.approvals import room as approvals_room
from broker.control.budgets import room as budgets_room
from broker.control.policy.policies import Policies
from broker.control.webhooks import room as webhooks_room
from broker.decisions import room as decisions_room
from broker.denials.switch import Switches
from broker.estate.catalogue.catalogue import Catalogue
from broker.estate.changes import Changes
from broker.estate.claims.claims import Claims
from broker.estate.estate import STAMP
from broker.estate.published import Offer, Published
from broker.identity.clients import room as clients_room
from broker.identity.clients.model import METHODS
from broker.identity.federation.links import Links
from broker.identity.federation.providers import Providers
from broker.identity.federation.room import furnished
from broker.identity.federation.trusted.room import believing
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.keys import DoorKeys
from broker.identity.tenants.tenants import Tenants
from broker.identity.users import familiar
from broker.identity.users.assembly import Limits, assembled
from broker.identity.users.credentials.notices import Notices
from broker.identity.users.password import Passwords
from broker.identity.users.people import People
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
from broker.runtime.snapshot import Settled, Snapshots
from broker.runtime.world import World
from broker.settings import Settings
from broker.tokens import consented, who
from broker.tokens import room as tokens_room
from broker.vault import room as vault_room
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
    clock = clock or SystemClock()
    measured = Measured(database or open_database(settings.database), metrics)
    snapshots = Snapshots(measured, clock)
    world = World(
        clock,
        entropy or SystemEntropy(),
        Settled(measured, snapshots),
        counters(settings, kek),
        snapshots,
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
    snapshot = snapshots.of(STAMP, changes.load)
    estate = snapshot.get
    believed = believing(world, egress, lambda: estate().doors, STAMP)
    by = clients_room.furnished(
        world, recorder, refusals, egress, kek, believed.workloads, lambda: estate().doors, settings
    )
    passwords = Passwords(settings.argon2_memory_kib, settings.argon2_iterations)
    sessions = Sessions(world, recorder, settings.session_idle, settings.session_absolute)
    notices = Notices(world, recorder)
    people = People(world, passwords, sessions, notices)
    providers = Providers(world, kek, STAMP)
    links = Links(world, recorder, notices, people, lambda: estate().doors)
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
        links.has,
        providers.whole,
    )
    federation = furnished(
        world,
        recorder,
        refusals,
        egress,
        sessions,
        people,
        by.clients,
        providers,
        links,
        signing_in.ways_in,
        believed,
        lambda: estate().doors,
        key=kek.derive("federation"),
        per_minute=settings.interactions_per_minute,
        longest=settings.session_absolute,
    )
    front = front_room.furnished(
        world,
        recorder,
        refusals,
        egress,
        kek,
        keys,
        estate,
        by,
        people,
        sessions,
        providers,
        signing_in.sign_in.reachable,
        settings,
    )
    vault = vault_room.furnished(
        world,
        recorder,
        refusals,
        egress,
        sessions,
        people,
        providers,
        estate,
        front.grants.within,
        kek,
        per_minute=settings.interactions_per_minute,
    )
    policies = Policies(world)
    webhooks = webhooks_room.furnished(world, recorder, egress, settings)
    budgets = budgets_room.furnished(world, webhooks, settings)
    approvals = approvals_room.furnished(
        world, recorder, refusals, keys, people, links, sessions, webhooks, settings
    )
    tokens = tokens_room.furnished(
        world,
        recorder,
        refusals,
        kek,
        keys,
        estate,
        by,
        people,
        sessions,
        federation.trusted,
        front,
        vault,
        policies,
        budgets.budgets,
        approvals.asking,
        settings,
    )
    decisions = decisions_room.furnished(
        world,
        recorder,
        refusals,
        estate,
        by,
        people,
        tokens,
        keys,
        policies,
        budgets.budgets,
        approvals.approvals,
        settings,
    )
    signing_in.new_passwords.on_reset(
        lambda tx, user_id: front.grants.end_all(tx, user_id, "the password was set anew")
    )
    sources = Sources(settings.trusted_proxies, world.entropy)
    offer = Offer(
        tuple(tokens.pipeline.grant_types),
        tuple(name for name in by.authenticator.methods if name in METHODS),
        PROMPTS,
        settings.registration_open,
        settings.client_documents,
        (*who.CLAIMS, *consented.AUTH_CLAIMS),
        certificates=settings.sees_certificates,
        mtls_origin=settings.mtls_origin,
        response_modes=RESPONSE_MODES,
        ui_locales=tuple(CATALOGUES),
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
        catalogue=Catalogue(world, recorder, STAMP),
        clients=by.clients,
        people=people,
        sessions=sessions,
        providers=providers,
        federation=federation,
        vault=vault,
        grants=front.grants,
        switches=Switches(world, recorder),
        registration=by.registration,
        management=by.management,
        signing_in=signing_in,
        authorize=front.authorize,
        pushed=front.pushed,
        push=front.push,
        interactions=front.interactions,
        choices=front.choices,
        consent=front.consent,
        devices=front.devices,
        device_start=front.device_start,
        device_entry=front.device_entry,
        families=tokens.families,
        authenticator=by.authenticator,
        pipeline=tokens.pipeline,
        introspection=tokens.introspection,
        revocation=tokens.revocation,
        userinfo=tokens.userinfo,
        decisions=decisions,
        departures=front.departures,
        logout_notices=front.logout_notices,
        webhooks=webhooks,
        spikes=Spikes(world, webhooks, decisions.keys, settings),
        policies=policies,
        budgets=budgets,
        approvals=approvals,
        published=Published(estate, keys, world.clock, offer, settings.metadata_max_age),
        visitors=Visitors(world, people, sessions, front.questions),
        apps=Apps(world, front.grants, front.choices, by.clients, people, estate),
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
    snapshots.refresh()
    return broker
