"""Cedar text into policies, each judged by itself; every fault with its line."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache

import cedarpy

from broker.control.policy import arguments, builtin, schema
from broker.control.policy.model import CALL, SERVER, Fault, Policy, Unreadable
from broker.estate.model import Resource

LONGEST = 256 * 1024
RESERVED = "mcp."
APPROVAL = "approval"
MOST_OPERATORS, DEEPEST = 200, 20
"""Of one policy, and of its brackets: whoever reads what nests has only so much of a stack, and ends where it ends."""
_TOKEN = re.compile(
    r'"(?:\\.|[^"\\])*"|//[^\n]*|;|(?P<open>[(\[{])|(?P<close>[)\]}])'
    r"|(?P<operator>&&|\|\||[=!<>]=|[-+*!<>.]|\b(?:if|in|is|has|like)\b)",
    re.DOTALL,
)
_BLANK = re.compile(r"(?:\s|//[^\n]*)*")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RELAXING = ("cites", "expires", "signed_by")
_ESTATE = ("Tool", "Family", "Resource", "Scope")
_MOST = 3


@cache
def built_in() -> tuple[Policy, ...]:
    return tuple(
        _policy(line, _parsed(line, text), built_in=True) for line, text in _statements(builtin.TEXT)
    )


def read(text: str, tenant: str = SERVER) -> tuple[Policy, ...]:
    """The policies of one text, in their order; Unreadable. Those of a tenant can only forbid."""
    if len(text) > LONGEST:
        raise Unreadable([Fault(1, None, f"the text is longer than {LONGEST // 1024} KiB")])
    found: dict[str, Policy] = {}
    faults: list[Fault] = []
    for line, statement in _statements(text):
        try:
            policy = _policy(line, _parsed(line, statement), tenant=tenant)
            if policy.id in found:
                raise Unreadable(
                    [Fault(line, policy.id, f"its name is taken by line {found[policy.id].line}")]
                )
            found[policy.id] = policy
        except Unreadable as error:
            faults += error.faults
    if faults:
        raise Unreadable(faults)
    return tuple(found.values())


def check(text: str, resources: Iterable[Resource], tenant: str = SERVER) -> list[Fault]:
    """Everything that is wrong with a text in an estate of these resources."""
    try:
        policies = read(text, tenant)
    except Unreadable as error:
        return error.faults
    listed = list(resources)
    there = schema.known(listed)
    faults = [
        Fault(policy.line, policy.id, f'there is no {kind}::"{name}"')
        for policy in policies
        for kind, name in sorted(set(_entities(policy.document)))
        if kind in _ESTATE and (kind, name) not in there
    ]
    wrong = cedarpy.validate_policies(text, schema.of(listed)).errors
    for i, policy in enumerate(policies):
        own = f"policy{i}"
        said = sorted(
            {error.error.removeprefix(f"for policy `{own}`, ") for error in wrong if error.policy_id == own}
        )
        faults += [Fault(policy.line, policy.id, arguments.plainly(one)) for one in said[:_MOST]]
        if len(said) > _MOST:
            faults.append(Fault(policy.line, policy.id, f"and {len(said) - _MOST} more of that kind"))
    if wrong and not faults:
        faults.append(Fault(1, None, wrong[0].error))
    return sorted(faults, key=lambda fault: fault.line)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each policy with the line where it begins: it ends with a semicolon outside of texts and comments."""
    begin = operators = depth = deepest = 0
    for token in _TOKEN.finditer(text):
        operators += token["operator"] is not None
        depth += (token["open"] is not None) - (token["close"] is not None)
        deepest = max(deepest, depth)
        if token[0] == ";":
            yield _placed(text, begin, token.end(), operators, deepest)
            begin, operators, depth, deepest = token.end(), 0, 0, 0
    line, rest = _placed(text, begin, len(text), operators, deepest)
    if rest:
        yield line, rest


def _placed(text: str, begin: int, end: int, operators: int, deepest: int) -> tuple[int, str]:
    blank = _BLANK.match(text, begin, end)
    start = blank.end() if blank else begin
    line = text.count("\n", 0, start) + 1
    if operators > MOST_OPERATORS or deepest > DEEPEST:
        said = f"it has more than {MOST_OPERATORS} operators, or brackets more than {DEEPEST} deep: make several of it"
        raise Unreadable([Fault(line, None, said)])
    return line, text[start:end]


def _parsed(line: int, statement: str) -> Mapping[str, object]:
    """The JSON form of one policy, from which it is loaded."""
    try:
        form = cedarpy.policies_to_json_str(statement)
    except ValueError as error:
        raise Unreadable([Fault(line, None, str(error))]) from None
    try:
        cedarpy.PolicySet.from_json_str(form)
        whole = json.loads(form)
    except (ValueError, RecursionError):
        raise Unreadable([Fault(line, None, "it nests too deeply: make several of it")]) from None
    if whole["templates"] or len(whole["staticPolicies"]) != 1:
        raise Unreadable([Fault(line, None, "write one policy without slots before each semicolon")])
    found: Mapping[str, object] = next(iter(whole["staticPolicies"].values()))
    return found


def _policy(
    line: int, document: Mapping[str, object], *, tenant: str = SERVER, built_in: bool = False
) -> Policy:
    notes = document.get("annotations", {})
    assert isinstance(notes, Mapping)
    name = notes.get("id")
    permits = document["effect"] == "permit"
    wrong = [] if built_in else list(_wrong(name, permits, notes, tenant))
    actions = _actions(document["action"])
    if actions is not None and document["action"] == {"op": "==", "entity": {"type": "Action", "id": CALL}}:
        wrong.append(f'every tool is an action of its own: write `action in Action::"{CALL}"`')
    looks = frozenset(_looks(document.get("conditions")))
    if notes.get("asks") == APPROVAL and "approved" not in looks:
        wrong.append("what asks for an approval gives way to one: unless { context.approved }")
    until: float | None = None
    signed: tuple[str, ...] = ()
    if notes.get("relaxes") == APPROVAL:
        until, signed = _moment(notes.get("expires")), _signed(notes)
        wrong += [] if built_in else list(_unproven(notes, until))
        if _matches(document.get("conditions")):
            wrong.append(
                "what relaxes an approval is about exact calls: compare with ==, in or numbers, not with like"
            )
    if wrong:
        raise Unreadable([Fault(line, name if isinstance(name, str) else None, text) for text in wrong])
    assert isinstance(name, str)
    return Policy(
        name if tenant == SERVER else f"{tenant}/{name}",
        line,
        document,
        permits,
        asks=notes.get("asks") == APPROVAL,
        relaxes_until=until,
        signed_by=signed,
        says=notes.get("says"),
        actions=actions,
        looks=looks,
        built_in=built_in,
    )


def _wrong(name: object, permits: bool, notes: Mapping[str, object], tenant: str) -> Iterator[str]:
    if not isinstance(name, str) or _ID.fullmatch(name) is None:
        yield 'give it a name: @id("…") with 1 to 64 letters, digits, dots, underscores and hyphens'
    elif name.startswith(RESERVED):
        yield f"names that begin with {RESERVED} are those of the built-in policies"
    for note, mine in (("asks", not permits), ("relaxes", permits)):
        if note in notes and not (mine and notes[note] == APPROVAL):
            yield f'@{note}("{APPROVAL}") is said of a {"permit" if note == "relaxes" else "forbid"}, and nothing else'
    if "relaxes" not in notes:
        yield from (f"@{note} is said with @relaxes alone" for note in _RELAXING if note in notes)
    if tenant != SERVER and permits:
        yield "the policies of a tenant can only forbid"


def _unproven(notes: Mapping[str, object], until: float | None) -> Iterator[str]:
    if not str(notes.get("cites", "")).strip():
        yield 'what relaxes an approval cites the report that says it can: @cites("…")'
    if until is None:
        yield 'what relaxes an approval ends: @expires("2027-01-31T00:00:00Z")'
    if len({name.casefold() for name in _signed(notes)}) < 2:
        yield 'what relaxes an approval was signed by two: @signed_by("alice, bob")'


def _signed(notes: Mapping[str, object]) -> tuple[str, ...]:
    names = (name.strip() for name in str(notes.get("signed_by", "")).split(","))
    return tuple(name for name in names if name)


def _matches(value: object) -> bool:
    """Whether an expression holds a text against a pattern."""
    if isinstance(value, Mapping):
        return "like" in value or any(_matches(inner) for inner in value.values())
    return isinstance(value, list) and any(_matches(item) for item in value)


def _moment(value: object) -> float | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.timestamp()


def _actions(head: object) -> frozenset[str] | None:
    assert isinstance(head, Mapping)
    named = [head["entity"]] if "entity" in head else head.get("entities")
    return None if named is None else frozenset(one["id"] for one in named)


def _looks(value: object) -> Iterator[str]:
    """The members of the context that an expression looks at: all of them, where it takes the context as a whole."""
    if isinstance(value, list):
        for item in value:
            yield from _looks(item)
    elif value == {"Var": "context"}:
        yield from schema.CONTEXT
    elif isinstance(value, Mapping):
        for operator, inner in value.items():
            if (
                operator in (".", "has")
                and isinstance(inner, Mapping)
                and inner.get("left") == {"Var": "context"}
            ):
                yield str(inner["attr"])
            else:
                yield from _looks(inner)


def _entities(value: object) -> Iterator[tuple[str, str]]:
    """Every entity that a policy names."""
    if isinstance(value, list):
        for item in value:
            yield from _entities(item)
    elif isinstance(value, Mapping):
        if set(value) == {"type", "id"} and isinstance(value["id"], str):
            yield str(value["type"]), value["id"]
        for item in value.values():
            yield from _entities(item)
