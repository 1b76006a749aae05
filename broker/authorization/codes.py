"""RFC 6749 section 4.1.2, RFC 7636 section 4.6: codes that are spent once, by the client they were made for."""

import hashlib

from broker.authorization import store
from broker.authorization.model import AuthorizationRequest, Code
from broker.protocol.errors import Consequence, OAuthError, Reason
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy

PREFIX = "mcpb_ac_"


def hashed(code: str) -> str:
    """What is stored of a code; the kind is part of it, so that no other secret can pass as a code."""
    return hashlib.sha256(b"code:" + code.encode()).hexdigest()


def issue(
    tx: Transaction, entropy: Entropy, request: AuthorizationRequest, grant_id: str, expires_at: float
) -> str:
    """A new code for the client of `request`; only its hash is kept."""
    assert tx.tenant is not None
    code = entropy.secret(PREFIX)
    row = Code(
        grant_id=grant_id,
        tenant=tx.tenant,
        door=request.door,
        client_id=request.client_id,
        redirect_uri=request.redirect_uri,
        challenge=request.challenge,
        resource_id=request.resource_id,
        expires_at=expires_at,
        spent_at=None,
        dpop_jkt=request.dpop_jkt,
        nonce=request.nonce,
    )
    store.add_code(tx, hashed(code), row)
    return code


def consume(
    tx: Transaction,
    code: str,
    *,
    door: str,
    client_id: str,
    challenge: str,
    redirect_uri: str | None,
    resource_id: str | None,
    jkt: str | None,
    now: float,
) -> Code:
    """Spend the code or raise OAuthError, mostly `invalid_grant`; what does not fit leaves it unspent.

    A spent code that comes back with everything right is a replay: the refusal ends its grant. With anything
    wrong it ends nothing, or whoever saw a code could end other people's grants.
    """
    spent = store.consume(
        tx,
        hashed(code),
        door=door,
        client_id=client_id,
        challenge=challenge,
        redirect_uri=redirect_uri,
        resource_id=resource_id,
        jkt=jkt,
        now=now,
    )
    if spent is not None:
        return spent
    row = store.explain(tx, hashed(code))
    if row is None or row.door != door:
        raise _refused(Reason.CODE_UNKNOWN)
    if row.client_id != client_id:
        raise _refused(Reason.CODE_FOREIGN)
    if row.challenge != challenge:
        raise _refused(Reason.PKCE_MISMATCH)
    if redirect_uri is not None and row.redirect_uri != redirect_uri:
        raise _refused(Reason.REDIRECT_URI_MISMATCH)
    if resource_id is not None and row.resource_id != resource_id:
        raise OAuthError(
            "invalid_target", "The code was issued for another resource.", Reason.RESOURCE_MISMATCH
        )
    if row.dpop_jkt not in (None, jkt):
        raise OAuthError(
            "invalid_dpop_proof",
            "The code is for the key that dpop_jkt named: prove that one.",
            Reason.DPOP_KEY_MISMATCH if jkt else Reason.DPOP_MISSING,
        )
    if row.spent_at is not None:
        raise _refused(Reason.CODE_REPLAYED, Consequence(row.grant_id, row.tenant))
    raise _refused(Reason.CODE_EXPIRED)


def _refused(reason: Reason, consequence: Consequence | None = None) -> OAuthError:
    return OAuthError(
        "invalid_grant",
        "The code is wrong, expired, used, or was issued for another request. Start the sign-in again.",
        reason,
        consequence=consequence,
    )
