"""Reads that a guard decided by itself, told afterwards: each is recorded as its token's, by what we know of the token.

The token is named by its `jti` and never sent; whose it is, says the record of its making.
"""

from collections.abc import Sequence, Set
from datetime import UTC, datetime
from enum import StrEnum

from broker.audit import makings
from broker.audit.makings import Making
from broker.audit.model import Fact, Outcome
from broker.audit.record import Recorder
from broker.control.model import Why
from broker.control.policy.policies import Policies
from broker.decisions import rules
from broker.decisions.model import Caller
from broker.decisions.reported import ReportedCall
from broker.decisions.words import cleaned
from broker.denials import live as denials
from broker.estate.model import Resource
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.once import Spend, spend
from broker.runtime.world import World

_REMEMBERED = 3600.0
_LATEST = 253402300799.0  # the last second that a record's time can be written for


class Reports:
    def __init__(self, world: World, recorder: Recorder, policies: Policies) -> None:
        self._world, self._recorder, self._policies = world, recorder, policies

    def take(self, caller: Caller, calls: Sequence[ReportedCall], origin: Origin) -> list[int]:
        """Record them all, in one transaction; the places of those whose token is none of the resource's."""
        now, resource = self._world.clock.now(), caller.resource

        def unit(tx: Transaction) -> list[int]:
            wrong = self._wrong(tx, resource, {call.tool for call in calls}, now)
            known = makings.of(tx, {call.jti for call in calls})
            unknown = []
            for place, call in enumerate(calls):
                making = known.get(call.jti)
                if making is None or making.resource != resource.id:
                    unknown.append(place)
                elif self._first(tx, resource, call, now):
                    self._recorder.record(tx, _fact(resource, call, making, wrong.get(call.tool)), origin)
            return unknown

        return self._world.database.write(unit, caller.door.tenant)

    def _wrong(self, tx: Transaction, resource: Resource, names: Set[str], now: float) -> dict[str, StrEnum]:
        """Why calls of which of these tools could not go ahead by the catalogue."""
        found: dict[str, StrEnum] = dict.fromkeys(names, Reason.NOT_ASKED)
        unspoken = self._policies.unspoken(resource)
        tools = [
            tool
            for tool in resource.tools
            if tool.name in names and rules.by_catalogue(resource, tool, unspoken)
        ]
        aims = {tool.name: rules.targets(resource, tool) for tool in tools}
        off = denials.all_off(tx, [aim for of in aims.values() for aim in of], now)
        for name, of in aims.items():
            del found[name]
            if not off.isdisjoint(of):
                found[name] = Why.SWITCHED_OFF
        return found

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


def _fact(resource: Resource, call: ReportedCall, making: Making, wrong: StrEnum | None) -> Fact:
    """`wrong`: what happened, though the guard had to ask for it first, or it was switched off."""
    change: dict[str, object] = {"status": call.status.value}
    if call.at is not None and call.at <= _LATEST:
        when = datetime.fromtimestamp(call.at, UTC).isoformat(timespec="milliseconds")
        change["at"] = when.replace("+00:00", "Z")
    if call.request_id is not None:
        change["request"] = call.request_id
    return Fact(
        "call.reported",
        Outcome.ALLOWED if wrong is None else Outcome.DENIED,
        wrong,
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
