"""JSON Schema 2020-12, as far as Cedar has types for it: what policy sees of the arguments of a call."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from broker.control.policy.model import CALL

_DEEPEST = 4
_LONGEST = 2**63
_PLACES = Decimal("0.0001")
_LARGEST = Decimal(2**63 - 1) * _PLACES
_UNKNOWN = re.compile(r"attribute `arguments\.[^`]*` in context .* not found")
_OPTIONAL = re.compile(r"optional attribute `arguments\.([^`]*)`")


class Unsayable(ValueError):
    """An argument is not what its schema says, or more than Cedar can hold exactly. Says which, never its value."""


class Scalar(StrEnum):
    """By the type in JSON Schema; the values are Cedar's."""

    STRING = "String"
    INTEGER = "Long"
    NUMBER = "decimal"
    BOOLEAN = "Bool"


@dataclass(frozen=True, slots=True)
class Many:
    """A list, which Cedar sees as a set."""

    of: Scalar


@dataclass(frozen=True, slots=True)
class Record:
    """Members by name, each with whether it has to be there."""

    members: Mapping[str, tuple["Kind", bool]]


Kind = Scalar | Many | Record


def record(schema: Mapping[str, object] | None) -> Record:
    """The arguments that policy can look at: of a tool without a schema none."""
    found = _kind({**schema, "type": "object"}, 0) if schema is not None else None
    return found if isinstance(found, Record) else Record({})


def typed(kind: Kind) -> dict[str, object]:
    """The kind as Cedar's JSON schema writes it."""
    match kind:
        case Scalar():
            return {"type": "EntityOrCommon", "name": kind.value}
        case Many():
            return {"type": "Set", "element": typed(kind.of)}
        case Record():
            return {
                "type": "Record",
                "attributes": {
                    name: {**typed(member), "required": required}
                    for name, (member, required) in kind.members.items()
                },
            }


def plainly(fault: str) -> str:
    """What Cedar finds wrong with a policy about arguments, and what to do about it."""
    if _UNKNOWN.search(fault) and f'Action::"{CALL}"' in fault:
        return f"{fault}: only a policy about one tool looks at arguments"
    if _UNKNOWN.search(fault):
        return f"{fault}: review the tool (broker resource tools import), or give its schema"
    if found := _OPTIONAL.search(fault):
        path = "context.arguments." + found[1]
        whole, _, last = path.rpartition(".")
        return f"{fault}: write {whole} has {last} && before it"
    return fault


def said(kind: Kind, value: object, name: str = "arguments") -> object:
    """The value as Cedar's JSON writes it; Unsayable. Members that policy cannot look at are left out."""
    match kind:
        case Scalar():
            return _scalar(kind, value, name)
        case Many():
            if not isinstance(value, list):
                raise Unsayable(f"{name} is not a list")
            return [_scalar(kind.of, item, f"{name}[{i}]") for i, item in enumerate(value)]
        case Record():
            if not isinstance(value, Mapping):
                raise Unsayable(f"{name} is not an object")
            missing = [one for one, (_, required) in kind.members.items() if required and one not in value]
            if missing:
                raise Unsayable(f"{name}.{missing[0]} is missing")
            return {
                one: said(member, value[one], f"{name}.{one}")
                for one, (member, _) in kind.members.items()
                if one in value
            }


def _kind(schema: object, depth: int) -> Kind | None:
    """None for what has no simple type: unions, references, lists of lists, and what nests deeply."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST or "$ref" in schema:
        return None
    match schema.get("type"):
        case "string" | "integer" | "number" | "boolean" as scalar:
            return Scalar[scalar.upper()]
        case "array":
            item = _kind(schema.get("items"), depth + 1)
            return Many(item) if isinstance(item, Scalar) else None
        case "object":
            properties, needed = schema.get("properties"), schema.get("required")
            if not isinstance(properties, Mapping):
                return None if depth else Record({})
            required = needed if isinstance(needed, list) else []
            kinds = {
                name: kind
                for name, inner in properties.items()
                if not name.startswith("__") and (kind := _kind(inner, depth + 1)) is not None
            }
            return Record({name: (kind, name in required) for name, kind in kinds.items()})
        case _:
            return None


def _scalar(kind: Scalar, value: object, name: str) -> object:
    match kind, value:
        case Scalar.STRING, str():
            return value
        case Scalar.BOOLEAN, bool():
            return value
        case ((Scalar.INTEGER | Scalar.NUMBER), bool()):
            pass
        case Scalar.INTEGER, int() | float():
            if value == value // 1 and -_LONGEST <= value < _LONGEST:
                return int(value)
        case Scalar.NUMBER, int() | float():
            return _decimal(value, name)
    raise Unsayable(f"{name} is no {kind.name.lower()}")


def _decimal(value: float, name: str) -> object:
    try:
        exact = Decimal(str(value))
        if abs(exact) <= _LARGEST and exact == exact.quantize(_PLACES):
            return {"__extn": {"fn": "decimal", "arg": f"{exact:.4f}"}}
    except InvalidOperation:
        pass
    raise Unsayable(f"{name} has more than four decimals, or is too large")
