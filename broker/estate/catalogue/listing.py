"""MCP 2026-07-28 and 2025-11-25, server/tools: the tools that a live server lists, asked for by the official SDK.

What it reaches, how long and how much is egress's to say (`wire`, decision 0016), what is taken for a tool this file's.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from broker.estate.catalogue import schemas
from broker.estate.catalogue.model import Definition, Hints, Listed
from broker.runtime.egress import Egress

if TYPE_CHECKING:
    from broker.estate.catalogue.wire import Talk

NEWEST = "2026-07-28"
MOST_TOOLS, MOST_PAGES = 500, 20
_LONGEST_NAME = 128


class NotListed(Exception):
    """Why there is no list, in plain words; `challenged`: the server wants a token, or another one."""

    def __init__(self, text: str, *, challenged: bool = False) -> None:
        super().__init__(text)
        self.challenged = challenged


def look(egress: Egress, url: str, token: str | None) -> list[Listed]:
    """Every tool that the server at `url` lists to whoever shows `token`; NotListed. Nothing is called."""
    from broker.estate.catalogue import wire  # the SDK is imported by whoever looks, and by nobody else

    try:
        return wire.talk(egress, url, token, _tools)
    except wire.Unreached as error:
        raise NotListed(str(error), challenged=error.challenged) from None


async def _tools(talk: "Talk") -> list[Listed]:
    """All pages, by the newest revision or after a handshake of the one before."""
    answer = await talk.tools(None) if talk.by(NEWEST) else {}
    if "result" not in answer:
        refused = await talk.handshake()
        if refused is not None:
            raise NotListed(f"The server takes neither {NEWEST} nor a handshake: {_said(refused)}.")
        answer = await talk.tools(None)
    found: list[Listed] = []
    for _ in range(MOST_PAGES):
        page = answer.get("result")
        if not isinstance(page, dict) or not isinstance(page.get("tools"), list):
            raise NotListed(f"The server lists no tools: {_said(answer)}.")
        found += [_listed(tool) for tool in page["tools"]]
        if len(found) > MOST_TOOLS:
            raise NotListed(f"The server lists more than {MOST_TOOLS} tools.")
        cursor = page.get("nextCursor")
        if cursor is None:
            return _once(found)
        if not isinstance(cursor, str):
            raise NotListed("The server's list goes on at something that is no cursor.")
        answer = await talk.tools(cursor)
    raise NotListed(f"The server's list has more than {MOST_PAGES} pages.")


def _listed(tool: object) -> Listed:
    if not isinstance(tool, dict) or not isinstance(name := tool.get("name"), str):
        raise NotListed("The server lists something that is no tool.")
    if not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
        raise NotListed("The server lists a tool whose name is not 1 to 128 printable characters.")
    schema, said = tool.get("inputSchema"), tool.get("description")
    hints = tool.get("annotations")
    unusable = None
    try:
        schemas.compiled(schema if isinstance(schema, dict) else {})
    except ValueError as error:
        unusable = str(error)
    return Listed(
        Definition.of(
            name, said if isinstance(said, str) else None, schema if isinstance(schema, dict) else {}
        ),
        _hints(hints if isinstance(hints, dict) else {}),
        unusable,
    )


def _hints(said: Mapping[str, object]) -> Hints:
    """What is not said, or not a truth value, is as MCP has it by default: the graver."""
    return Hints(
        read_only=said.get("readOnlyHint") is True,
        destructive=said.get("destructiveHint") is not False,
        idempotent=said.get("idempotentHint") is True,
        open_world=said.get("openWorldHint") is not False,
    )


def _once(found: list[Listed]) -> list[Listed]:
    names = [one.definition.name for one in found]
    if len(set(names)) != len(names):
        raise NotListed("The server lists a tool twice.")
    return found


def _said(message: Mapping[str, object]) -> str:
    """What the server gave as the reason, cut and printable."""
    error = message.get("error")
    text = str(error.get("message", "")) if isinstance(error, dict) else ""
    return "".join(c if c.isprintable() else " " for c in text)[:200].strip() or "no JSON-RPC answer"
