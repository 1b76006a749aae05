"""What became of a permitted call, as its server says it: once, kept short for duplicates, and in the evidence."""

from broker.audit.model import Fact
from broker.audit.record import Recorder
from broker.control.budgets.budgets import Budgets
from broker.control.budgets.model import Call
from broker.control.idempotency.keys import Keys
from broker.control.idempotency.model import Permit
from broker.decisions.model import Caller
from broker.decisions.reported import Outcome
from broker.estate.model import Resource, Tool
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World


class Outcomes:
    def __init__(self, world: World, recorder: Recorder, keys: Keys, budgets: Budgets) -> None:
        self._world, self._recorder, self._keys, self._budgets = world, recorder, keys, budgets

    def report(self, caller: Caller, said: Outcome, origin: Origin) -> bool:
        """Whether it is new; the same said again is not. OAuthError 404 for no decision of the caller's, 409 where
        something else was said of it before."""
        now = self._world.clock.now()

        def unit(tx: Transaction) -> tuple[Permit, bool]:
            permit = self._keys.find(tx, said.decision_id)
            if permit is None or permit.resource != caller.resource.id:
                raise OAuthError(
                    "invalid_request",
                    "There is no such decision about the resource, or it was forgotten.",
                    Reason.DECISION_UNKNOWN,
                    status=404,
                )
            inside = tx.inside(permit.tenant)
            if self._keys.finish(inside, permit.tenant, permit.id, said.kept(), now):
                self._recorder.record(inside, _fact(permit, said), origin)
                if said.cost is not None:
                    self._budgets.correct(
                        inside, _call(permit, caller.resource), permit.made_at, said.cost, now
                    )
                return permit, True
            before = self._keys.find(inside, permit.id)
            if before is None or before.outcome != said.kept():
                raise OAuthError(
                    "invalid_request",
                    "Another outcome of that decision was reported before.",
                    Reason.OUTCOME_DIFFERS,
                    status=409,
                )
            return permit, False

        permit, new = self._world.database.write(unit, caller.door.tenant)
        self._budgets.left(permit.id, _call(permit, caller.resource))
        return new


def _fact(permit: Permit, said: Outcome) -> Fact:
    more = {"status": said.status.value, "cost": said.cost, "undo": said.undo}
    return Fact(
        "outcome.reported",
        tenant=permit.tenant,
        subject=permit.subject,
        client=permit.client_id,
        resource=permit.resource,
        tool=permit.tool,
        txn=permit.txn,
        grant_id=permit.grant_id,
        arguments_digest=permit.digest,
        decision=permit.id,
        downstream_request_id=said.downstream_request_id,
        result_digest=said.result_digest,
        result_size=said.result_size,
        change={name: value for name, value in more.items() if value is not None},
    )


def _call(permit: Permit, resource: Resource) -> Call:
    """The call as it was decided, as far as the estate still knows its tool."""
    known = next((tool for tool in resource.tools if tool.name == permit.tool), Tool(permit.tool, ()))
    return Call(permit.tenant, permit.subject, permit.client_id, resource, known)
