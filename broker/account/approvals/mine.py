"""OWASP ASVS V8.2: which approvals a person may see at a door, and whether they may answer them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from broker.account.visitor import Visitor, tenants_at
from broker.control.approvals.model import Approval, State
from broker.control.approvals.room import Room
from broker.estate.estate import Estate
from broker.identity.clients.clients import Clients
from broker.identity.clients.model import Client
from broker.identity.federation.model import Provider
from broker.identity.tenants.model import Door
from broker.identity.users.people import People
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World
from broker.web.approval_pages import Back

_MOST = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """An approval as one person sees it. `may`: they may answer it now; `own`: it is asked in their name.

    `concerned`: they are one of those who may answer, or did; they see what became of it too. `back`: how they can end
    what was allowed and is not used; empty where they cannot.

    `people`: names by id, of the user and of those who answered; `voted`: who allowed it so far and may still.
    """

    approval: Approval
    client: Client | None
    people: Mapping[str, str]
    may: bool
    own: bool
    concerned: bool
    voted: tuple[str, ...] = ()
    back: Back = ""


class Mine:
    def __init__(
        self,
        world: World,
        room: Room,
        clients: Clients,
        people: People,
        estate: Callable[[], Estate],
        providers: Callable[[], Mapping[str, Provider]],
    ) -> None:
        self._world, self._room, self._clients, self._people = world, room, clients, people
        self._estate, self._providers = estate, providers

    def tenants(self, door: Door, visitor: Visitor) -> tuple[str, ...]:
        return tenants_at(door, visitor, self._estate(), self._providers())

    def one(self, door: Door, visitor: Visitor, approval_id: str) -> Seen | None:
        """None for what never was, is of another tenant, or is none of this person's business."""
        seen = self.any(door, visitor, approval_id)
        return seen if seen is not None and (seen.own or seen.concerned) else None

    def any(self, door: Door, visitor: Visitor, approval_id: str) -> Seen | None:
        """As `one`, for who belongs to its tenant and may have no business with it: an answer is refused, not lost."""
        tenants = self.tenants(door, visitor)

        def read(tx: Transaction) -> Seen | None:
            found = self._room.asking.one(tx, approval_id)
            return None if found is None or found.tenant not in tenants else self._seen(tx, found, visitor)

        return self._world.database.read(read, door.tenant)

    def all(self, door: Door, visitor: Visitor) -> tuple[list[Seen], list[Seen], list[Seen]]:
        """Those that wait for this person, are asked in their name, and were answered by them; the newest first."""
        who = visitor.user.id

        def read(tenant: str) -> tuple[list[Seen], list[Seen], list[Seen]]:
            def within(tx: Transaction) -> tuple[list[Seen], list[Seen], list[Seen]]:
                asking = self._room.asking
                opened = [self._seen(tx, one, visitor) for one in asking.before(tx, who, _MOST)]
                waiting = [one for one in opened if one.may and who not in one.voted]
                own = [self._seen(tx, one, visitor) for one in asking.listed(tx, _MOST, who) if one.user]
                done = [self._seen(tx, one, visitor) for one in asking.answered(tx, who, _MOST)]
                return waiting, [one for one in own if one not in waiting], done

            return self._world.database.read(within, tenant)

        found = [read(tenant) for tenant in self.tenants(door, visitor)]
        return (
            [one for waiting, _, _ in found for one in waiting],
            [one for _, own, _ in found for one in own],
            [one for _, _, done in found for one in done],
        )

    def opened(self, seen: Seen, origin: Origin) -> None:
        """The user whose call it is wants it answered: opening the link says so."""
        approval = seen.approval
        if seen.own and approval.state is State.OFFERED and approval.waits(self._world.clock.now()):
            self._world.database.write(
                lambda tx: self._room.asking.request(tx, approval, origin), approval.tenant
            )

    def withdraw(self, seen: Seen, why: str | None, origin: Origin) -> None:
        """By the user whose call it is. NotAnswered."""
        approval = seen.approval
        self._world.database.write(
            lambda tx: self._room.asking.withdraw(tx, approval.id, approval.subject, why, origin),
            approval.tenant,
        )

    def _seen(self, tx: Transaction, approval: Approval, visitor: Visitor) -> Seen:
        who = visitor.user.id
        voted = tuple(self._room.answering.voted(tx, approval))
        named = {*voted, *([approval.answered_by] if approval.answered_by else [])}
        if approval.user:
            named.add(approval.subject)
        found = {user_id: self._people.within(tx, user_id) for user_id in named}
        now, own = self._world.clock.now(), approval.user and approval.subject == who
        waits = approval.waits(now)
        eligible = self._room.answering.may(tx, approval, who)
        back: Back = "deny" if eligible else "withdraw" if own else ""
        return Seen(
            approval,
            self._clients.within(tx, approval.client_id),
            {user_id: user.name for user_id, user in found.items() if user is not None},
            may=waits and eligible,
            own=own,
            concerned=eligible or who in (approval.answered_by, *voted),
            voted=voted,
            back=back if approval.stands(now) and not waits else "",
        )
