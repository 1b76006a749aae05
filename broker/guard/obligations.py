"""AuthZEN obligations: what a permitted call's result may still say, and how much of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker.guard.jsonrpc import dumped, tool_error
from broker.protocol import json_path, strict_json
from broker.protocol.json_path import Step

WITHHELD = "[withheld: this tool's answers are redacted, and text that is not JSON cannot be]"
_FAILED = "The call failed. What the tool said about it is withheld, as its answers are redacted."
_URL_ELICITATION_REQUIRED = -32042
_NOT_JSON = object()


@dataclass(frozen=True, slots=True)
class Obligations:
    """`redact`: paths into the output. `max_output`: bytes of the result in JSON, None for no limit."""

    redact: tuple[tuple[Step, ...], ...] = ()
    max_output: int | None = None

    def result(self, result: Mapping[str, object]) -> dict[str, object]:
        """What is told of a result; one that is too large is not told at all."""
        told = dict(result)
        if self.redact and told.get("resultType") != "input_required":
            told = self._redacted(told)
        size = len(dumped(told))
        if self.max_output is not None and size > self.max_output:
            return tool_error(
                f"The answer has {size} bytes, and {self.max_output} are allowed. Ask for less, or for a part of it."
            )
        return told

    def error(self, error: object) -> object:
        """What is told of a JSON-RPC error: of a tool under redaction its code, or a page that a person has to see."""
        if (
            not self.redact
            or not isinstance(error, Mapping)
            or error.get("code") == _URL_ELICITATION_REQUIRED
        ):
            return error
        return {"code": error.get("code"), "message": _FAILED}

    def _redacted(self, result: dict[str, object]) -> dict[str, object]:
        told: dict[str, object] = {
            name: result[name] for name in ("resultType", "isError", "ttlMs", "cacheScope") if name in result
        }
        if "structuredContent" in result:
            structured = self._without(result["structuredContent"])
            told["structuredContent"] = structured
            told["content"] = [{"type": "text", "text": json.dumps(structured, ensure_ascii=False)}]
        elif "content" in result:
            told["content"] = self._content(result["content"])
        else:
            told["content"] = [{"type": "text", "text": WITHHELD}]
        return told

    def _content(self, content: object) -> list[object]:
        """Text that is JSON without what the paths lead to, also where each element of a list became a part."""
        parts = content if isinstance(content, list) else []
        values = [_parsed(part) for part in parts]
        found = self._without([self._without(value) for value in values if value is not _NOT_JSON])
        left = iter(found if isinstance(found, list) else ())
        return [
            {
                "type": "text",
                "text": WITHHELD if value is _NOT_JSON else json.dumps(next(left), ensure_ascii=False),
            }
            for value in values
        ]

    def _without(self, value: object) -> object:
        """The official SDK wraps what is no object in `result`: the paths are meant for either."""
        told = json_path.redacted(value, self.redact)
        if isinstance(told, dict) and set(told) == {"result"}:
            told = {"result": json_path.redacted(told["result"], self.redact)}
        return told


def _parsed(part: object) -> object:
    """The object or list in a part of text."""
    if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
        return _NOT_JSON
    try:
        value = strict_json.parse(part["text"].encode("utf-8"))
    except ValueError:
        return _NOT_JSON
    return value if isinstance(value, (dict, list)) else _NOT_JSON


def paths(texts: Sequence[object]) -> tuple[tuple[Step, ...], ...]:
    """The paths of an obligation; ValueError for one that is none, so that nothing is let through by mistake."""
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a path is a text")
    return tuple(json_path.read(str(text)) for text in texts)
