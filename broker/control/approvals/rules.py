"""NIST SP 800-53 AC-3(2), AC-5: who may allow an act, and what their sign-in has to be; pure."""

from collections.abc import Collection

from broker.control.approvals.model import Approval
from broker.control.classes import SELF
from broker.estate.model import ApprovalRule, Impact
from broker.identity.sessions.model import Demand
from broker.identity.users.model import User
from broker.protocol import acr

FRESH = 300.0
"""Seconds for which a sign-in from before the question is fresh enough to allow what cannot be undone."""


def may(approval: Approval, rule: ApprovalRule, person: User, *, asks: bool) -> bool:
    """Whether this person may allow it now. `asks`: it is asked in their own name, by this or a linked account."""
    roles = next((m.roles for m in person.memberships if m.tenant == approval.tenant), None)
    if roles is None:
        return False
    if SELF in rule.by and approval.user and person.id == approval.subject:
        return True
    return not asks and not set(roles).isdisjoint(role for role in rule.by if role != SELF)


def asks(approval: Approval, person: User, requester: User | None, linked: Collection[str]) -> bool:
    """Whether the act is this person's own. `linked`: everybody with whom they share an identity elsewhere."""
    names = {approval.subject, *(actor.sub for actor in approval.question.actors)}
    if person.id in names or not names.isdisjoint(linked):
        return True
    mail = person.email.casefold() if person.email else None
    return mail is not None and requester is not None and (requester.email or "").casefold() == mail


def sign_in(approval: Approval, now: float, *, factor: bool) -> Demand:
    """What the sign-in of who allows it has to be. `factor`: a second one, or a passkey, in any case."""
    fresh = approval.question.impact is Impact.EXTERNAL_WRITE
    since = min(approval.created_at, now - FRESH) if fresh else None
    return Demand((acr.MFA,) if factor else (), since)
