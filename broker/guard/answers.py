"""WHATWG HTML section 9.2 (server-sent events), RFC 8259: the messages of an answer, looked at before they are told."""

import json
import re
from collections.abc import Callable

from broker.guard.jsonrpc import dumped

LARGEST_ANSWER = 16 * 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")
_EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")

Told = Callable[[dict[str, object]], dict[str, object] | None]
Named = Callable[[str, str, str | None], None]


class TooLarge(Exception):
    """An answer that cannot be looked at whole, so nothing of it is told."""


class Whole:
    """An answer in JSON: nothing of it is known before its end. `told` may change a message, or drop it (None).

    `strict`: what is no JSON-RPC is not told.
    """

    def __init__(self, told: Told, *, strict: bool = False) -> None:
        self._told, self._strict, self._body = told, strict, bytearray()

    def feed(self, chunk: bytes) -> bytes:
        self._body += chunk
        if len(self._body) > LARGEST_ANSWER:
            raise TooLarge
        return b""

    def end(self) -> bytes:
        return _rewritten(bytes(self._body), self._told, strict=self._strict)


class Events:
    """A stream of events, told one by one. `named` hears the type, data and id of each before it is told."""

    def __init__(self, told: Told, named: Named | None = None, *, strict: bool = False) -> None:
        self._told, self._named, self._strict, self._rest = told, named, strict, b""

    def feed(self, chunk: bytes) -> bytes:
        self._rest += chunk
        out = bytearray()
        # A return that ends the chunk may be half of an end of line.
        while (found := _EVENT_END.search(self._rest)) and not (
            found.end() == len(self._rest) and self._rest.endswith(b"\r")
        ):
            event, self._rest = self._rest[: found.start()], self._rest[found.end() :]
            out += self._event(event)
        if len(self._rest) > LARGEST_ANSWER:
            raise TooLarge
        return bytes(out)

    def end(self) -> bytes:
        rest, self._rest = self._rest, b""
        return self._event(rest.rstrip(b"\r\n")) if rest.strip() else b""

    def _event(self, event: bytes) -> bytes:
        """One event as it is told; one without data (a comment, a retry) as it came."""
        lines = _LINE_END.split(event)
        data = [_value(line) for line in lines if _is(line, b"data")]
        if self._named is not None:
            kind, mark = (_last(lines, name) for name in (b"event", b"id"))
            self._named(kind or "message", b"\n".join(data).decode("utf-8", "replace"), mark)
        if not data or (_last(lines, b"event") or "message") != "message":
            return event + b"\r\n\r\n"
        told = _rewritten(b"\n".join(data), self._told, strict=self._strict)
        if not told:
            return b""
        kept = [line for line in lines if not _is(line, b"data")]
        return b"\r\n".join([*kept, b"data: " + told]) + b"\r\n\r\n"


def _rewritten(body: bytes, told: Told, *, strict: bool) -> bytes:
    """What is no JSON-RPC is told as it came unless `strict`; an empty answer stays one."""
    try:
        value = json.loads(body) if body.strip() else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        one = told(value)
        return b"" if one is None else body if one is value else dumped(one)
    if isinstance(value, list):
        return dumped([kept for item in value if (kept := told(item) if isinstance(item, dict) else item)])
    return b"" if strict else body


def _is(line: bytes, name: bytes) -> bool:
    return line == name or line.startswith(name + b":")


def _value(line: bytes) -> bytes:
    value = line.partition(b":")[2]
    return value[1:] if value.startswith(b" ") else value


def _last(lines: list[bytes], name: bytes) -> str | None:
    found = [_value(line) for line in lines if _is(line, name)]
    return found[-1].decode("utf-8", "replace") if found else None
