"""Law 3: whose refusals at the back channel are recorded one by one, and whose are counted."""

from broker.identity.clients.model import Client, Registered
from broker.protocol.errors import Reason

_SELF_MADE = (Registered.DYNAMIC, Registered.DOCUMENT)
# What anybody can cause who names a public client or makes one, holding nothing of ours: strangers (law 3).
_ANYBODY = frozenset(
    {
        Reason.MALFORMED,
        Reason.PARAMETER_MISSING,
        Reason.GRANT_TYPE_UNKNOWN,
        Reason.CLIENT_GRANT_TYPE,
        Reason.CLIENT_OFF,
        Reason.EVERYTHING_OFF,
        Reason.RATE_LIMITED,
        Reason.CERTIFICATE_MISSING,
        Reason.DPOP_MISSING,
        Reason.DPOP_INVALID,
        Reason.DPOP_NONCE,
        Reason.CODE_UNKNOWN,
        Reason.DEVICE_NOT_ALLOWED,
        Reason.DEVICE_TOO_FAST,
        Reason.DEVICE_CODE_UNKNOWN,
        Reason.DEVICE_CODE_EXPIRED,
        Reason.DEVICE_CODE_FOREIGN,
        Reason.REFRESH_UNKNOWN,
        Reason.RESOURCE_UNKNOWN,
        Reason.RESOURCE_REPEATED,
        Reason.SCOPE_UNKNOWN,
    }
)


def known(client: Client | None, reason: Reason) -> bool:
    """Whether this is the refusal of somebody whom an administrator knows, or that takes something of ours."""
    if client is None:
        return False
    anybody = client.public or client.registered in _SELF_MADE
    return not (anybody and reason in _ANYBODY)
