"""RFC 9396 section 2, RFC 8785: what one argument of a tool call may be, in a few kinds that can be compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from broker.protocol import jcs

MOST_VALUES: Final = 20
LONGEST_VALUE: Final = 1024
_DEEPEST: Final = 5
_LONGEST_TEXT: Final = 1_000_000
_SHAPES: Final[tuple[set[str], ...]] = (
    {"const"},
    {"enum"},
    {"minimum"},
    {"maximum"},
    {"minimum", "maximum"},
    {"maxLength"},
    set(),
)

ABSENT: Final = object()
"""The value of an argument that a call does not have."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """One kind at most. Without any, everything is admitted, also no value at all.

    `values` are canonical JSON texts, sorted: numbers are equal as JSON numbers, whatever their spelling.
    """

    values: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None

    def admits(self, value: object) -> bool:
        """Whether a call's argument is one of those meant; what I-JSON cannot carry exactly never is."""
        if self == ANYTHING:
            return True
        if value is ABSENT:
            return False
        try:
            text = jcs.canonical(value).decode()
        except ValueError:
            return False
        if self.values is not None:
            return text in self.values
        if self.max_length is not None:
            return isinstance(value, str) and len(value) <= self.max_length
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return (self.minimum is None or value >= self.minimum) and (
            self.maximum is None or value <= self.maximum
        )

    def within(self, other: "Constraint") -> bool:
        """Whether `other` admits whatever this one admits; False where the kinds cannot tell."""
        if other == ANYTHING or self == ANYTHING:
            return other == ANYTHING
        if self.values is not None:
            return all(other.admits(json.loads(text)) for text in self.values)
        if other.values is not None:
            return False
        if self.max_length is not None or other.max_length is not None:
            return (
                self.max_length is not None
                and other.max_length is not None
                and self.max_length <= other.max_length
            )
        low = other.minimum is None or (self.minimum is not None and self.minimum >= other.minimum)
        high = other.maximum is None or (self.maximum is not None and self.maximum <= other.maximum)
        return low and high

    def members(self) -> dict[str, object]:
        """The JSON members that `read` makes this of."""
        if self.values is not None:
            values: list[object] = [json.loads(text) for text in self.values]
            return {"const": values[0]} if len(values) == 1 else {"enum": values}
        kinds = {"minimum": self.minimum, "maximum": self.maximum, "maxLength": self.max_length}
        return {name: value for name, value in kinds.items() if value is not None}


ANYTHING: Final = Constraint()


def read(value: object) -> Constraint:
    """The constraint in a JSON value; ValueError in plain words."""
    if not isinstance(value, Mapping):
        raise ValueError("give an object: const, enum, minimum, maximum, maxLength, or nothing in it")
    if set(value) not in _SHAPES:
        raise ValueError(
            "give const, enum, maxLength, or minimum and maximum; nothing else, and not together"
        )
    if "const" in value:
        return Constraint(values=(_text(value["const"]),))
    if "enum" in value:
        return Constraint(values=_texts(value["enum"]))
    if "maxLength" in value:
        return Constraint(max_length=_length(value["maxLength"]))
    low, high = (_number(value[name]) if name in value else None for name in ("minimum", "maximum"))
    if low is not None and high is not None and low > high:
        raise ValueError("minimum is above maximum")
    return Constraint(minimum=low, maximum=high)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not 0 < len(value) <= MOST_VALUES:
        raise ValueError(f"enum is a list of 1 to {MOST_VALUES} values")
    return tuple(sorted({_text(item) for item in value}))


def _text(value: object) -> str:
    text = jcs.canonical(value).decode()
    if len(text) > LONGEST_VALUE or _depth(value) > _DEEPEST:
        raise ValueError(f"a value has at most {LONGEST_VALUE} characters of JSON and {_DEEPEST} levels")
    return text


def _depth(value: object) -> int:
    match value:
        case Mapping():
            return 1 + max((_depth(item) for item in value.values()), default=0)
        case list() | tuple():
            return 1 + max((_depth(item) for item in value), default=0)
        case _:
            return 0


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("minimum and maximum are numbers")
    number: float = json.loads(jcs.canonical(value))
    return number


def _length(value: object) -> int:
    number = _number(value) if isinstance(value, (int, float)) else -1
    if not isinstance(number, int) or not 0 <= number <= _LONGEST_TEXT:
        raise ValueError(f"maxLength is a whole number up to {_LONGEST_TEXT}")
    return number
