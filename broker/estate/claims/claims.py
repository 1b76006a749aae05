"""RFC 9728 section 3.3: a tenant says an address is its own; the address is asked, or a root admin gives their word."""

from collections.abc import Callable

from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.estate.claims import rules, store
from broker.estate.claims.model import Claim, State
from broker.identity.tenants.doors import Doors
from broker.protocol import resource as resource_uri
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Database, Transaction
from broker.runtime.egress import Egress, EgressFailed, EgressRefused
from broker.runtime.world import World

LARGEST = 64 * 1024
_SECONDS = 5.0
_MINUTE, _PER_MINUTE = 60.0, 10
_OFF = {Kind.TENANT: Reason.TENANT_OFF, Kind.EVERYTHING: Reason.EVERYTHING_OFF}


class Refused(Exception):
    """Not proved, or not to be claimed; recorded by then where somebody was asked."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason, self.detail = reason, detail


class Claims:
    """`wall` is the tenant of whoever asks, None for a root admin: what stands behind another one does not exist."""

    def __init__(self, world: World, recorder: Recorder, egress: Egress, doors: Callable[[], Doors]) -> None:
        self._world, self._recorder, self._egress, self._doors = world, recorder, egress, doors
        self._asked: dict[str, float] = {}

    def make(self, tenant: str, uri: str, origin: Origin) -> Claim:
        """The tenant's claim of this address, new or as it stands. Refused when nobody could ever prove it."""
        if not resource_uri.valid(uri):
            raise Refused(Reason.MALFORMED)
        if self._doors().for_tenant(tenant) is None:
            raise Refused(Reason.TENANT_UNKNOWN)

        def unit(tx: Transaction) -> Claim:
            self._require_live(tx, tenant)
            known = store.at(tx, tenant, uri)
            if known is not None:
                return known
            now = self._world.clock.now()
            claim = Claim(self._world.entropy.identifier("clm", now), tenant, uri, State.PENDING, now)
            store.add(tx, claim)
            self._record(tx, "resource.claimed", claim, origin)
            return claim

        return self._world.database.write(unit, tenant)

    def every(self, wall: str | None = None) -> list[Claim]:
        return every(self._world.database, wall)

    def get(self, claim_id: str, wall: str | None = None) -> Claim | None:
        return self._world.database.read(lambda tx: store.get(tx, claim_id), wall)

    def prove(self, claim_id: str, origin: Origin | None, wall: str | None = None) -> Claim | None:
        """Ask the address, and settle the claim by what it says. None when there is no such claim; Refused.

        An address that cannot be reached says nothing: what was proved stays so for its time.
        """
        claim = self.get(claim_id, wall)
        door = self._doors().for_tenant(claim.tenant) if claim is not None else None
        if claim is None or door is None:
            return None
        self._world.database.read(lambda tx: self._require_live(tx, claim.tenant), claim.tenant)
        now = self._world.clock.now()
        if self._world.ephemeral.hit("proofs", claim.tenant, _MINUTE, now).count > _PER_MINUTE:
            raise Refused(Reason.RATE_LIMITED)
        why, detail = self._ask(claim.uri, door.issuer)
        return self._settle(claim, why, detail, origin)

    def vouch(self, claim_id: str, why: str, origin: Origin) -> Claim | None:
        """A root admin's word in place of a proof."""

        def unit(tx: Transaction) -> Claim | None:
            claim = store.get(tx, claim_id)
            if claim is None or claim.state is State.VOUCHED:
                return claim
            found = store.settle(tx, claim_id, claim.state, State.VOUCHED, claim.checked_at)
            if found is not None:
                self._record(tx, "resource.vouched", found, origin, change={"why": why})
            return found

        return self._world.database.write(unit)

    def withdraw(self, claim_id: str, origin: Origin, wall: str | None = None) -> bool:
        """What is registered there stays; its tenant has no say in it any more."""

        def unit(tx: Transaction) -> bool:
            claim = store.withdraw(tx, claim_id)
            if claim is not None:
                self._record(tx, "resource.withdrawn", claim, origin)
            return claim is not None

        return self._world.database.write(unit, wall)

    def at(self, tx: Transaction, tenant: str, uri: str) -> Claim | None:
        """Within `tx`: what this tenant claims of this address; `rules.unfit` says what it may do."""
        self._require_live(tx, tenant)
        return store.at(tx, tenant, uri)

    def registered(self, tx: Transaction, claim: Claim, resource_id: str) -> None:
        """Within `tx`: the tenant registered this at the address, so it is the tenant's."""
        store.registered(tx, claim.id, resource_id)

    def look_again(self, most: int = 5) -> None:
        """The background duty: ask the addresses again that were asked, or else heard, longest ago.

        Of those that do not answer it is remembered here alone when they were asked: no other has to wait for them.
        """
        now = self._world.clock.now()
        due = {
            claim.id: claim.checked_at or 0.0
            for claim in self.every()
            if claim.state is State.PROVED and (claim.checked_at or 0.0) <= now - rules.FRESH
        }
        self._asked = {claim_id: at for claim_id, at in self._asked.items() if claim_id in due}
        for claim_id in sorted(due, key=lambda one: (self._asked.get(one, 0.0), due[one], one))[:most]:
            self._asked[claim_id] = now
            try:
                self.prove(claim_id, None)
            except Refused:
                continue  # recorded

    def _ask(self, uri: str, issuer: str) -> tuple[Reason | None, str]:
        try:
            answer = self._egress.get(rules.proof_url(uri), largest=LARGEST, seconds=_SECONDS)
        except (EgressRefused, EgressFailed) as error:
            return Reason.PROOF_UNREACHABLE, str(error)
        if answer.status >= 500 or answer.status in (408, 429):
            return Reason.PROOF_UNREACHABLE, f"status {answer.status}"
        return rules.heard(uri, issuer, answer.status, answer.headers, answer.body), f"status {answer.status}"

    def _settle(self, claim: Claim, why: Reason | None, detail: str, origin: Origin | None) -> Claim | None:
        after = claim.state if why is Reason.PROOF_UNREACHABLE else rules.settled(claim.state, why)
        heard_at = self._world.clock.now() if why is None else claim.checked_at

        def unit(tx: Transaction) -> Claim | None:
            found = store.settle(tx, claim.id, claim.state, after, heard_at)
            if found is None:
                return None
            if why is None:
                self._record(tx, "resource.proved", found, origin)
            else:
                lapsed = after is State.LAPSED and claim.state is not State.LAPSED
                name = "resource.lapsed" if lapsed else "resource.unproved"
                self._record(tx, name, found, origin, why, detail)
            return found

        settled = self._world.database.write(unit, claim.tenant)
        if why is not None and settled is not None:
            raise Refused(why, detail)
        return settled

    def _require_live(self, tx: Transaction, tenant: str) -> None:
        off = live.first_off(tx, [Target(Kind.TENANT, tenant)], self._world.clock.now())
        if off is not None:
            raise Refused(_OFF[off.kind])

    def _record(
        self,
        tx: Transaction,
        name: str,
        claim: Claim,
        origin: Origin | None,
        reason: Reason | None = None,
        detail: str = "",
        change: dict[str, object] | None = None,
    ) -> None:
        fact = Fact(
            name,
            Outcome.ALLOWED if reason is None else Outcome.DENIED,
            reason,
            detail=detail or None,
            tenant=claim.tenant,
            resource=claim.resource_id,
            change={"claim": claim.id, "uri": claim.uri, **(change or {})},
        )
        self._recorder.record(tx, fact, origin)


def every(database: Database, wall: str | None = None) -> list[Claim]:
    """All claims behind a wall, for whoever has a database and no rooms."""
    return database.read(store.every, wall)
