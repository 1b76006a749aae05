"""WHATWG HTML section 9.2 (server-sent events), RFC 8259: the messages of an answer, looked at before they are told."""

import json
import re
from collections.abc import Callable, Collection

from broker.guard.jsonrpc import dumped

LARGEST_ANSWER = 16 * 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")
_EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LONGEST_END = 4
_KNOWN = (b"event", b"data", b"id", b"retry")

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
    """A stream of events, told one by one. `named` hears the type, data and id of each before it is told.

    `strict`: nothing is told but messages and `others`, events of further types.
    """

    def __init__(
        self,
        told: Told,
        named: Named | None = None,
        *,
        strict: bool = False,
        others: Collection[str] = (),
    ) -> None:
        self._told, self._named, self._strict, self._others = told, named, strict, others
        self._rest, self._searched = bytearray(), 0

    def feed(self, chunk: bytes) -> bytes:
        self._rest += chunk
        out, begin, search = bytearray(), 0, max(0, self._searched - _LONGEST_END)
        # A return that ends the chunk may be half of an end of line.
        while (found := _EVENT_END.search(self._rest, search)) and not (
            found.end() == len(self._rest) and self._rest.endswith(b"\r")
        ):
            out += self._event(bytes(self._rest[begin : found.start()]))
            begin = search = found.end()
        del self._rest[:begin]
        self._searched = len(self._rest)
        if len(self._rest) > LARGEST_ANSWER:
            raise TooLarge
        return bytes(out)

    def end(self) -> bytes:
        rest, self._rest = bytes(self._rest), bytearray()
        return self._event(rest.rstrip(b"\r\n")) if rest.strip() else b""

    def _event(self, event: bytes) -> bytes:
        """One event as it is told; one without data (a comment, a retry) as it came, without words if `strict`."""
        lines = _LINE_END.split(event)
        data = [_value(line) for line in lines if _is(line, b"data")]
        kind = _last(lines, b"event") or "message"
        words = b"\n".join(data)
        if self._named is not None:
            self._named(kind, words.decode("utf-8", "replace"), _last(lines, b"id"))
        if self._strict:
            lines = [line if any(_is(line, name) for name in _KNOWN) else b":" for line in lines]
        if words.strip() and kind == "message":
            told = _rewritten(words, self._told, strict=self._strict)
            kept = [line for line in lines if not _is(line, b"data")]
            return b"\r\n".join([*kept, b"data: " + told]) + b"\r\n\r\n" if told else b""
        if not self._strict:
            return event + b"\r\n\r\n"
        return b"\r\n".join(lines) + b"\r\n\r\n" if not words.strip() or kind in self._others else b""


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
        items = [item for item in value if isinstance(item, dict) or not strict]
        return dumped([kept for item in items if (kept := told(item) if isinstance(item, dict) else item)])
    return b"" if strict else body


def _is(line: bytes, name: bytes) -> bool:
    return line == name or line.startswith(name + b":")


def _value(line: bytes) -> bytes:
    value = line.partition(b":")[2]
    return value[1:] if value.startswith(b" ") else value


def _last(lines: list[bytes], name: bytes) -> str | None:
    found = [_value(line) for line in lines if _is(line, name)]
    return found[-1].decode("utf-8", "replace") if found else None
