"""NIST SP 800-53 AC-3(2): whether a person may allow an act, as the transaction sees them now."""

from collections.abc import Iterable

from broker.control.approvals import rules
from broker.control.approvals.model import Approval
from broker.control.classes import SELF
from broker.denials import live
from broker.denials.model import Kind, Target
from broker.estate.model import ApprovalRule
from broker.identity.federation.links import Links
from broker.identity.users.model import User
from broker.identity.users.people import People
from broker.runtime.database import Transaction


class Eligible:
    def __init__(self, people: People, links: Links) -> None:
        self._people, self._links = people, links

    def may(self, tx: Transaction, approval: Approval, rule: ApprovalRule, user_id: str, now: float) -> bool:
        """Asked again at each vote, at the last of them for all before it, and when it is used."""
        person = self._people.within(tx, user_id)
        if person is None or live.first_off(tx, [Target(Kind.USER, user_id)], now) is not None:
            return False
        requester = self._people.within(tx, approval.subject) if approval.user else None
        linked = self._links.same(tx, user_id)
        return rules.may(approval, rule, person, asks=rules.asks(approval, person, requester, linked))

    def among(
        self, tx: Transaction, approval: Approval, rule: ApprovalRule, user_ids: Iterable[str], now: float
    ) -> list[str]:
        """Those of them who may, each person once, the first of their accounts."""
        counted: list[User] = []
        for who in dict.fromkeys(user_ids):
            person = self._people.within(tx, who) if self.may(tx, approval, rule, who, now) else None
            linked = self._links.same(tx, who)
            if person is not None and not any(rules.same(person, other, linked) for other in counted):
                counted.append(person)
        return [person.id for person in counted]

    def approvers(self, tx: Transaction, approval: Approval, now: float, most: int) -> list[User]:
        """Who can be told that it waits for them; not all of them, where there are many."""
        asked = [approval.subject] if approval.user and SELF in approval.rule.by else []
        for role in approval.rule.by:
            asked += self._people.holding(tx, approval.tenant, role, most)
        allowed = [one for one in dict.fromkeys(asked) if self.may(tx, approval, approval.rule, one, now)]
        found = (self._people.within(tx, user_id) for user_id in allowed)
        return [person for person in found if person is not None and person.email][:most]
