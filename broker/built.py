"""Every room, built and wired: what the faces and the command line are given."""

from dataclasses import dataclass

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
from broker.authorization.grants import Grants
from broker.authorization.interaction import Interactions
from broker.authorization.logout.departures import Departures
from broker.authorization.logout.notices import LogoutNotices
from broker.authorization.pushed.push import Push
from broker.authorization.pushed.requests import PushedRequests
from broker.authorization.sweep import sweep as sweep_authorization
from broker.control.alerts.spikes import Spikes
from broker.control.approvals.room import Room as ApprovalsRoom
from broker.control.budgets.room import Room as BudgetsRoom
from broker.control.policy.policies import Policies
from broker.control.webhooks.webhooks import Webhooks
from broker.decisions.room import Room as DecisionsRoom
from broker.denials import live
from broker.denials.switch import Switches
from broker.estate.catalogue.catalogue import Catalogue
from broker.estate.changes import Changes
from broker.estate.claims.claims import Claims
from broker.estate.estate import Estate
from broker.estate.published import Published
from broker.identity.clients.authentication.authenticate import Authenticator
from broker.identity.clients.clients import Clients
from broker.identity.clients.management import Management
from broker.identity.clients.registration import Registration
from broker.identity.federation.providers import Providers
from broker.identity.federation.room import Room as FederationRoom
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.keys import DoorKeys
from broker.identity.tenants.tenants import Tenants
from broker.identity.users.assembly import SigningIn
from broker.identity.users.people import People
from broker.identity.users.sign_in import SignIn
from broker.runtime import once
from broker.runtime.database import Transaction
from broker.runtime.egress import Egress
from broker.runtime.metrics import Metrics
from broker.runtime.snapshot import Snapshot
from broker.runtime.world import World
from broker.settings import Settings
from broker.tokens.families import Families
from broker.tokens.introspect import Introspection
from broker.tokens.pipeline import Pipeline
from broker.tokens.revoke import Revocation
from broker.tokens.userinfo.tell import UserInfo
from broker.vault.room import Room as VaultRoom
from broker.web.manners import Manners


@dataclass(frozen=True, slots=True)
class Broker:
    """Every room, built and wired. `estate()` is what requests are judged by now."""

    settings: Settings
    world: World
    egress: Egress
    metrics: Metrics
    recorder: Recorder
    refusals: Refusals
    door_keys: DoorKeys
    estate_snapshot: Snapshot[Estate]
    tenants: Tenants
    changes: Changes
    claims: Claims
    catalogue: Catalogue
    clients: Clients
    people: People
    sessions: Sessions
    providers: Providers
    federation: FederationRoom
    vault: VaultRoom
    grants: Grants
    switches: Switches
    registration: Registration
    management: Management
    signing_in: SigningIn
    authorize: Authorize
    pushed: PushedRequests
    push: Push
    interactions: Interactions
    choices: Choices
    consent: Consent
    devices: Devices
    device_start: Start
    device_entry: Entry
    families: Families
    authenticator: Authenticator
    pipeline: Pipeline
    introspection: Introspection
    revocation: Revocation
    userinfo: UserInfo
    decisions: DecisionsRoom
    departures: Departures
    logout_notices: LogoutNotices
    webhooks: Webhooks
    spikes: Spikes
    policies: Policies
    budgets: BudgetsRoom
    approvals: ApprovalsRoom
    published: Published
    visitors: Visitors
    apps: Apps
    manners: Manners

    def estate(self) -> Estate:
        return self.estate_snapshot.get()

    @property
    def sign_in(self) -> SignIn:
        return self.signing_in.sign_in

    def prepare_keys(self, tx: Transaction) -> None:
        """A key for each door and algorithm in use, before anything is signed with it."""
        estate = self.changes.load(tx)
        rings = {(door.issuer, "ES256") for door in estate.doors.all()}
        for resource in estate.resources.values():
            rings |= {
                (d.issuer, resource.algorithm) for d in estate.doors.all() if estate.tenants_of(resource, d)
            }
        self.door_keys.prepare(tx, sorted(rings))

    def tend(self) -> None:
        """All background duties, once."""
        self.door_keys.tend()
        self.tidy()
        self.sweep()
        self.logout_notices.deliver()
        self.spikes.look()
        self.webhooks.deliver()
        self.approvals.notices.deliver()
        self.vault.tend()

    def tidy(self) -> None:
        """What every process does for itself: record what it counted, forget what is over."""
        self.refusals.flush()
        self.world.ephemeral.sweep(self.world.clock.now())

    def sweep(self) -> None:
        """Drop what expired; one process does it for all."""
        now = self.world.clock.now()

        def sweep(tx: Transaction) -> None:
            sweep_authorization(tx, now)
            self.choices.sweep(tx, now)
            self.pushed.sweep(tx)
            self.devices.sweep(tx, now)
            self.families.sweep(tx, now)
            self.budgets.configured.sweep(tx, now)
            self.sessions.sweep(tx)
            self.signing_in.notices.sweep(tx)
            self.federation.visits.sweep(tx, now)
            self.vault.sweep(tx, now)
            self.approvals.asking.sweep(tx, now)
            live.sweep(tx, now)
            self.decisions.keys.sweep(tx, now)
            self.registration.expire(tx)
            once.sweep(tx, now)

        self.world.database.write(sweep)

    def close(self) -> None:
        self.egress.close()
        self.world.ephemeral.close()
        self.world.database.close()
