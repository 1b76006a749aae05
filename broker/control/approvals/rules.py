"""NIST SP 800-53 AC-3(2), AC-5: who may allow an act, and what their sign-in has to be; pure."""

from collections.abc import Collection, Mapping

from broker.control.approvals.model import Approval
from broker.control.classes import SELF
from broker.estate.model import ApprovalRule, Impact
from broker.identity.sessions.model import Demand
from broker.identity.users.model import User
from broker.protocol import acr, jcs

FRESH = 300.0
"""Seconds for which a sign-in is fresh enough to allow what cannot be undone."""
YOUNG = 3600.0
"""Seconds for which a question is young: until then, any sign-in after it is fresh enough."""
MOST_BYTES, MOST_LEAVES = 16 * 1024, 200
"""Of the arguments of a call that people are asked about: in their canonical form, and single values."""


def may(approval: Approval, rule: ApprovalRule, person: User, *, asks: bool) -> bool:
    """Whether this person may allow it now. `asks`: it is asked in their own name, by this or a linked account."""
    here = next((m for m in person.memberships if m.tenant == approval.tenant), None)
    if here is None:
        return False
    if SELF in rule.by and approval.user and person.id == approval.subject:
        return True
    return not asks and not here.parts().isdisjoint(name for name in rule.by if name != SELF)


def asks(approval: Approval, person: User, requester: User | None, linked: Collection[str]) -> bool:
    """Whether the act is this person's own. `linked`: everybody with whom they share an identity elsewhere."""
    names = {approval.subject, *(actor.sub for actor in approval.question.actors)}
    if person.id in names or not names.isdisjoint(linked):
        return True
    return requester is not None and same(person, requester, linked)


def sign_in(approval: Approval, now: float, *, factor: bool) -> Demand:
    """What the sign-in of who allows it has to be. `factor`: a second one, or a passkey, in any case."""
    fresh = approval.question.impact is Impact.EXTERNAL_WRITE
    young = now - approval.created_at < YOUNG
    since = min(approval.created_at, now - FRESH) if young else now - FRESH
    return Demand((acr.MFA,) if factor else (), since if fresh else None)


def same(one: User, other: User, linked: Collection[str]) -> bool:
    """Whether two accounts count as one person. `linked`: who shares an identity elsewhere with the first."""
    mail = one.email.casefold() if one.email else None
    return other.id in (one.id, *linked) or (mail is not None and (other.email or "").casefold() == mail)


def readable(arguments: Mapping[str, object]) -> bool:
    """Whether a person can be asked to look through them."""
    return len(jcs.canonical(dict(arguments))) <= MOST_BYTES and _leaves(arguments) <= MOST_LEAVES


def _leaves(value: object) -> int:
    if isinstance(value, Mapping):
        return sum(map(_leaves, value.values())) or 1
    return (sum(map(_leaves, value)) or 1) if isinstance(value, list) else 1
