"""AuthZEN Access Request profile: asked with the binding token of a refusal, followed, cancelled.

The token only names what is stored: who may use it, and what has become of it, is asked of the store each time.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from broker.audit.model import Fact, Outcome
from broker.audit.refusals import Refusals
from broker.control.approvals.model import Approval, NotAnswered, State
from broker.control.approvals.room import Room
from broker.decisions.callers import Callers
from broker.denials import live as denials
from broker.denials.model import Kind, Target
from broker.estate.estate import Estate
from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.model import Client
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.tokens import live, strangers


@dataclass(frozen=True, slots=True)
class Asker:
    """Who sent a request: a client, proven unless it is public; or whoever holds the binding token of `named`."""

    client: Client | None
    named: Approval | None = None


class Requests:
    def __init__(
        self,
        world: World,
        refusals: Refusals,
        estate: Callable[[], Estate],
        callers: Callers,
        room: Room,
    ) -> None:
        self._world, self._refusals, self._estate = world, refusals, estate
        self._callers, self._room = callers, room

    def ask(
        self, door: Door, attempt: Attempt, asked: Mapping[str, object], key: str | None, origin: Origin
    ) -> Approval:
        """The request as it stands. `asked`: the body; `key`: the Idempotency-Key. OAuthError, recorded by then."""
        asker = Asker(None)
        try:
            asker = self._asker(door, attempt, origin)
            token = _binding(asked)
            keyed = None if key is None else _key(asker, key)
            return self._world.database.write(
                lambda tx: self._asked(tx, door, asker, token, asked, keyed, origin), door.tenant
            )
        except OAuthError as error:
            self._refuse(door, asker, error, origin)
            raise

    def unreadable(self, door: Door, error: OAuthError, origin: Origin) -> None:
        """Record a request that was refused before anybody could be recognized in it."""
        self._refuse(door, Asker(None), error, origin)

    def status(self, door: Door, attempt: Attempt, approval_id: str, origin: Origin) -> Approval:
        """As it stands; OAuthError 404, recorded, also for what is somebody else's."""
        asker = Asker(None)
        try:
            asker = self._asker(door, attempt, origin)
            return self._world.database.read(
                lambda tx: self._theirs(tx, door, asker, approval_id), door.tenant
            )
        except OAuthError as error:
            self._refuse(door, asker, error, origin)
            raise

    def cancel(self, door: Door, attempt: Attempt, approval_id: str, origin: Origin) -> Approval:
        """Withdrawn by whoever asked; OAuthError 409 when it is over."""
        asker = Asker(None)

        def unit(tx: Transaction) -> Approval:
            found = self._theirs(tx, door, asker, approval_id)
            return self._room.asking.withdraw(tx, found.id, None, None, origin)

        try:
            asker = self._asker(door, attempt, origin)
            return self._world.database.write(unit, door.tenant)
        except NotAnswered:
            error = _over(409)
            self._refuse(door, asker, error, origin)
            raise error from None
        except OAuthError as error:
            self._refuse(door, asker, error, origin)
            raise

    def _asker(self, door: Door, attempt: Attempt, origin: Origin) -> Asker:
        scheme, _, bearer = (attempt.authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            named = self._world.database.read(lambda tx: self._named(tx, door, bearer.strip()), door.tenant)
            if named is not None:
                return Asker(None, named)
        return Asker(self._callers.authenticated(door, attempt, origin))

    def _named(self, tx: Transaction, door: Door, token: str) -> Approval | None:
        return self._room.bindings.named(tx, door, token, self._world.clock.now())

    def _asked(
        self,
        tx: Transaction,
        door: Door,
        asker: Asker,
        token: str,
        asked: Mapping[str, object],
        key: str | None,
        origin: Origin,
    ) -> Approval:
        found = self._named(tx, door, token)
        if found is None or not self._for(asker, found, holding=True) or not _same(found, asked):
            raise OAuthError(
                "invalid_request",
                "The binding token is not good for this: send it as the decision gave it, for the same call.",
                Reason.BINDING_INVALID,
            )
        self._require_on(tx, asker, found)
        if key is not None and (before := self._room.asking.keyed(tx, key)) is not None:
            if before != found.id:
                raise OAuthError(
                    "invalid_request",
                    "This Idempotency-Key was used for another request.",
                    Reason.BINDING_INVALID,
                    status=422,
                )
            return found
        if not found.waits(self._world.clock.now()):
            raise _over(400)
        self._room.asking.request(tx, found, origin, key)
        now = self._room.asking.one(tx, found.id)
        assert now is not None
        return now

    def _theirs(self, tx: Transaction, door: Door, asker: Asker, approval_id: str) -> Approval:
        found = self._room.asking.one(tx, approval_id)
        if found is None or found.door != door.issuer or not self._for(asker, found):
            raise OAuthError(
                "invalid_request", "There is no such request.", Reason.APPROVAL_UNKNOWN, status=404
            )
        self._require_on(tx, asker, found)
        return found

    def _require_on(self, tx: Transaction, asker: Asker, approval: Approval) -> None:
        """OAuthError where who asks, or what the call depends on, is off."""
        targets = [
            Target(Kind.TENANT, approval.tenant),
            Target(Kind.RESOURCE, approval.question.resource_id),
            Target(Kind.CLIENT, approval.client_id),
        ]
        if asker.client is not None:
            targets.append(Target(Kind.CLIENT, asker.client.client_id))
        if approval.user:
            targets.append(Target(Kind.USER, approval.subject))
        if approval.grant_id is not None:
            targets.append(Target(Kind.GRANT, approval.grant_id))
        off = denials.first_off(tx, targets, self._world.clock.now())
        if off is not None:
            raise live.refused(off)

    def _for(self, asker: Asker, approval: Approval, *, holding: bool = False) -> bool:
        """Whether it is theirs. `holding`: they showed its token too, which a public client has to."""
        client = asker.client
        if client is None:
            return asker.named is not None and asker.named.id == approval.id
        resource = self._estate().of_client(client.client_id)
        if resource is not None and resource.id == approval.question.resource_id:
            return not client.public and resource.serves(approval.tenant)
        return client.client_id == approval.client_id and (holding or not client.public)

    def _refuse(self, door: Door, asker: Asker, error: OAuthError, origin: Origin) -> None:
        client = asker.client
        fact = Fact(
            "approval.refused",
            Outcome.DENIED,
            error.reason,
            tenant=door.tenant,
            client=client.client_id if client else error.client,
            approval=asker.named.id if asker.named else None,
            issuer=door.issuer,
        )
        self._refusals.record(fact, origin, known=strangers.known(client, error.reason))


def status(approval: Approval, now: float) -> str:
    """The profile's word for a state."""
    match approval.state:
        case State.OFFERED | State.REQUESTED:
            return "pending" if approval.waits(now) else "expired"
        case State.APPROVED:
            return "approved" if now < approval.expires_at else "expired"
        case State.SPENT:
            return "approved"
        case State.WITHDRAWN:
            return "cancelled"
        case _:
            return approval.state.value


def _binding(asked: Mapping[str, object]) -> str:
    denial = asked.get("denial")
    token = denial.get("binding_token") if isinstance(denial, Mapping) else None
    if not isinstance(token, str) or not token:
        raise OAuthError(
            "invalid_request",
            "denial.binding_token: send the token of the decision.",
            Reason.PARAMETER_MISSING,
        )
    return token


def _same(approval: Approval, asked: Mapping[str, object]) -> bool:
    """Whether what the body says of the call, as far as it does, is what was refused."""
    question = approval.question
    said = (("subject", "id", approval.subject), ("resource", "id", question.tool))
    return all(
        not isinstance(found := asked.get(name), Mapping) or found.get(member) in (None, wanted)
        for name, member, wanted in said
    )


def _key(asker: Asker, key: str) -> str:
    who = asker.client.client_id if asker.client else f"holder of {asker.named.id if asker.named else ''}"
    return hashlib.sha256(f"{who}\0{key}".encode()).hexdigest()


def _over(status_code: int) -> OAuthError:
    return OAuthError(
        "invalid_request", "This request was answered, or is over.", Reason.APPROVAL_OVER, status=status_code
    )
