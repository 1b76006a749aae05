"""RFC 8628 sections 3.4 and 3.5: device codes, polled until somebody decides, and redeemed once by their client."""

import hashlib
from dataclasses import dataclass

from broker.authorization.device import store
from broker.authorization.device.model import DeviceCode, Poll
from broker.protocol.errors import Consequence, OAuthError, Reason
from broker.runtime.database import Transaction

PREFIX = "mcpb_dc_"


@dataclass(frozen=True, slots=True)
class Presented:
    """A device code as its client presents it. `challenge` is the verifier's, empty where none was sent."""

    code: str
    door: str
    client_id: str
    challenge: str
    resource_id: str | None
    jkt: str | None
    now: float


def hashed(code: str) -> str:
    """What is stored of a code; the kind is part of it, so that no other secret can pass as one."""
    return hashlib.sha256(b"device:" + code.encode()).hexdigest()


def poll(tx: Transaction, presented: Presented) -> Poll | None:
    """Note a poll of a code that nobody has decided about; None when it is not, or not all of it fits."""
    return store.poll(
        tx,
        hashed(presented.code),
        door=presented.door,
        client_id=presented.client_id,
        challenge=presented.challenge,
        resource_id=presented.resource_id,
        jkt=presented.jkt,
        now=presented.now,
    )


def redeem(tx: Transaction, presented: Presented) -> DeviceCode:
    """Spend the code or raise OAuthError; what does not fit leaves it unspent.

    A spent code that comes back with everything right is a replay, and ends its grant, as an authorization code does.
    """
    spent = store.redeem(
        tx,
        hashed(presented.code),
        door=presented.door,
        client_id=presented.client_id,
        challenge=presented.challenge,
        resource_id=presented.resource_id,
        jkt=presented.jkt,
        now=presented.now,
    )
    if spent is not None:
        return spent
    row = store.explain(tx, hashed(presented.code))
    if row is None or row.request.door != presented.door:
        raise refused(Reason.DEVICE_CODE_UNKNOWN)
    if row.request.client_id != presented.client_id:
        raise refused(Reason.DEVICE_CODE_FOREIGN)
    if row.request.challenge != presented.challenge:
        raise refused(Reason.PKCE_MISMATCH)
    if presented.resource_id is not None and row.request.resource_id != presented.resource_id:
        raise OAuthError(
            "invalid_target", "The device code was issued for another resource.", Reason.RESOURCE_MISMATCH
        )
    if row.request.dpop_jkt not in (None, presented.jkt):
        raise OAuthError(
            "invalid_dpop_proof",
            "The device code is for the key that began the flow: prove that one.",
            Reason.DPOP_KEY_MISMATCH if presented.jkt else Reason.DPOP_MISSING,
        )
    raise _over(row, presented.now)


def pending() -> OAuthError:
    return OAuthError("authorization_pending", "Nobody has answered yet.", Reason.DEVICE_PENDING)


def too_fast(poll: Poll) -> OAuthError:
    return OAuthError(
        "slow_down",
        f"Too soon: from now on, wait {poll.pace} seconds between two polls.",
        Reason.DEVICE_TOO_FAST,
    )


def refused(reason: Reason, consequence: Consequence | None = None) -> OAuthError:
    return OAuthError(
        "invalid_grant",
        "The device code is wrong, used, or was issued for another request. Begin again.",
        reason,
        consequence=consequence,
    )


def _over(row: DeviceCode, now: float) -> OAuthError:
    if row.denied_at is not None:
        return OAuthError("access_denied", "The user refused.", Reason.USER_DENIED, status=400)
    if row.spent_at is not None:
        assert row.grant_id is not None and row.tenant is not None
        return refused(Reason.DEVICE_CODE_REPLAYED, Consequence(row.grant_id, row.tenant))
    if row.expires_at <= now:
        return OAuthError(
            "expired_token", "The device code has expired. Begin again.", Reason.DEVICE_CODE_EXPIRED
        )
    return pending()  # decided between the poll and this
