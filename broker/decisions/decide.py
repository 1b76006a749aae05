"""One question, one answer, one record: the whole order on one screen.

Client, token, denials, stage, tool, scope, arguments, policy, idempotency, rates and budgets, approval. A permit is one
transaction, in which everything that it takes is used up; a refusal is recorded in another that always commits (law 3).
"""

from dataclasses import replace
from datetime import UTC, datetime

from broker.audit.record import Recorder
from broker.control.approvals.approvals import Approvals
from broker.control.budgets.budgets import Budgets
from broker.control.idempotency.keys import Keys
from broker.control.model import Refused, Why
from broker.decisions import facts, rules
from broker.decisions.advise import Advice
from broker.decisions.judge import Judge
from broker.decisions.model import Answer, Caller, Case, Question
from broker.protocol import details
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.failpoints import failpoint
from broker.runtime.log import note
from broker.runtime.world import World


class Decisions:
    def __init__(
        self,
        world: World,
        recorder: Recorder,
        judge: Judge,
        advice: Advice,
        keys: Keys,
        budgets: Budgets,
        approvals: Approvals,
    ) -> None:
        self._world, self._recorder = world, recorder
        self._judge, self._advice = judge, advice
        self._keys, self._budgets, self._approvals = keys, budgets, approvals

    def decide(self, caller: Caller, question: Question, origin: Origin) -> Answer:
        """May this call happen, now and once? Unavailable when that cannot be recorded; OAuthError 403 when the
        question is about a resource that is not the caller's."""
        rules.require_own(caller.resource, question)
        now = self._world.clock.now()
        case = Case(self._world.entropy.identifier("dec", now), caller, question, origin)
        try:
            if not rules.decided(question.action):
                return self._advice.around(case, now)
            self._judge.judge(case, now, keyed=True)
            self._permit(case, now)
        except Refused as no:
            return self._refused(case, no, now)
        assert case.act is not None
        return Answer(True, {"decision_id": case.id, "obligations": rules.obligations(case.act.tool)})

    def _permit(self, case: Case, now: float) -> None:
        """Rates are taken before the transaction, as they may be counted elsewhere, and given back if it refuses.

        Where they refuse, the transaction says so, unless the key was used before.
        """
        act = case.act
        assert act is not None
        entered, limited = None, None
        try:
            entered = self._budgets.enter(act, case.id, now)
        except Refused as no:
            if case.question.key is None:
                raise
            limited = no
        try:
            self._world.database.write(lambda tx: self._take(tx, case, limited, now), act.tenant)
        except BaseException:
            if entered is not None:
                self._budgets.back(entered)
            raise

    def _take(self, tx: Transaction, case: Case, limited: Refused | None, now: float) -> None:
        self._judge.hold(tx, case, now)
        act, verdict = case.act, case.verdict
        assert act is not None and verdict is not None
        self._keys.begin(tx, act, case.question.key, case.id, now)
        if limited is not None:
            raise limited
        self._budgets.spend(tx, act, now)
        spent, carried = None, details.approval(case.token.details if case.token else None)
        if verdict.demand is not None or carried is not None:
            spent = self._approvals.spend(tx, act, verdict.demand, now, case.origin, case.id, carried)
            if spent is None:
                raise Refused(Why.APPROVAL_REQUIRED)
        failpoint("decision.before_record")
        made = facts.made(case)
        if spent is not None:
            made = replace(made, approval=spent.id, approver=spent.answered_by)
        self._recorder.record(tx, made, case.origin)
        failpoint("decision.before_commit")

    def _refused(self, case: Case, no: Refused, now: float) -> Answer:
        note(reason=no.why.value)

        def unit(tx: Transaction) -> dict[str, object]:
            offered = None
            if no.why is Why.APPROVAL_REQUIRED and case.act and case.verdict and case.verdict.demand:
                offered = self._approvals.offer(tx, case.act, case.verdict.demand, now, case.origin)
            made = facts.made(case, no)
            if offered is None:
                self._recorder.record(tx, made, case.origin)
                return {}
            self._recorder.record(tx, replace(made, approval=offered.approval.id), case.origin)
            ends = datetime.fromtimestamp(offered.expires_at, UTC).isoformat(timespec="seconds")
            request = {
                "endpoint": offered.endpoint,
                "binding_token": offered.binding_token,
                "form_url": offered.form_url,
                "expires_at": ends.replace("+00:00", "Z"),
            }
            return {"access_request": request}

        tenant = case.token.tenant if case.token else case.caller.door.tenant
        try:
            more = self._world.database.write(unit, tenant)
        except Refused as limited:  # too many questions wait for people already
            return self._refused(case, limited, now)
        context = {"decision_id": case.id, "reason": no.why.value, **no.members, **more}
        return Answer(False, context)
