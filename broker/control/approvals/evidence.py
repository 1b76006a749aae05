"""Law 2: what a record says of an approval."""

from broker.audit.model import Fact, Outcome
from broker.control.approvals.model import Approval
from broker.protocol.errors import Reason


def fact(
    name: str,
    approval: Approval,
    *,
    approver: str | None = None,
    reason: Reason | None = None,
    detail: str | None = None,
    change: dict[str, object] | None = None,
) -> Fact:
    """With a reason it is a refusal, of which `detail` says more; without one, `detail` is in a person's words.

    No argument of the call is in it, only the act's digest.
    """
    question = approval.question
    return Fact(
        name,
        Outcome.ALLOWED if reason is None else Outcome.DENIED,
        reason,
        detail=detail if reason else None,
        words=None if reason else detail,
        tenant=approval.tenant,
        subject=approval.subject,
        client=approval.client_id,
        actors=tuple(actor.sub for actor in question.actors),
        resource=question.resource_id,
        tool=question.tool,
        arguments_digest=approval.digest,
        approval=approval.id,
        approver=approver,
        txn=approval.txn,
        grant_id=approval.grant_id,
        issuer=approval.door,
        change=change or {},
    )
