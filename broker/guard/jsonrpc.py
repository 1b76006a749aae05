"""JSON-RPC 2.0 sections 4 to 6, as far as the guard must understand a message before the server sees it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.protocol import strict_json

Identifier = str | int | float | None


@dataclass(frozen=True, slots=True)
class Message:
    """One request, notification or response. `tool` is set for `tools/call` with a name, and only then.

    `arguments` are those of the call, as they came; None when there are none. `params` are all that came with it.
    """

    id: Identifier
    method: str | None
    tool: str | None
    arguments: object = field(default=None, compare=False, repr=False)
    params: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def meta(self) -> Mapping[str, object]:
        found = self.params.get("_meta")
        return found if isinstance(found, Mapping) else {}


def read(body: bytes) -> tuple[Message, ...]:
    """The messages of a body, one or a batch; ValueError on what two parsers might read in two ways."""
    value = strict_json.parse(body)
    entries = value if isinstance(value, list) else [value]
    if not entries:
        raise ValueError("an empty batch")
    return tuple(_message(entry) for entry in entries)


def _message(entry: object) -> Message:
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    method, params, identifier = entry.get("method"), entry.get("params"), entry.get("id")
    if method is not None and not isinstance(method, str):
        raise ValueError("a method is a string")
    given: dict[str, object] = params if isinstance(params, dict) else {}
    call = given if method == "tools/call" else {}
    name = call.get("name")
    return Message(
        identifier if isinstance(identifier, (str, int, float)) else None,
        method,
        name if isinstance(name, str) else None,
        call.get("arguments"),
        given,
    )


def error(identifier: Identifier, code: int, message: str) -> bytes:
    """An error response."""
    return dumped(failure(identifier, code, message))


def failure(
    identifier: Identifier, code: int, message: str, data: Mapping[str, object] | None = None
) -> dict[str, object]:
    said: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        said["data"] = dict(data)
    return {"jsonrpc": "2.0", "id": identifier, "error": said}


def success(identifier: Identifier, result: Mapping[str, object]) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": identifier, "result": dict(result)}


def tool_error(text: str) -> dict[str, object]:
    """The `result` of a call that came to nothing, in words for a model and its user (MCP server features, tools)."""
    return {"resultType": "complete", "content": [{"type": "text", "text": text}], "isError": True}


def dumped(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
