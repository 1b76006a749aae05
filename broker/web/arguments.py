"""OWASP AISVS 10.2.7: the arguments of a call laid out to compare: each value with its path, and nothing hidden."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from broker.web.calls import Shown, shown
from broker.web.display import written

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FOLDED = 160
"""Characters beyond which a value is folded: its beginning stands there, and all of it one click away."""


@dataclass(frozen=True, slots=True)
class ArgumentRow:
    """`path` as in JSONPath. `beginning` is empty unless the value is folded; `length` counts its characters."""

    path: str
    value: Shown
    beginning: str = ""
    length: int = 0


def rows(arguments: object) -> tuple[ArgumentRow, ...]:
    """One row for each value that holds no others, in the order of their paths."""
    return tuple(_row(path, value) for path, value in _leaves("", arguments))


def _row(path: str, value: object) -> ArgumentRow:
    found = shown(value)
    if len(found.text) <= _FOLDED:
        return ArgumentRow(path, found)
    return ArgumentRow(path, found, found.text[:_FOLDED], len(found.text))


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from _leaves(path + _member(name, first=not path), value[name])
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _leaves(f"{path}[{number}]", item)
    elif path:
        yield path, value


def _member(name: str, *, first: bool) -> str:
    if _PLAIN.fullmatch(name):
        return name if first else f".{name}"
    return f"[{written(json.dumps(name, ensure_ascii=False))}]"
