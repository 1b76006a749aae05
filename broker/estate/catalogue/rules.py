"""MCP 2026-07-28, server/tools: what a look at a server comes to, held against the estate; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from broker.estate.catalogue.model import Definition, Hints, Kept, Listed
from broker.estate.model import Impact, Resource, Tool

CHOOSE = "CHOOSE-A-SCOPE"
"""Where a proposal cannot say which scope a tool takes: the estate file does not apply before somebody did."""
_BACK: Mapping[str, tuple[str, ...]] = {
    "add": ("remove", "delete"),
    "archive": ("unarchive", "restore"),
    "assign": ("unassign",),
    "close": ("reopen", "open"),
    "create": ("delete", "remove"),
    "disable": ("enable",),
    "enable": ("disable",),
    "hide": ("show", "unhide"),
    "lock": ("unlock",),
    "mute": ("unmute",),
    "open": ("close",),
    "pause": ("resume",),
    "pin": ("unpin",),
    "start": ("stop",),
    "stop": ("start",),
    "subscribe": ("unsubscribe",),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the estate file could say of a tool; nothing of it holds before somebody applies it."""

    name: str
    scopes: tuple[str, ...]
    impact: Impact
    undo: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Compared:
    """Names of tools. `new`: not in the estate. `gone`: in the estate, not listed. `changed`: not as looked at.

    `unseen`: in the estate and listed, and nobody looked at what the server says of them.
    """

    new: tuple[str, ...]
    gone: tuple[str, ...]
    changed: tuple[str, ...]
    unseen: tuple[str, ...]


def reviewed(tool: Tool | None, kept: Kept | None) -> Definition | None:
    """As somebody looked at it: the estate file's own words, or else those of a review."""
    if tool is not None and tool.schema is not None:
        return Definition.of(tool.name, tool.description, tool.schema)
    return kept.reviewed if kept else None


def standing(tool: Tool | None, kept: Kept | None) -> str:
    """In a word, how what the server says of a tool stands to what somebody looked at."""
    looked = reviewed(tool, kept)
    if tool is None:
        return "not in the estate"
    if kept is None:
        return "in the estate file" if looked else "never seen"
    if kept.seen is None:
        return "gone"
    if looked is None:
        return "nobody looked"
    return "as looked at" if looked.digest == kept.seen.digest else "changed"


def joined(resource: Resource, kept: Mapping[str, Kept]) -> Resource:
    """The resource with what is known of its tools' definitions; `kept` by name of the tool."""
    tools = tuple(_joined(tool, kept.get(tool.name)) for tool in resource.tools)
    return replace(resource, tools=tools) if tools != resource.tools else resource


def _joined(tool: Tool, kept: Kept | None) -> Tool:
    found = reviewed(tool, kept)
    if found is None:
        return tool
    return replace(
        tool,
        description=tool.description if tool.description is not None else found.description,
        schema=found.schema,
        digest=found.digest,
        changed=kept is not None and kept.seen is not None and kept.seen.digest != found.digest,
    )


def compared(resource: Resource, listed: Iterable[Listed], kept: Mapping[str, Kept]) -> Compared:
    said = {one.definition.name: one.definition for one in listed}
    known = {tool.name: tool for tool in resource.tools}
    looked = {name: reviewed(known.get(name), kept.get(name)) for name in said}
    return Compared(
        new=tuple(name for name in said if name not in known),
        gone=tuple(name for name in known if name not in said),
        changed=tuple(
            name for name, found in looked.items() if found is not None and found.digest != said[name].digest
        ),
        unseen=tuple(name for name, found in looked.items() if found is None and name in known),
    )


def proposals(resource: Resource | None, listed: Iterable[Listed]) -> list[Proposal]:
    """For every tool that the estate does not have."""
    everything = list(listed)
    names = {one.definition.name for one in everything}
    known = {tool.name for tool in resource.tools} if resource else set()
    return [_proposal(one, names, resource) for one in everything if one.definition.name not in known]


def _proposal(listed: Listed, names: set[str], resource: Resource | None) -> Proposal:
    impact, back, why = _classed(listed.definition.name, listed.hints, names)
    return Proposal(listed.definition.name, _scopes(impact, resource), impact, back, why)


def _classed(name: str, hints: Hints, names: set[str]) -> tuple[Impact, str | None, str]:
    """Hints are of whoever wrote the server: where they leave a doubt, it is the gravest class."""
    if hints.read_only:
        return Impact.READ, None, "readOnlyHint; sensitive_read where it shows what not everybody may see"
    if hints.open_world:
        return Impact.EXTERNAL_WRITE, None, "it writes, and openWorldHint is not false"
    if hints.destructive or not hints.idempotent:
        return Impact.EXTERNAL_WRITE, None, "it writes, and is not said to be harmless and idempotent"
    back = undo_of(name, names)
    if back is None:
        return Impact.EXTERNAL_WRITE, None, "no tool seems to take it back: name an undo for reversible_write"
    return Impact.REVERSIBLE_WRITE, back, f"not destructive, idempotent, and {back} seems to take it back"


def undo_of(name: str, names: Iterable[str]) -> str | None:
    """The tool that by its name takes a call of this one back."""
    there = set(names)
    verb, separator, rest = name.partition("_")
    if not separator:
        verb, separator, rest = name.partition("-")
    candidates = [f"{back}{separator}{rest}" for back in _BACK.get(verb, ())]
    candidates += [f"undo{separator or '_'}{name}", f"revert{separator or '_'}{name}", f"un{name}"]
    return next((one for one in candidates if one in there), None)


def _scopes(impact: Impact, resource: Resource | None) -> tuple[str, ...]:
    """The one scope that covers this class and no other."""
    if resource is None:
        return (CHOOSE,)
    covered = {
        scope: {tool.impact for tool in resource.tools if scope in tool.scopes}
        for scope in resource.scope_names
    }
    fitting = [scope for scope, classes in covered.items() if classes == {impact}]
    return tuple(fitting) if len(fitting) == 1 else (CHOOSE,)
