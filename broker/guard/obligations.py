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
_OF_ANY = ("resultType", "isError", "ttlMs", "cacheScope")
_OF_INPUT = ("resultType", "inputRequests", "requestState")


@dataclass(frozen=True, slots=True)
class Obligations:
    """`redact`: paths into the output. `max_output`: bytes of the result in JSON, None for no limit."""

    redact: tuple[tuple[Step, ...], ...] = ()
    max_output: int | None = None

    def result(self, result: Mapping[str, object]) -> dict[str, object]:
        """What is told of a result; one that is too large is not told at all."""
        told = dict(result)
        if self.redact:
            told = self._redacted(told)
        size = len(dumped(told))
        if self.max_output is not None and size > self.max_output:
            return tool_error(
                f"The answer has {size} bytes, and {self.max_output} are allowed. Ask for less, or for a part of it."
            )
        return told

    def error(self, error: object) -> object:
        """What is told of a JSON-RPC error: of a tool under redaction its code, or a page that a person has to see."""
        page = isinstance(error, Mapping) and error.get("code") == _URL_ELICITATION_REQUIRED
        if not self.redact or page:
            return error
        return withheld(error)

    def _redacted(self, result: dict[str, object]) -> dict[str, object]:
        """The members that every result has, and what is redacted; a request for input is that and nothing else."""
        if result.get("resultType") == "input_required":
            return {name: result[name] for name in _OF_INPUT if name in result}
        told: dict[str, object] = {name: result[name] for name in _OF_ANY if name in result}
        if "structuredContent" in result:
            structured = self._returned(result["structuredContent"])
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
        values = [_parsed(part.get("text")) if _is_text(part) else _NOT_JSON for part in parts]
        found = json_path.redacted(
            [self._returned(value) for value in values if value is not _NOT_JSON], self.redact
        )
        left = iter(found if isinstance(found, list) else ())
        return [
            {
                "type": "text",
                "text": WITHHELD if value is _NOT_JSON else json.dumps(next(left), ensure_ascii=False),
            }
            for value in values
        ]

    def _returned(self, value: object) -> object:
        """What a tool returned; the official SDK wraps what is no object in `result`, and a path may mean either."""
        told = json_path.redacted(value, self.redact)
        if isinstance(told, dict) and set(told) == {"result"}:
            return {"result": self._value(told["result"])}
        return self._value(told)

    def _value(self, value: object) -> object:
        """An object by the paths, a list whole and each of its elements, text as the JSON that it is; else nothing."""
        if isinstance(value, dict):
            return json_path.redacted(value, self.redact)
        if isinstance(value, list):
            whole = json_path.redacted(value, self.redact)
            return [self._value(item) for item in whole] if isinstance(whole, list) else whole
        if value == json_path.REDACTED:
            return value
        found = _parsed(value)
        return WITHHELD if found is _NOT_JSON else json.dumps(self._value(found), ensure_ascii=False)


def withheld(error: object) -> dict[str, object]:
    """The code of a JSON-RPC error."""
    code = error.get("code") if isinstance(error, Mapping) else None
    return {"code": code if isinstance(code, int) else -32603, "message": _FAILED}


def _is_text(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text"


def _parsed(text: object) -> object:
    """The object or list that is written in a text."""
    if not isinstance(text, str):
        return _NOT_JSON
    try:
        value = strict_json.parse(text.encode("utf-8"))
    except ValueError:
        return _NOT_JSON
    return value if isinstance(value, (dict, list)) else _NOT_JSON


def paths(texts: Sequence[object]) -> tuple[tuple[Step, ...], ...]:
    """The paths of an obligation; ValueError for one that is none, so that nothing is let through by mistake."""
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a path is a text")
    return tuple(json_path.read(str(text)) for text in texts)
