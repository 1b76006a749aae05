"""MCP 2026-07-28, transports (standard request headers): what the headers say of a message is what its body says."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from broker.guard.jsonrpc import Message
from broker.guard.request import Request, decoded

HEADER_MISMATCH: Final = -32020
NAMED_BY: Final[Mapping[str, str]] = MappingProxyType(
    {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
)
"""Which parameter of a method the `Mcp-Name` header repeats."""


def disagreement(request: Request, messages: Sequence[Message]) -> str | None:
    """What does not agree, in words; None when all that was sent does. A proxy may have acted on the headers."""
    try:
        method, name = request.text(b"mcp-method"), request.text(b"mcp-name")
    except ValueError as error:
        return str(error)
    if method is None and name is None:
        return None
    if len(messages) != 1:
        return "Mcp-Method and Mcp-Name are for a single message"
    [message] = messages
    if method is not None and method != message.method:
        return "Mcp-Method is not the method of the body"
    parameter = NAMED_BY.get(message.method or "")
    if name is not None and (parameter is None or decoded(name) != message.params.get(parameter)):
        return "Mcp-Name is not the name in the body"
    return None
