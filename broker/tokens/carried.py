"""RFC 9396: an approval travels in a token, which is then good for one exact act, once, for a minute."""

from dataclasses import replace

from broker.control.approvals.asking import Asking
from broker.control.approvals.model import Approval, State
from broker.estate import calls
from broker.protocol import details
from broker.protocol.details import Detail
from broker.protocol.errors import Reason
from broker.runtime.database import Transaction
from broker.tokens.model import Authority

LIFETIME = 60.0


class Carried:
    def __init__(self, approvals: Asking) -> None:
        self._approvals = approvals

    def bounded(self, tx: Transaction, authority: Authority, now: float) -> Authority:
        """As it is, where its details carry no approval; OAuthError where that is none of this client's for this tool.

        The token names the act's digest; what is called with it is held against that when the approval is used up.
        """
        named = details.approval(authority.details)
        if named is None:
            return authority
        (detail,) = authority.details
        found = self._approvals.one(tx, named)
        if found is None or not _for(authority, detail, found, now):
            raise calls.refused("The approval is not there, not given, or used up.", Reason.APPROVAL_UNKNOWN)
        return replace(
            authority,
            details=(replace(detail, digest=found.digest),),
            latest_expiry=min(authority.latest_expiry, now + LIFETIME, found.expires_at),
            refreshable=False,
        )


def _for(authority: Authority, detail: Detail, approval: Approval, now: float) -> bool:
    question = approval.question
    given = approval.state is State.APPROVED and now < approval.expires_at
    whose = (approval.tenant, approval.subject, approval.user, approval.client_id, approval.door)
    return (
        given
        and authority.vouching is None
        and whose
        == (
            authority.tenant,
            authority.subject,
            authority.user,
            authority.client.client_id,
            authority.issuer,
        )
        and question.resource_id == authority.resource.id
        and question.tool == detail.calls[0].tool
        and detail.digest in (None, approval.digest)
    )
