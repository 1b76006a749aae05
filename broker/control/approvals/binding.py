"""AuthZEN Access Request profile: the token that names a waiting call; all it says is stored here."""

from broker.control.approvals import store
from broker.control.approvals.model import Approval, Offer
from broker.identity.tenants.keys import DoorKeys
from broker.identity.tenants.model import Door
from broker.protocol import jws
from broker.protocol.names import DEFAULT_ALGORITHM
from broker.runtime.database import Transaction

TYP = "access-request+jwt"
REQUESTS = "/access/v1/requests"


class Bindings:
    """Good for as long as the approval can be waited for and then used, to ask about it and to follow it."""

    def __init__(self, keys: DoorKeys) -> None:
        self._keys = keys

    def offer(self, tx: Transaction, approval: Approval, now: float) -> Offer:
        claims = {
            "iss": approval.door,
            "aud": approval.door,
            "iat": int(now),
            "exp": int(approval.created_at + 2 * approval.rule.expires),
            "offer": approval.id,
            "digest": approval.digest,
        }
        token = self._keys.sign(tx, approval.door, DEFAULT_ALGORITHM, TYP, claims)
        return Offer(approval, approval.door + REQUESTS, token, form_url(approval))

    def named(self, tx: Transaction, door: Door, token: str, now: float) -> Approval | None:
        """The approval that a token of this door names; None when it is none, or is over. It proves nothing more."""
        try:
            claims = jws.verify(
                token, self._keys.keys(door.issuer), typ=TYP, algorithms=(DEFAULT_ALGORITHM,), now=now
            )
        except jws.InvalidToken:
            return None
        if claims.get("iss") != door.issuer or claims.get("aud") != door.issuer:
            return None
        found = store.get(tx, str(claims.get("offer")))
        same = found is not None and found.digest == claims.get("digest") and found.door == door.issuer
        return found if same else None


def form_url(approval: Approval) -> str:
    """The page on which a person sees it."""
    return f"{approval.door}/approvals/{approval.id}"
