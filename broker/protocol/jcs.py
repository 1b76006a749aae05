"""RFC 8785: the JSON canonicalization scheme."""

import json
import math
from collections.abc import Mapping

_LARGEST = 2**53
_DEEPEST = 64


def canonical(value: object) -> bytes:
    """The canonical UTF-8 form of a JSON value; ValueError on what I-JSON cannot carry exactly."""
    try:
        return _render(value, 0).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate has no canonical form") from None


def _render(value: object, depth: int) -> str:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int():
            if abs(value) > _LARGEST:
                raise ValueError("an integer beyond 2**53 is not exact")
            return str(int(value))
        case float():
            return _number(value)
        case list() | tuple():
            return f"[{','.join(_render(item, depth + 1) for item in value)}]"
        case Mapping():
            return f"{{{','.join(_members(value, depth))}}}"
        case _:
            raise ValueError(f"{type(value).__name__} is not a JSON type")


def _members(value: Mapping[object, object], depth: int) -> list[str]:
    names = [name for name in value if isinstance(name, str)]
    if len(names) != len(value):
        raise ValueError("a member's name must be a string")
    # Section 3.2.3: order by UTF-16 code units, as big-endian bytes do. A lone surrogate is refused later.
    names.sort(key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    return [f"{json.dumps(name, ensure_ascii=False)}:{_render(value[name], depth + 1)}" for name in names]


def _number(value: float) -> str:
    """ECMAScript's Number::toString (section 3.2.2.3); Python's repr finds the same shortest digits."""
    if not math.isfinite(value):
        raise ValueError("NaN and Infinity are not JSON")
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return ("-" if value < 0 else "") + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    """The digits with the decimal point after the first `point` of them."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
