"""What tools, limits and isolation of a resource may say; pure."""

import re
from collections.abc import Collection, Iterator, Sequence

from broker.admin.estate_file import ResourceEntry
from broker.admin.model import Problem
from broker.admin.tool_entry import ApprovalEntry, BoundsEntry, IsolationEntry, LimitsEntry, ToolEntry
from broker.control.classes import SELF
from broker.estate.catalogue import schemas
from broker.estate.model import Impact, Recording
from broker.identity.users.model import GROUP
from broker.protocol import json_path

LONGEST_DESCRIPTION = 8192
LARGEST_OUTPUT = 16 * 1024 * 1024
LARGEST_QUORUM = 5
SHORTEST_APPROVAL, LONGEST_APPROVAL = 30, 86400
LONGEST_TIMEOUT = 3600
MOST_CALLS = 10_000_000
MOST_AT_ONCE = 10_000
_WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_WORD_TEXT = "1 to 64 of a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit"
_NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"({_NAME}(\.{_NAME})*|\[[0-9a-f:.]+\])(:[1-9][0-9]{{0,4}})?")


def check(path: str, resource: ResourceEntry) -> Iterator[Problem]:
    """What they have wrong by themselves, or with one another."""
    names = [tool.name for tool in resource.tools]
    for i, tool in enumerate(resource.tools):
        yield from _tool(f"{path}.tools[{i}]", tool, names)
    families = {tool.family for tool in resource.tools if tool.family}
    yield from _limits(f"{path}.limits", resource.limits, families, names)
    yield from _isolation(f"{path}.isolation", resource.isolation)
    if resource.record == Recording.AFTER.value and resource.client is None:
        yield Problem(f"{path}.record", "whoever reports calls afterwards needs a client for it")


def _tool(path: str, tool: ToolEntry, names: Collection[str]) -> Iterator[Problem]:
    if not (0 < len(tool.name) <= 128 and tool.name.isprintable()):
        yield Problem(f"{path}.name", "a tool's name is 1 to 128 printable characters")
    if not 0 <= tool.cost < float("inf"):
        yield Problem(f"{path}.cost", "a cost is a number from 0 on")
    if tool.family is not None and _WORD.fullmatch(tool.family) is None:
        yield Problem(f"{path}.family", f"a family is {_WORD_TEXT}")
    if tool.undo is not None and (tool.undo == tool.name or tool.undo not in names):
        yield Problem(f"{path}.undo", "name another tool of this resource, which takes a call back")
    if tool.max_output is not None and not 1 <= tool.max_output <= LARGEST_OUTPUT:
        yield Problem(f"{path}.max_output", f"an output is 1 to {LARGEST_OUTPUT} bytes")
    for i, text in enumerate(tool.redact):
        try:
            json_path.read(text)
        except ValueError as error:
            yield Problem(f"{path}.redact[{i}]", str(error))
    if tool.approval is not None:
        yield from _approval(f"{path}.approval", tool.approval, Impact(tool.impact))
    if tool.description is not None and not 0 < len(tool.description) <= LONGEST_DESCRIPTION:
        yield Problem(f"{path}.description", f"a description is 1 to {LONGEST_DESCRIPTION} characters")
    if tool.arguments is not None:
        try:
            schemas.compiled(tool.arguments)
        except ValueError as error:
            yield Problem(f"{path}.schema", str(error))


def _approval(path: str, rule: ApprovalEntry, impact: Impact) -> Iterator[Problem]:
    if not rule.by:
        yield Problem(f"{path}.by", f"name the roles whose holders may allow it, or {SELF}")
    for i, role in enumerate(rule.by):
        if not (0 < len(role) <= 64 and role.isprintable()) or role in rule.by[:i] or role == GROUP:
            yield Problem(
                f"{path}.by[{i}]",
                "a role is 1 to 64 printable characters and stands once; a group is group:NAME",
            )
    if impact is Impact.EXTERNAL_WRITE and SELF in rule.by:
        yield Problem(f"{path}.by", f"an external_write is allowed by somebody else: {SELF} may not")
    if not 1 <= rule.quorum <= LARGEST_QUORUM:
        yield Problem(f"{path}.quorum", f"1 to {LARGEST_QUORUM} people allow a call")
    elif rule.quorum > 1 and rule.by == [SELF]:
        yield Problem(f"{path}.quorum", f"{SELF} is one person: name a role beside it")
    if not SHORTEST_APPROVAL <= rule.expires <= LONGEST_APPROVAL:
        yield Problem(
            f"{path}.expires", f"an approval waits {SHORTEST_APPROVAL} to {LONGEST_APPROVAL} seconds"
        )


def _limits(
    path: str, entry: LimitsEntry, families: Collection[str], names: Sequence[str]
) -> Iterator[Problem]:
    yield from check_bounds(path, entry)
    for member in ("per_tenant", "per_user", "per_client"):
        yield from check_bounds(f"{path}.{member}", getattr(entry, member))
    for name, bounds in entry.per_family.items():
        if name not in families:
            yield Problem(f"{path}.per_family.{name}", "no tool of this resource is of that family")
        yield from check_bounds(f"{path}.per_family.{name}", bounds)
    for name, bounds in entry.per_tool.items():
        if name not in names:
            yield Problem(f"{path}.per_tool.{name}", "there is no such tool of this resource")
        yield from check_bounds(f"{path}.per_tool.{name}", bounds)


def check_bounds(path: str, entry: BoundsEntry) -> Iterator[Problem]:
    for member, most in (
        ("per_minute", MOST_CALLS),
        ("concurrent", MOST_AT_ONCE),
        ("calls_per_day", MOST_CALLS),
    ):
        value = getattr(entry, member)
        if value is not None and not 1 <= value <= most:
            yield Problem(f"{path}.{member}", f"a limit is 1 to {most}: leave it out for none")
    if entry.budget_per_day is not None and not 0 <= entry.budget_per_day < float("inf"):
        yield Problem(f"{path}.budget_per_day", "a budget is a number from 0 on: leave it out for none")


def _isolation(path: str, entry: IsolationEntry) -> Iterator[Problem]:
    for i, host in enumerate(entry.egress or ()):
        if _HOST.fullmatch(host) is None:
            yield Problem(
                f"{path}.egress[{i}]", "a host name in lower case is needed, with or without a port"
            )
    if entry.timeout is not None and not 1 <= entry.timeout <= LONGEST_TIMEOUT:
        yield Problem(f"{path}.timeout", f"a call may take 1 to {LONGEST_TIMEOUT} seconds")
    if entry.concurrent is not None and not 1 <= entry.concurrent <= MOST_AT_ONCE:
        yield Problem(f"{path}.concurrent", f"1 to {MOST_AT_ONCE} calls run at once")
