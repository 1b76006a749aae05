"""Reads that a guard decided by itself, told afterwards: each is recorded as its token's, by what we know of the token.

The token is named by its `jti` and never sent; whose it is, says the record of its making.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from broker.audit import makings
from broker.audit.makings import Making
from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.decisions.model import Caller
from broker.decisions.reported import ReportedCall
from broker.decisions.words import cleaned
from broker.estate.model import Impact, Recording, Resource
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.once import Spend, spend
from broker.runtime.world import World

_REMEMBERED = 3600.0
_LATEST = 253402300799.0  # the last second that a record's time can be written for


class Reports:
    def __init__(self, world: World, recorder: Recorder) -> None:
        self._world, self._recorder = world, recorder

    def take(self, caller: Caller, calls: Sequence[ReportedCall], origin: Origin) -> list[int]:
        """Record them all, in one transaction; the places of those whose token is none of the resource's."""
        now = self._world.clock.now()

        def unit(tx: Transaction) -> list[int]:
            known = makings.of(tx, {call.jti for call in calls})
            unknown = []
            for place, call in enumerate(calls):
                making = known.get(call.jti)
                if making is None or making.resource != caller.resource.id:
                    unknown.append(place)
                elif self._first(tx, caller.resource, call, now):
                    self._recorder.record(tx, _fact(caller.resource, call, making), origin)
            return unknown

        return self._world.database.write(unit, caller.door.tenant)

    def _first(self, tx: Transaction, resource: Resource, call: ReportedCall, now: float) -> bool:
        """Whether a call of this id was not told of before."""
        if call.id is None:
            return True
        again = OAuthError("invalid_request", "The call was reported before.", Reason.OUTCOME_DIFFERS)
        try:
            spend(tx, [Spend("reported-call", (resource.id, call.id), now + _REMEMBERED, again)])
        except OAuthError:
            return False
        return True


def _fact(resource: Resource, call: ReportedCall, making: Making) -> Fact:
    """`denied`: what happened, though the guard had to ask for it first."""
    tool = next((tool for tool in resource.tools if tool.name == call.tool), None)
    may = resource.record is Recording.AFTER and tool is not None and tool.impact is Impact.READ
    change: dict[str, object] = {"status": call.status.value}
    if call.at is not None and call.at <= _LATEST:
        when = datetime.fromtimestamp(call.at, UTC).isoformat(timespec="milliseconds")
        change["at"] = when.replace("+00:00", "Z")
    if call.request_id is not None:
        change["request"] = cleaned(call.request_id, None)
    return Fact(
        "call.reported",
        Outcome.ALLOWED if may else Outcome.DENIED,
        None if may else Reason.NOT_ASKED,
        tenant=making.tenant,
        subject=making.subject,
        client=making.client,
        actors=making.actors,
        resource=resource.id,
        tool=cleaned(call.tool, None),
        intent=cleaned(call.intent, None) if call.intent else None,
        arguments_digest=call.arguments_digest,
        jti=call.jti,
        txn=making.txn,
        grant_id=making.grant_id,
        downstream_request_id=call.downstream_request_id,
        result_digest=call.result_digest,
        result_size=call.result_size,
        change=change,
    )
