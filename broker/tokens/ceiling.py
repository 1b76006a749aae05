"""RFC 6749 section 3.3: policy may lower what a token carries, and never raises it."""

from dataclasses import replace

from broker.control.model import Actor, Person
from broker.control.policy.policies import Policies
from broker.identity.users.people import People
from broker.protocol.errors import About, OAuthError, Reason, concerning
from broker.runtime.database import Transaction
from broker.tokens.model import Authority


class Ceiling:
    def __init__(self, policies: Policies, people: People) -> None:
        self._policies, self._people = policies, people

    def lowered(self, tx: Transaction, authority: Authority, now: float) -> Authority:
        """What is left of an authority, behind the wall of its tenant; OAuthError when nothing is."""
        if not authority.scopes or not self._policies.on_mint(authority.tenant):
            return authority
        actor, signed_in = authority.actor, authority.auth.get("auth_time")
        left = self._policies.ceiling(
            self._person(tx, authority),
            authority.client.client_id,
            authority.tenant,
            authority.resource,
            authority.scopes,
            None if actor is None else Actor(actor.iss, actor.sub, actor.client_id),
            now,
            acr=str(authority.auth["acr"]) if "acr" in authority.auth else None,
            auth_time=float(signed_in) if isinstance(signed_in, (int, float)) else None,
        )
        if left:
            return replace(authority, scopes=left)
        with concerning(_about(authority)):
            raise OAuthError(
                "invalid_target",
                "A policy does not let this token be made.",
                Reason.POLICY_DENIED,
                detail=f"for {' '.join(authority.scopes)}"[:200],
            )

    def _person(self, tx: Transaction, authority: Authority) -> Person:
        user = self._people.within(tx, authority.subject) if authority.user else None
        mine = [one for one in user.memberships if one.tenant == authority.tenant] if user else []
        if not mine:
            return Person(authority.subject, authority.user)
        return Person(authority.subject, True, mine[0].roles, mine[0].attributes)


def _about(authority: Authority) -> About:
    """Whoever it was for is named also where no token was handed over."""
    return About(authority.tenant, authority.subject, authority.parent_jti, authority.txn, authority.grant_id)
