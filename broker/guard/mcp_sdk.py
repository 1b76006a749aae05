"""RFC 6750 for the official MCP Python SDK: its TokenVerifier, over the guard."""

import logging

from mcp.server.auth.provider import AccessToken

from broker.guard.guard import Guard
from broker.guard.possession import PossessionRefused
from broker.guard.verifier import TokenRefused

_log = logging.getLogger(__name__)


class BrokerTokenVerifier:
    """Implements `mcp.server.auth.provider.TokenVerifier`.

    It sees a token and never the request, so a token that is bound to a key, or good for some tool calls only, works
    only behind `GuardMiddleware`, which has looked at the proof and at the call.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def verify_token(self, token: str) -> AccessToken | None:
        """What the SDK keeps of a token that works here, or None."""
        try:
            verified = await self._guard.verify_async(token)
        except PossessionRefused:
            _log.warning(
                "A token that is bound to a key came without GuardMiddleware, which alone sees proofs."
            )
            return None
        except TokenRefused:
            return None
        if verified.details is not None and not self._guard.is_calling(verified):
            _log.warning(
                "A token for some tool calls only came without GuardMiddleware, which alone sees calls."
            )
            return None
        return AccessToken(
            token=token,
            client_id=verified.client_id,
            scopes=sorted(verified.scopes),
            expires_at=int(verified.expires_at),
            resource=verified.audience,
            subject=verified.subject,
            claims=dict(verified.claims),
        )
