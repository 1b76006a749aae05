"""JSON-RPC 2.0 sections 4 to 6, as far as the guard must understand a message before the server sees it."""

import json
from dataclasses import dataclass, field

from broker.protocol import strict_json


@dataclass(frozen=True, slots=True)
class Message:
    """One request, notification or response. `tool` is set for `tools/call` with a name, and only then.

    `arguments` are those of the call, as they came; None when there are none.
    """

    id: str | int | float | None
    method: str | None
    tool: str | None
    arguments: object = field(default=None, compare=False, repr=False)


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
    call: dict[str, object] = params if method == "tools/call" and isinstance(params, dict) else {}
    name = call.get("name")
    return Message(
        identifier if isinstance(identifier, (str, int, float)) else None,
        method,
        name if isinstance(name, str) else None,
        call.get("arguments"),
    )


def error(identifier: str | int | float | None, code: int, message: str) -> bytes:
    """An error response."""
    return json.dumps(
        {"jsonrpc": "2.0", "id": identifier, "error": {"code": code, "message": message}}
    ).encode("utf-8")
