"""RFC 6750 and elicitation for the official MCP Python SDK: its TokenVerifier, and its ways to ask a person."""

import logging
from typing import Any

from mcp import MCPError
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import InputRequiredResult

from broker.guard import elicitation
from broker.guard.elicitation import Interaction
from broker.guard.exchange import ExchangeRefused
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


async def definitions(server: MCPServer) -> list[dict[str, Any]]:
    """The tools as the server defines them, for `guard.serves`."""
    return [
        tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await server.list_tools()
    ]


def ask_user(refused: ExchangeRefused, context: Context, message: str | None = None) -> InputRequiredResult:
    """What a tool returns when an exchange waits for its user: `return ask_user(refused, context)`.

    The client is told in the way that it knows, which may be an exception raised here. What no person can help with is
    raised as it came. `message`: why the user should go there.
    """
    interaction = Interaction.of(refused, message)
    if interaction is None:
        raise refused
    answered = (context.input_responses or {}).get(elicitation.KEY)
    if answered is not None and getattr(answered, "action", None) != "accept":
        raise ToolError("The user did not allow it.") from refused
    capabilities = context.client_capabilities
    said = None if capabilities is None else capabilities.model_dump(by_alias=True, exclude_none=True)
    if not elicitation.offered(said):
        raise ToolError(interaction.words()) from refused
    if (context.protocol_version or "") >= elicitation.INPUT_REQUIRED_SINCE:
        return InputRequiredResult.model_validate(interaction.result())
    error = interaction.error()
    raise MCPError(error["code"], error["message"], error["data"]) from refused
