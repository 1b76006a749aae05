"""RFC 9396 sections 2, 5 and 6: authorization details of the type `mcp_tool_call`: which calls of which tools.

A detail narrows: what no detail allows is not allowed. No details at all is no narrowing.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from broker.protocol import constraints, jcs, strict_json
from broker.protocol.constraints import ABSENT, ANYTHING, Constraint

TYPE: Final = "mcp_tool_call"
TYPES: Final = (TYPE,)
MOST_BYTES: Final = 4096
_MOST_DETAILS, _MOST_TOOLS, _MOST_ARGUMENTS = 10, 20, 20
_LONGEST_URI, _LONGEST_TOOL = 512, 128
_ARGUMENT: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?")
_MEMBERS: Final = frozenset({"type", "locations", "tools", "approval", "digest"})
_APPROVAL: Final = re.compile(r"[a-z0-9_]{1,40}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_TOOL_MEMBERS: Final = frozenset({"name", "arguments"})


class Invalid(ValueError):
    """What is wrong, in words for the client, and where. `unknown_type`: nothing but the type is known to be wrong."""

    def __init__(self, text: str, at: str = "", *, unknown_type: bool = False) -> None:
        super().__init__(text)
        self.at, self.unknown_type = at, unknown_type


@dataclass(frozen=True, slots=True)
class Call:
    """Calls of one tool. `arguments` None: any arguments; otherwise those named and no others, each as constrained."""

    tool: str
    arguments: Mapping[str, Constraint] | None = None

    def admits(self, arguments: Mapping[str, object]) -> bool:
        if self.arguments is None:
            return True
        named = self.arguments
        return set(arguments) <= set(named) and all(
            constraint.admits(arguments.get(name, ABSENT)) for name, constraint in named.items()
        )

    def within(self, other: "Call") -> bool:
        """Whether `other` admits every call that this one admits."""
        if self.tool != other.tool:
            return False
        if other.arguments is None or self.arguments is None:
            return other.arguments is None
        mine = self.arguments
        return set(mine) <= set(other.arguments) and all(
            mine[name].within(held) if name in mine else held == ANYTHING
            for name, held in other.arguments.items()
        )

    def members(self) -> dict[str, object]:
        if self.arguments is None:
            return {"name": self.tool}
        return {
            "name": self.tool,
            "arguments": {name: found.members() for name, found in sorted(self.arguments.items())},
        }


@dataclass(frozen=True, slots=True)
class Detail:
    """`resource` is the URI in `locations`; `calls` are alternatives.

    With an `approval` it is good for the one exact act that was approved under this id: `digest` names that act.
    """

    resource: str
    calls: tuple[Call, ...]
    approval: str | None = None
    digest: str | None = None

    def members(self) -> dict[str, object]:
        tools = [call.members() for call in self.calls]
        found: dict[str, object] = {"type": TYPE, "locations": [self.resource], "tools": tools}
        exact = {"approval": self.approval, "digest": self.digest}
        return found | {name: value for name, value in exact.items() if value is not None}


Details = tuple[Detail, ...]


def known_types(asked: Iterable[str]) -> tuple[str, ...]:
    """RFC 9396 section 10: those types of a client's registration that exist here."""
    wished = set(asked)
    return tuple(name for name in TYPES if name in wished)


def read(text: str) -> Details:
    """The value of the parameter `authorization_details`; Invalid."""
    try:
        value = strict_json.read(text.encode("utf-8"))
    except ValueError:
        raise Invalid(
            "it is not JSON, repeats a member, or has a number or character that JSON lacks"
        ) from None
    return of(value)


def of(value: object) -> Details:
    """The details in a JSON value: a parameter's, a claim's, a stored one; Invalid."""
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= _MOST_DETAILS:
        raise Invalid(f"give an array of 1 to {_MOST_DETAILS} objects")
    found = tuple(_detail(entry, f"[{i}]") for i, entry in enumerate(value))
    if len(found) > 1 and any(detail.approval for detail in found):
        raise Invalid("with an approval there is one object")
    if len(canonical(found)) > MOST_BYTES:
        raise Invalid(f"all together have at most {MOST_BYTES} bytes")
    return found


def stored(value: Sequence[object]) -> Details:
    """As `of`, where an empty array stands for none."""
    return of(value) if value else ()


def claimed(value: object) -> Details:
    """The claim of a token. Details of other types are left out: they allow no tool call. Invalid."""
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise Invalid("the claim is an array of objects")
    return stored([entry for entry in value if entry.get("type") == TYPE])


def members(details: Iterable[Detail]) -> list[dict[str, object]]:
    """The JSON array of the wire."""
    return [detail.members() for detail in details]


def canonical(details: Iterable[Detail]) -> bytes:
    """RFC 8785: one text for one meaning, as far as order does not matter."""
    return jcs.canonical(members(details))


def digest(details: Iterable[Detail]) -> str:
    """The SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(details)).hexdigest()


def evidence(details: Details) -> dict[str, object]:
    """What a record says of details: which they are, without the values in them, which may be anybody's."""
    carried = approval(details)
    found: dict[str, object] = {"sha256": digest(details), "tools": list(tools(details))}
    return found if carried is None else {**found, "approval": carried}


def approval(details: Details | None) -> str | None:
    """The id of the approval that details carry."""
    return next((detail.approval for detail in details or () if detail.approval), None)


def covers(held: Details, asked: Details) -> bool:
    """Whether whatever `asked` allows is allowed by `held`: each of its calls lies within one of those held."""
    if not held or not asked:
        return not held
    return all(
        any(
            call.within(known) for other in held if other.resource == detail.resource for known in other.calls
        )
        for detail in asked
        for call in detail.calls
    )


def keeping(details: Details, keep: Callable[[str], bool]) -> Details:
    """The details with those tools alone that `keep` says yes to; what is left without a tool goes."""
    kept = (replace(d, calls=tuple(call for call in d.calls if keep(call.tool))) for d in details)
    return tuple(detail for detail in kept if detail.calls)


def tools(details: Iterable[Detail]) -> tuple[str, ...]:
    """The names of the tools, each once, in order."""
    return tuple(dict.fromkeys(call.tool for detail in details for call in detail.calls))


def allows(details: Details, resource: str, tool: str, arguments: object) -> bool:
    """Whether one of the details is about this call at this resource; None as arguments stands for no arguments."""
    given = {} if arguments is None else arguments
    return isinstance(given, Mapping) and any(
        call.tool == tool and call.admits(given)
        for detail in details
        if detail.resource == resource
        for call in detail.calls
    )


def _detail(entry: object, at: str) -> Detail:
    if not isinstance(entry, Mapping):
        raise Invalid("give an object", at)
    if not isinstance(entry.get("type"), str):
        raise Invalid("give the type, a text", f"{at}.type")
    if entry["type"] not in TYPES:
        raise Invalid(f"use {TYPE}", f"{at}.type", unknown_type=True)
    if not set(entry) <= _MEMBERS:
        raise Invalid(f"{TYPE} has type, locations, tools, approval and digest, and no other member", at)
    resource, listed = _only(entry.get("locations")), entry.get("tools")
    if not isinstance(resource, str) or not 0 < len(resource) <= _LONGEST_URI:
        raise Invalid("give an array with the URI of the one resource", f"{at}.locations")
    if not isinstance(listed, (list, tuple)) or not 0 < len(listed) <= _MOST_TOOLS:
        raise Invalid(f"give an array of 1 to {_MOST_TOOLS} tools", f"{at}.tools")
    calls = tuple(_call(tool, f"{at}.tools[{i}]") for i, tool in enumerate(listed))
    approved, digested = entry.get("approval"), entry.get("digest")
    if approved is None and digested is None:
        return Detail(resource, calls)
    if not isinstance(approved, str) or not _APPROVAL.fullmatch(approved):
        raise Invalid("give the id of the approval", f"{at}.approval")
    if digested is not None and not (isinstance(digested, str) and _DIGEST.fullmatch(digested)):
        raise Invalid("give the digest of the act, or leave it out", f"{at}.digest")
    if len(calls) > 1 or calls[0].arguments is not None:
        raise Invalid(
            "with an approval there is one tool, without arguments: they were approved", f"{at}.tools"
        )
    return Detail(resource, calls, approved, digested)


def _call(entry: object, at: str) -> Call:
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, Mapping) or not set(entry) <= _TOOL_MEMBERS:
        raise Invalid("give the tool's name, or an object with name and arguments", at)
    name = entry.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_TOOL or not name.isprintable():
        raise Invalid("give the tool's name", f"{at}.name")
    if "arguments" not in entry:
        return Call(name)
    arguments = entry["arguments"]
    if not isinstance(arguments, Mapping) or len(arguments) > _MOST_ARGUMENTS:
        raise Invalid(
            f"give an object of at most {_MOST_ARGUMENTS} constraints by argument", f"{at}.arguments"
        )
    if not all(isinstance(argument, str) and _ARGUMENT.fullmatch(argument) for argument in arguments):
        raise Invalid("the name of an argument has 1 to 64 visible ASCII characters", f"{at}.arguments")
    return Call(name, {argument: _constraint(found, at) for argument, found in arguments.items()})


def _constraint(value: object, at: str) -> Constraint:
    try:
        return constraints.read(value)
    except ValueError as error:
        raise Invalid(f"{error}", f"{at}.arguments") from None


def _only(value: object) -> object:
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else None
