"""RFC 9396 sections 11.2 and 12: calls that a client asks for, laid out so that nothing in them deceives or is hidden.

All of it is shown: how much there can be is bounded where it is read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from broker.web.display import written

Kind = Literal["any", "is", "one_of", "at_least", "at_most", "between", "length"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as JSON. `plain`: the same in ASCII, where letters could be taken for others; else empty."""

    text: str
    plain: str = ""


@dataclass(frozen=True, slots=True)
class ArgumentLine:
    """What an argument may be: `kind` of the constraint, with its values."""

    name: str
    kind: Kind
    values: tuple[Shown, ...] = ()


@dataclass(frozen=True, slots=True)
class CallLine:
    """`impact` is the tool's class; `arguments` None where any are allowed, else all that there may be."""

    tool: str
    impact: str
    arguments: tuple[ArgumentLine, ...] | None = None


def shown(value: object) -> Shown:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return Shown(written(text), "" if text.isascii() else json.dumps(value, sort_keys=True))


def argument(name: str, constraint: Mapping[str, object]) -> ArgumentLine:
    """The line for a constraint in its JSON form."""
    if not constraint:
        return ArgumentLine(name, "any")
    values = tuple(shown(value) for value in constraint.values())
    match constraint:
        case {"enum": list(listed)}:
            return ArgumentLine(name, "one_of", tuple(shown(value) for value in listed))
        case {"minimum": low, "maximum": high}:
            return ArgumentLine(name, "between", (shown(low), shown(high)))
        case {"minimum": _}:
            return ArgumentLine(name, "at_least", values)
        case {"maximum": _}:
            return ArgumentLine(name, "at_most", values)
        case {"maxLength": _}:
            return ArgumentLine(name, "length", values)
        case _:
            return ArgumentLine(name, "is", values)
