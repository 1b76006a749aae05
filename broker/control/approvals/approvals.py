"""AuthZEN Access Request profile, OWASP AISVS 10.2.7: an act is offered for approval, an approval used up."""

from dataclasses import replace

from broker.audit.record import Recorder
from broker.control.approvals import rules, store
from broker.control.approvals.asking import Asking
from broker.control.approvals.binding import Bindings
from broker.control.approvals.eligible import Eligible
from broker.control.approvals.evidence import fact
from broker.control.approvals.model import Approval, Limits, Offer, Question, State
from broker.control.model import Act, Demand, Refused, Why
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

LONGEST_INTENT = 500
_MINUTE = 60.0
_DENIED_FOR = 300.0
"""Seconds for which an act that was denied is not asked about again."""


class Approvals:
    """What decisions ask, within their own transaction."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        eligible: Eligible,
        asking: Asking,
        bindings: Bindings,
        limits: Limits,
    ) -> None:
        self._world, self._recorder, self._eligible = world, recorder, eligible
        self._asking, self._bindings, self._limits = asking, bindings, limits

    def spend(
        self,
        tx: Transaction,
        act: Act,
        demand: Demand | None,
        now: float,
        origin: Origin | None = None,
        decision_id: str | None = None,
        only: str | None = None,
    ) -> Approval | None:
        """Use up an approval of exactly this act; None when there is none, or the wish of policy now is for more.

        It is used at the door where it was asked, for a tool of the class that people saw, and not where the grant it
        was asked under is off. The people who gave it have to be such as may give it now. `only`: the one that the
        token carries, which is used up whether or not policy asks for one by now.
        """
        for found in store.good(tx, act.digest, now):
            if not self._fits(tx, act, found, now):
                continue
            rule = demand.rule if demand else found.rule
            voted = [vote.user_id for vote in store.votes(tx, found.id)]
            enough = len(self._eligible.among(tx, found, rule, voted, now)) >= rule.quorum
            if not enough or only not in (None, found.id):
                continue
            spent = store.spend(tx, found.id, decision_id, now)
            if spent is not None:
                told = fact("approval.spent", spent, approver=spent.answered_by)
                self._recorder.record(tx, replace(told, decision=decision_id), origin)
                return spent
        return None

    def offer(
        self, tx: Transaction, act: Act, demand: Demand, now: float, origin: Origin | None = None
    ) -> Offer:
        """The question that waits for this act, made where none does; Refused when its client asks too much.

        What is done for nobody who can sign in here is asked about at once, as no user is there to open the link.
        """
        found = self._waiting(tx, act, demand, now)
        if not act.subject.attended:
            self._asking.request(tx, found, origin)
        return self._bindings.offer(tx, found, now)

    def _fits(self, tx: Transaction, act: Act, found: Approval, now: float) -> bool:
        if found.door != act.issuer or found.question.impact is not act.tool.impact:
            return False
        grant = [Target(Kind.GRANT, found.grant_id)] if found.grant_id is not None else []
        return live.first_off(tx, grant, now) is None

    def _waiting(self, tx: Transaction, act: Act, demand: Demand, now: float) -> Approval:
        """Another takes the place of one that was asked when the tool was of another class."""
        found = store.waiting(tx, act.digest, act.issuer, now)
        if found is not None and found.question.impact is act.tool.impact:
            return found
        _require_readable(act)
        if found is not None:
            self._outdated(tx, found, now)
        self._lapsed(tx, act.digest, now)
        self._not_denied(tx, act, now)
        self._not_too_many(tx, act, now)
        asked = _asked(act, demand, self._world.entropy.identifier("apr", now), now)
        if store.add(tx, asked):
            return asked
        found = store.waiting(tx, act.digest, act.issuer, now)
        if found is None:  # made and answered meanwhile
            raise Refused(Why.RATE_LIMITED, "the act was just asked about", retry_after=1)
        return found

    def _outdated(self, tx: Transaction, found: Approval, now: float) -> None:
        closed = store.close(tx, found.id, State.EXPIRED, None, None, now)
        if closed is not None and closed.requested_at is not None:
            self._recorder.record(tx, fact("approval.expired", closed))

    def _lapsed(self, tx: Transaction, digest: str, now: float) -> None:
        store.discard(tx, now, digest)
        for lapsed in store.lapse(tx, now, digest):
            self._recorder.record(tx, fact("approval.expired", lapsed))

    def _not_denied(self, tx: Transaction, act: Act, now: float) -> None:
        denied_at = store.denied(tx, act.digest)
        if denied_at is not None and now < denied_at + _DENIED_FOR:
            seconds = int(denied_at + _DENIED_FOR - now) + 1
            raise Refused(Why.RATE_LIMITED, "denied", retry_after=seconds)

    def _not_too_many(self, tx: Transaction, act: Act, now: float) -> None:
        of = (act.client_id, act.subject.id, act.resource.id)
        many, first = store.recent(tx, *of, now - _MINUTE)
        if many >= self._limits.per_minute:
            raise _too_many("asks in a minute", (first or now) + _MINUTE - now)
        many, first = store.pending(tx, *of, now)
        if many >= self._limits.waiting:
            raise _too_many("questions that wait", (first or now) - now)


def _require_readable(act: Act) -> None:
    """Refused for arguments that are more than a person can look through."""
    if not rules.readable(act.arguments):
        most = {"bytes": rules.MOST_BYTES, "values": rules.MOST_LEAVES}
        fault = {"pointer": "/arguments", "keyword": "approvable"}
        raise Refused(Why.INVALID_ARGUMENTS, "too large to be approved", errors=[fault], approvable=most)


def _too_many(what: str, seconds: float) -> Refused:
    return Refused(Why.RATE_LIMITED, f"too many {what} for approval", retry_after=int(seconds) + 1)


def _asked(act: Act, demand: Demand, identifier: str, now: float) -> Approval:
    question = Question(
        tool=act.tool.name,
        impact=act.tool.impact,
        resource_id=act.resource.id,
        resource=act.resource.uri,
        arguments=dict(act.arguments),
        actors=act.actors,
        tool_says=act.tool.description,
        schema_digest=act.schema_digest,
        because=demand.because,
        intent=act.intent[:LONGEST_INTENT] if act.intent else None,
    )
    return Approval(
        id=identifier,
        tenant=act.tenant,
        door=act.issuer,
        digest=act.digest,
        subject=act.subject.id,
        user=act.subject.user,
        client_id=act.client_id,
        grant_id=act.grant_id,
        txn=act.txn,
        question=question,
        rule=demand.rule,
        state=State.OFFERED,
        created_at=now,
        expires_at=now + demand.rule.expires,
    )
