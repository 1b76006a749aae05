"""OWASP AISVS 10.2.7, NIST SP 800-53 AC-3(2): people in a browser allow or refuse one exact act."""

from collections.abc import Callable

from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.control.approvals import rules, store
from broker.control.approvals.asking import LONGEST_WHY, Asking
from broker.control.approvals.eligible import Eligible
from broker.control.approvals.evidence import fact
from broker.control.approvals.model import Approval, Not, NotAnswered, Vote
from broker.denials.model import Kind, Target
from broker.denials.switch import Switches
from broker.identity.sessions.model import Demand, Session
from broker.identity.sessions.sessions import Sessions
from broker.protocol.errors import Reason
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

_REASONS = {
    Not.GONE: Reason.APPROVAL_UNKNOWN,
    Not.OVER: Reason.APPROVAL_OVER,
    Not.NOT_ALLOWED: Reason.APPROVER_NOT_ALLOWED,
    Not.SIGN_IN: Reason.APPROVER_NOT_VERIFIED,
}


class Answering:
    """`factor`: who allows an act has a second factor or a passkey, in any case."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        refusals: Refusals,
        eligible: Eligible,
        asking: Asking,
        sessions: Sessions,
        switches: Switches,
        *,
        factor: bool,
    ) -> None:
        self._world, self._recorder, self._refusals = world, recorder, refusals
        self._eligible, self._asking, self._factor = eligible, asking, factor
        self._sessions, self._switches = sessions, switches

    def demand(self, approval: Approval) -> Demand:
        """What the sign-in of who allows it has to be."""
        return rules.sign_in(approval, self._world.clock.now(), factor=self._factor)

    def may(self, tx: Transaction, approval: Approval, user_id: str) -> bool:
        """Whether this person may answer it now."""
        return self._eligible.may(tx, approval, approval.rule, user_id, self._world.clock.now())

    def voted(self, tx: Transaction, approval: Approval) -> list[str]:
        """Who allowed it and may still."""
        cast = [vote.user_id for vote in store.votes(tx, approval.id)]
        return self._eligible.among(tx, approval, approval.rule, cast, self._world.clock.now())

    def approve(
        self, tenant: str, approval_id: str, session: Session, why: str | None, origin: Origin
    ) -> Approval:
        """One person's yes; the approval as it is then, which waits on where it takes more people. NotAnswered."""

        def unit(tx: Transaction) -> Approval:
            now, who = self._world.clock.now(), session.user_id
            approval = self._answerable(tx, approval_id, session, now)
            self._require_proven(approval, session)
            said = (why or "").strip()[:LONGEST_WHY] or None
            new = store.vote(tx, Vote(approval.id, approval.tenant, who, now))
            counted = self.voted(tx, approval)
            if who not in counted:  # with another account of theirs they voted before
                raise NotAnswered(Not.NOT_ALLOWED)
            if len(counted) < approval.rule.quorum:
                if new:
                    change: dict[str, object] = {"votes": len(counted), "quorum": approval.rule.quorum}
                    self._recorder.record(
                        tx, fact("approval.voted", approval, approver=who, detail=said, change=change), origin
                    )
                return approval
            granted = store.approve(tx, approval.id, who, said, now)
            if granted is None:
                raise NotAnswered(Not.OVER)
            others: dict[str, object] = {"with": len(counted)} if len(counted) > 1 else {}
            self._recorder.record(
                tx, fact("approval.granted", granted, approver=who, detail=said, change=others), origin
            )
            return granted

        return self._answered(unit, tenant, approval_id, session, origin)

    def deny(
        self, tenant: str, approval_id: str, session: Session, why: str | None, origin: Origin
    ) -> Approval:
        """One person's no, which ends it, also where it was approved and is not used yet. NotAnswered."""

        def unit(tx: Transaction) -> Approval:
            self._answerable(tx, approval_id, session, self._world.clock.now(), given=True)
            return self._asking.deny(tx, approval_id, session.user_id, why, origin)

        return self._answered(unit, tenant, approval_id, session, origin)

    def stop(
        self, tenant: str, approval_id: str, session: Session, why: str | None, origin: Origin
    ) -> Approval:
        """As `deny`, and what the call was asked under is switched off with it, by a sign-in that could allow it."""

        def unit(tx: Transaction) -> Approval:
            approval = self._answerable(tx, approval_id, session, self._world.clock.now())
            self._require_proven(approval, session)
            denied = self._asking.deny(tx, approval_id, session.user_id, why, origin)
            if approval.grant_id is not None:
                grant = Target(Kind.GRANT, approval.grant_id)
                self._switches.throw_within(tx, grant, f"stopped at {approval.id}", origin, approval.tenant)
            return denied

        return self._answered(unit, tenant, approval_id, session, origin, throwing=True)

    def _require_proven(self, approval: Approval, session: Session) -> None:
        if not self.demand(approval).met_by(session):
            raise NotAnswered(Not.SIGN_IN)

    def _answerable(
        self, tx: Transaction, approval_id: str, session: Session, now: float, *, given: bool = False
    ) -> Approval:
        """Held until the end of `tx`: votes at once are counted one after the other. `given`: or approved by now."""
        waits = store.hold(tx, approval_id, now, given=given)
        approval = store.get(tx, approval_id)
        if approval is None:
            raise NotAnswered(Not.GONE)
        if not waits:
            raise NotAnswered(Not.OVER)
        if not self._sessions.goes_on(tx, session) or not self.may(tx, approval, session.user_id):
            raise NotAnswered(Not.NOT_ALLOWED)
        return approval

    def _answered(
        self,
        unit: Callable[[Transaction], Approval],
        tenant: str,
        approval_id: str,
        session: Session,
        origin: Origin,
        *,
        throwing: bool = False,
    ) -> Approval:
        try:
            return self._world.database.write(unit, tenant, throwing=throwing)
        except NotAnswered as refused:
            self._refuse(tenant, approval_id, session, refused.why, origin)
            raise

    def _refuse(self, tenant: str, approval_id: str, session: Session, why: Not, origin: Origin) -> None:
        found = self._world.database.read(lambda tx: store.get(tx, approval_id), tenant)
        if found is not None:
            refusal = fact("approval.refused", found, approver=session.user_id, reason=_REASONS[why])
            self._refusals.record(refusal, origin, known=True)
