"""MCP server features, tools (listing): a client sees the tools that its token may call."""

from collections.abc import Callable, Mapping

from broker.guard.denied import Client

May = Callable[[Mapping[str, object]], bool]
"""Whether the token may call a tool, by its definition as the server gives it."""


def is_listing(result: Mapping[str, object]) -> bool:
    """Whether a result lists tools, whatever was asked for."""
    tools = result.get("tools")
    return isinstance(tools, list) and all(isinstance(tool, Mapping) and "name" in tool for tool in tools)


def filtered(result: Mapping[str, object], may: May, client: Client) -> dict[str, object]:
    """The result with these tools only; since the revision 2026-07-28 it says that nobody else may be given it."""
    tools = result["tools"]
    told = {**result, "tools": [tool for tool in tools if may(tool)] if isinstance(tools, list) else []}
    if client.answers_input or "cacheScope" in told:
        told = {**told, "ttlMs": told.get("ttlMs", 0), "cacheScope": "private"}
    return told
