"""Apply an estate file: judged whole, planned and done in one transaction, each change with its record."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from broker.admin import authority, policy_entry, references
from broker.admin import plan as planning
from broker.admin.model import Change, EstateProblems, Holdings, Key, Problem, Wanted
from broker.admin.rooms import Rooms
from broker.audit.model import Fact
from broker.control.budgets.model import Budget
from broker.control.policy.model import SERVER, PolicyText
from broker.estate.claims.model import Claim
from broker.estate.model import Edge, Resource
from broker.identity.clients.model import SECRET_METHODS, Client
from broker.identity.federation.model import Provider
from broker.identity.federation.trusted.model import Recipient, TrustedIssuer, Workload
from broker.identity.tenants.model import Tenant
from broker.identity.users.model import User
from broker.protocol.names import NONE
from broker.protocol.origin import Origin
from broker.runtime.database import Conflict, Transaction

Removal = Callable[[Wanted, Holdings], Collection[Key]]


def nothing(_: Wanted, __: Holdings) -> Collection[Key]:
    """Delete nothing: what the file does not name stays as it is."""
    return ()


@dataclass(frozen=True, slots=True)
class _Ready:
    """What is slow and hence done before the transaction: by user, the hash of each password that is new."""

    hashes: dict[str, str] = field(repr=False)
    problems: list[Problem]


class Apply:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def holdings(self) -> Holdings:
        """Everything there is now."""
        return self._rooms.world.database.read(self._holdings)

    def apply(
        self,
        wanted: Wanted,
        origin: Origin,
        *,
        dry_run: bool = False,
        prune: bool = False,
        removal: Removal = nothing,
        within: str | None = None,
    ) -> list[Change]:
        """What changed, or would. EstateProblems when something does not fit; then nothing changed.

        `within`: with the authority of this tenant's own admins, None with that of the server's.
        """
        removal = planning.prunable if prune else removal
        ready = self._ready(wanted)
        database = self._rooms.world.database
        if dry_run:
            return database.read(lambda tx: self._judge(tx, wanted, removal, ready, within)[0])
        doing: list[Change] = []

        def unit(tx: Transaction) -> list[Change]:
            changes, claims = self._judge(tx, wanted, removal, ready, within)
            for change in changes:
                doing[:] = [change]
                self._do(tx, change, wanted, ready.hashes, origin)
                authority.registered(self._rooms, tx, change, wanted, claims)
            if changes:
                self._rooms.changes.announce(tx)
            self._rooms.prepare_keys(tx)
            return changes

        try:
            changes = database.write(unit, throwing=True)
        except Conflict:
            raise EstateProblems([_conflict(doing, wanted)]) from None
        self._rooms.world.snapshots.refresh()
        return changes

    def record(self, tx: Transaction, change: Change, tenant: str | None, origin: Origin) -> None:
        """One `estate.applied`. A user's id is personal: it stands beside the record, as its subject."""
        user = change.id if change.noun == "user" else None
        said: dict[str, object] = {
            "noun": change.noun,
            "action": change.action,
            "fields": list(change.members),
        }
        if change.noun == "edge":  # who may act towards whom is asked of the evidence, with its terms
            said["terms"] = {item.member: item.after for item in change.differences}
        fact = Fact(
            "estate.applied",
            tenant=tenant,
            subject=user,
            client=change.id if change.noun == "client" else None,
            change=said if user else {**said, "id": change.id},
        )
        self._rooms.recorder.record(tx, fact, origin)

    def _holdings(self, tx: Transaction) -> Holdings:
        rooms = self._rooms
        return Holdings.of(
            rooms.tenants.every(tx),
            rooms.providers.every(tx),
            rooms.issuers.every(tx),
            rooms.people.every(tx),
            rooms.clients.every(tx),
            rooms.changes.resources(tx),
            rooms.changes.edges(tx),
            rooms.policies.texts(tx),
            rooms.budgets.every(tx),
        )

    def _ready(self, wanted: Wanted) -> _Ready:
        people, problems = self._rooms.people, list(wanted.problems)
        hashes: dict[str, str] = {}
        for user_id, password in wanted.passwords.items():
            if people.get(user_id) is None or not people.password_matches(user_id, password):
                try:
                    person = wanted.holdings.held[("user", user_id)]
                    assert isinstance(person, User)
                    self._rooms.judge(password, person)
                    hashes[user_id] = people.hash(password)
                except ValueError as error:
                    problems.append(Problem(f"{wanted.path(('user', user_id))}.password", str(error)))
        for client_id, secret in wanted.secrets.items():
            if self._rooms.clients.too_short(secret):
                path = f"{wanted.path(('client', client_id))}.client_secret"
                problems.append(
                    Problem(path, "a secret has at least 32 characters: `openssl rand -base64 32` makes one")
                )
        return _Ready(hashes, problems)

    def _judge(
        self, tx: Transaction, wanted: Wanted, removal: Removal, ready: _Ready, within: str | None
    ) -> tuple[list[Change], Mapping[str, Claim]]:
        """The plan, and where a tenant's admins act, the claims by which they do."""
        current = self._holdings(tx)
        removed = removal(wanted, current)
        outcome = planning.after(wanted, current, removed)
        clients = self._rooms.clients
        renewed: set[Key] = {("user", user_id) for user_id in ready.hashes}
        for client_id, secret in wanted.secrets.items():
            if not clients.has_secret(tx, client_id, secret):
                renewed.add(("client", client_id))
        for provider_id, secret in wanted.provider_secrets.items():
            provider = wanted.holdings.providers[provider_id]
            if not self._rooms.providers.has_secret(tx, provider, secret):
                renewed.add(("idp", provider_id))
        for resource_id, secret in wanted.vault_secrets.items():
            if not self._rooms.vault.credentials.has(tx, resource_id, secret):
                renewed.add(("resource", resource_id))
        changes = planning.plan(wanted, current, removed, renewed)
        # First: whoever may not change it is not told how it hangs together with what is others'.
        claims = authority.claims_for(self._rooms, tx, changes, wanted, current, within)
        wrong = ready.problems + references.check(outcome, wanted, current)
        if outcome.policies:
            resources = self._rooms.changes.joined(tx, outcome.resources.values())
            wrong += policy_entry.check(outcome, resources, wanted)
        if wrong:
            raise EstateProblems(wrong)
        return changes, claims

    def _do(
        self, tx: Transaction, change: Change, wanted: Wanted, hashes: dict[str, str], origin: Origin
    ) -> None:
        if change.action == "delete":
            tenant = self._remove(tx, change)
        else:
            tenant = self._put(tx, change, wanted, hashes, origin.client or origin.source)
        self.record(tx, change, tenant, origin)

    def _put(
        self, tx: Transaction, change: Change, wanted: Wanted, hashes: dict[str, str], by: str
    ) -> str | None:
        """Create or change one object for `by`; the tenant that it belongs to alone."""
        rooms = self._rooms
        held = wanted.holdings.held[change.key]
        match held:
            case Tenant():
                rooms.tenants.put(tx, held)
                return held.id
            case Provider():
                rooms.providers.put(tx, held)
                if (secret := wanted.provider_secrets.get(held.id)) is not None or held.method == NONE:
                    rooms.providers.set_secret(tx, held, secret)
                return held.tenant
            case TrustedIssuer() | Workload() | Recipient():
                rooms.issuers.put(tx, held)
                return held.tenant
            case User():
                if rooms.clients.ever(tx, held.id):  # one namespace, and no id is given twice
                    raise Conflict
                rooms.people.put(tx, held)
                rooms.vault.connections.end_outside(tx, held.id, held.tenants())
                if held.id in hashes:
                    rooms.set_password(tx, held.id, hashes[held.id])
                return None
            case Client():
                if rooms.people.ever(tx, held.client_id):
                    raise Conflict
                rooms.clients.put(tx, replace(held, created_at=rooms.world.clock.now()))
                if (secret := wanted.secrets.get(held.client_id)) is not None:
                    rooms.clients.set_secret(tx, held, secret)
                elif held.method not in SECRET_METHODS:
                    rooms.clients.forget_secrets(tx, held)
                return held.tenant
            case Resource():
                rooms.changes.put_resource(tx, held)
                if held.vault is not None:
                    rooms.vault.connections.end_unserved(tx, held)
                if (secret := wanted.vault_secrets.get(held.id)) is not None:
                    rooms.vault.credentials.set(tx, held.id, secret)
                return held.tenants[0] if len(held.tenants) == 1 and not held.serves("*") else None
            case Edge():
                rooms.changes.put_edge(tx, held, by)
                return None
            case PolicyText():
                rooms.policies.put(tx, held)
                return None if held.tenant == SERVER else held.tenant
            case Budget():
                rooms.budgets.put(tx, held)
                return held.tenant
            case _:
                assert_never(held)

    def _remove(self, tx: Transaction, change: Change) -> str | None:
        rooms = self._rooms
        match change.noun:
            case "tenant":
                rooms.vault.connections.end_all(tx, "the tenant was removed", tenant=change.id)
                rooms.tenants.remove(tx, change.id)
                return change.id
            case "idp":
                rooms.providers.remove(tx, change.id)
            case "issuer":
                rooms.issuers.remove(tx, TrustedIssuer, change.id)
            case "workload":
                rooms.issuers.remove(tx, Workload, change.id)
            case "recipient":
                rooms.issuers.remove(tx, Recipient, change.id)
            case "user":
                rooms.vault.connections.end_all(tx, "the user was removed", user_id=change.id)
                rooms.people.remove(tx, change.id)
            case "client":
                rooms.clients.remove(tx, change.id)
            case "resource":
                rooms.vault.connections.end_all(tx, "the resource was removed", resource_id=change.id)
                rooms.vault.credentials.set(tx, change.id, None)
                rooms.changes.remove_resource(tx, change.id)
            case "budget":
                rooms.budgets.remove(tx, change.id)
            case "policy":
                rooms.policies.remove(tx, change.id)
                return None if change.id == SERVER else change.id
            case _:
                source, _, target = change.id.partition("->")
                rooms.changes.remove_edge(tx, source, target)
        return None


def _conflict(doing: list[Change], wanted: Wanted) -> Problem:
    """Which object the database refused: an id that was given before, or an address still held by another."""
    path = wanted.path(doing[0].key) if doing else ""
    if doing and doing[0].noun == "resource":
        return Problem(path, "its id belonged to a resource that was deleted, or its uri is still another's")
    return Problem(path, "its id belonged to something that was deleted: an id is never given again")
