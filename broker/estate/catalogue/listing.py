"""MCP 2026-07-28 and 2025-11-25, server/tools: the tools that a live server lists, over the server's own egress.

A request of its own and not an SDK: what it reaches, how long and how much is egress's to say (decision 0016).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from broker.estate.catalogue import schemas
from broker.estate.catalogue.model import Definition, Hints, Listed
from broker.protocol import strict_json
from broker.runtime.egress import Answer, Egress, EgressFailed, EgressRefused

NEWEST, BEFORE = "2026-07-28", "2025-11-25"
MOST_TOOLS, MOST_PAGES = 500, 20
_META = "io.modelcontextprotocol"
_CLIENT = {"name": "mcp-token-broker", "version": "1"}
_LONGEST_NAME = 128


class NotListed(Exception):
    """Why there is no list, in plain words; `challenged`: the server wants a token, or another one."""

    def __init__(self, text: str, *, challenged: bool = False) -> None:
        super().__init__(text)
        self.challenged = challenged


@dataclass(frozen=True, slots=True)
class _Talk:
    """How requests are said to this server: by the newest revision, or after a handshake of the one before."""

    headers: Mapping[str, str]
    meta: Mapping[str, object] | None


def look(egress: Egress, url: str, token: str | None) -> list[Listed]:
    """Every tool that the server at `url` lists to whoever shows `token`; NotListed. Nothing is called."""
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    newest = _Talk(
        {**bearer, "MCP-Protocol-Version": NEWEST},
        {
            f"{_META}/protocolVersion": NEWEST,
            f"{_META}/clientInfo": _CLIENT,
            f"{_META}/clientCapabilities": {},
        },
    )
    first = _asked(egress, url, newest, "tools/list", {})
    talk = newest
    if "result" not in first:
        talk = _shaken(egress, url, bearer)
        first = _asked(egress, url, talk, "tools/list", {})
    found, answer = [], first
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
        answer = _asked(egress, url, talk, "tools/list", {"cursor": cursor})
    raise NotListed(f"The server's list has more than {MOST_PAGES} pages.")


def _shaken(egress: Egress, url: str, bearer: Mapping[str, str]) -> _Talk:
    """The handshake of the revisions before, which leaves a session to go on with."""
    params = {"protocolVersion": BEFORE, "capabilities": {}, "clientInfo": _CLIENT}
    answer = _sent(egress, url, bearer, {"id": 1, "method": "initialize", "params": params})
    result = _message(answer).get("result")
    if not isinstance(result, dict):
        raise NotListed(f"The server takes neither {NEWEST} nor a handshake: {_said(_message(answer))}.")
    version, session = result.get("protocolVersion"), answer.headers.get("mcp-session-id")
    headers = dict(bearer)
    if isinstance(version, str) and version.isascii() and version.isprintable():
        headers["MCP-Protocol-Version"] = version
    if session is not None:
        headers["Mcp-Session-Id"] = session
    _sent(egress, url, headers, {"method": "notifications/initialized"})
    return _Talk(headers, None)


def _asked(
    egress: Egress, url: str, talk: _Talk, method: str, params: Mapping[str, object]
) -> dict[str, object]:
    meta = {"_meta": talk.meta} if talk.meta else {}
    body = {"id": 1, "method": method, "params": {**params, **meta}}
    return _message(_sent(egress, url, {**talk.headers, "Mcp-Method": method}, body))


def _sent(egress: Egress, url: str, headers: Mapping[str, str], body: Mapping[str, object]) -> Answer:
    content = json.dumps({"jsonrpc": "2.0", **body}).encode()
    said = {**headers, "Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    try:
        answer = egress.send("POST", url, content, said)
    except EgressRefused as error:
        raise NotListed(f"The server may not be asked: {error}.") from None
    except EgressFailed as error:
        raise NotListed(f"The server does not answer: {error}.") from None
    if answer.status in (401, 403):
        raise NotListed(
            f"The server wants a token, or another one (status {answer.status}).", challenged=True
        )
    return answer


def _message(answer: Answer) -> dict[str, object]:
    """The JSON-RPC response in an answer, also in a stream of events; empty where there is none."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    texts = _events(answer.body) if kind == "text/event-stream" else [answer.body]
    for text in texts:
        try:
            message = strict_json.read(text)
        except ValueError:
            continue
        if isinstance(message, dict) and ("result" in message or "error" in message):
            return message
    return {}


def _events(body: bytes) -> list[bytes]:
    """The data of each event of a stream (WHATWG HTML section 9.2)."""
    events = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
    return [
        b"\n".join(line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:"))
        for event in events
    ]


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
