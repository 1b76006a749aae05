"""What is wrong with a text of policies, and on which line; what Cedar can see of arguments; the schema."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from broker.control.policy import arguments, reading, schema
from broker.control.policy.arguments import Unsayable
from broker.control.policy.model import SERVER, PolicyText
from broker.control.policy.policies import Sets
from broker.estate.model import Scope
from tests.control.calls import REFUND, resource

DESK = resource()
FORBID = '@id("x") forbid (principal, action, resource)'
RELAXES = (
    '@id("x") @relaxes("approval") @cites("r") @expires("2027-01-31T00:00:00Z") @signed_by("bob, carol") '
    "permit (principal, action, resource);"
)


def faults(text: str, tenant: str = SERVER) -> list[str]:
    return [str(fault) for fault in reading.check(text, [DESK], tenant)]


def test_a_text_without_policies_and_one_with_many_are_read() -> None:
    assert faults("") == faults("// nothing; here\n") == []
    assert (
        faults(f'{FORBID};\n@id("y") permit (principal, action, resource) when {{ "a;//" == "a" }}; // end')
        == []
    )
    assert [
        policy.line for policy in reading.read(f"\n// why;\n{FORBID};\n\n" + FORBID.replace("x", "y") + ";")
    ] == [3, 5]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("nonsense", "line 1: unexpected end of input"),
        (f"{FORBID};\n\nnonsense;", "line 3: unexpected token `;`"),
        (f"{FORBID};\n{FORBID};", "line 2: x: its name is taken by line 1"),
        ("forbid (principal, action, resource);", "line 1: give it a name: @id"),
        ('@id("a b") forbid (principal, action, resource);', "line 1: a b: give it a name: @id"),
        (
            '@id("mcp.mine") forbid (principal, action, resource);',
            "line 1: mcp.mine: names that begin with mcp.",
        ),
        (
            '@id("x") permit (principal == ?principal, action, resource);',
            "line 1: write one policy without slots",
        ),
        (f"{FORBID} when {{ principal.shoe }};", "line 1: x: "),
        (
            '\n@id("x") forbid (principal, action == Action::"tickets/rfund", resource);',
            "line 2: x: unrecognized action",
        ),
        (
            '@id("x") forbid (principal, action == Action::"call", resource);',
            "line 1: x: every tool is an action of its",
        ),
        (
            '@id("x") forbid (principal, action, resource in Family::"tickets/pay");',
            'line 1: x: there is no Family::"tickets/pay"',
        ),
        (f'{FORBID} when {{ resource == Tool::"refund" }};', 'line 1: x: there is no Tool::"refund"'),
        (f'{FORBID} when {{ resource in Resource::"ticket" }};', 'line 1: x: there is no Resource::"ticket"'),
        (f'{FORBID} when {{ context.now > datetime("soon") }};', "line 1: x: "),
        (
            '@asks("approval") @id("x") permit (principal, action, resource);',
            'line 1: x: @asks("approval") is said of a forbid',
        ),
        (
            f'@asks("leave") {FORBID} unless {{ context.approved }};',
            'line 1: x: @asks("approval") is said of a forbid',
        ),
        (f'@asks("approval") {FORBID};', "line 1: x: what asks for an approval gives way to one"),
        (f'@relaxes("approval") {FORBID};', 'line 1: x: @relaxes("approval") is said of a permit'),
        (f'@expires("2027-01-01T00:00:00Z") {FORBID};', "line 1: x: @expires is said with @relaxes alone"),
        (RELAXES.replace('@cites("r") ', ""), "line 1: x: what relaxes an approval cites"),
        (RELAXES.replace('@cites("r")', '@cites(" ")'), "line 1: x: what relaxes an approval cites"),
        (
            RELAXES.replace("2027-01-31T00:00:00Z", "2027-01-31T00:00:00"),
            "line 1: x: what relaxes an approval ends",
        ),
        (RELAXES.replace("2027-01-31T00:00:00Z", "never"), "line 1: x: what relaxes an approval ends"),
        (RELAXES.replace("bob, carol", "bob"), "line 1: x: what relaxes an approval was signed by two"),
        (
            RELAXES.replace("bob, carol", "bob, Bob ,"),
            "line 1: x: what relaxes an approval was signed by two",
        ),
        (
            RELAXES.replace(
                ");", ') when { !(!([resource.impact].contains("x") || resource.impact like "ext*")) };'
            ),
            "line 1: x: what relaxes an approval is about exact calls",
        ),
        ("/" * (reading.LONGEST + 1), "line 1: the text is longer than"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, fault: str) -> None:
    found = faults(text)
    assert any(one.startswith(fault) for one in found), found


NESTED = {
    "parentheses": lambda n: "(" * n + "true" + ")" * n,
    "sets": lambda n: "[" * n + "1" + "]" * n + " == 1",
    "records": lambda n: "{a: " * n + "1" + "}" * n + " == 1",
    "and": lambda n: "true" + " && true" * n,
    "plus": lambda n: "1" + "+1" * n + " == 1",
    "if": lambda n: "if true then " * n + "true" + " else true" * n,
    "attributes": lambda n: "context" + ".a" * n,
}


@pytest.mark.parametrize("kind", NESTED)
def test_what_nests_deeply_is_refused_before_it_is_read(kind: str) -> None:
    for depth in (20, 201, 20_000):
        found = faults(f"\n{FORBID} when {{ {NESTED[kind](depth)} }};")
        said = [one for one in found if "operators, or brackets" in one or "longer than" in one]
        assert bool(said) is (depth > 200 or kind in ("parentheses", "sets", "records")), found
    assert not any("operators" in one for one in faults(f"{FORBID} when {{ {NESTED[kind](15)} }};"))


@pytest.mark.parametrize("count", [30, 100, 199])
def test_what_is_taken_can_be_used(count: int) -> None:
    text = f"{FORBID} when {{ true{' && true' * count} }};"
    found = Sets([PolicyText(SERVER, text)]).of("acme").error
    assert (found is None) is (faults(text) == []) is (count == 30), found


def test_many_names_in_a_list_are_no_nesting() -> None:
    names = ", ".join(f'User::"user.{i}(x"' for i in range(1000))
    assert (
        faults(
            f"{FORBID.replace('principal', 'principal is User')} when {{ [{names}].contains(principal) }};"
        )
        == []
    )


def test_what_fits_is_not_refused() -> None:
    assert faults(RELAXES) == []
    call = 'action in Action::"call"'
    assert (
        faults(
            f'@id("x") @asks("approval") forbid (principal, {call}, resource) unless {{ context.approved }};'
        )
        == []
    )
    family = 'resource in Family::"tickets/payments"'
    assert faults(f'@id("x") forbid (principal, action == Action::"tickets/refund", {family});') == []


def test_a_tenant_can_only_forbid() -> None:
    assert faults(f"{FORBID};", "acme") == []
    permit = FORBID.replace("forbid", "permit") + ";"
    assert faults(permit) == []
    for text in (permit, RELAXES):
        assert faults(text, "acme") == ["line 1: x: the policies of a tenant can only forbid"]
    assert [policy.id for policy in reading.read(f"{FORBID};", "acme")] == ["acme/x"]


def test_of_many_faults_of_one_policy_a_few_are_told() -> None:
    found = faults(
        "".join(f'@id("x") forbid (principal, action, resource) when {{ context.{"a" * n} }};' for n in (1,))
    )
    assert len(found) == 4 and found[-1].endswith("more of that kind")


SCHEMA = {
    "properties": {
        "text": {"type": "string", "enum": ["a"]},
        "whole": {"type": "integer"},
        "price": {"type": "number"},
        "sure": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "to": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        "either": {"type": ["string", "null"]},
        "other": {"$ref": "#/$defs/x", "type": "string"},
        "any": {},
        "lists": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "free": {"type": "object"},
        "__entity": {"type": "string"},
    },
    "required": ["text", "either"],
}


def test_arguments_have_the_type_of_their_schema_where_it_is_simple() -> None:
    record = arguments.record(SCHEMA)
    assert {name: needed for name, (_, needed) in record.members.items()} == {
        "text": True,
        "whole": False,
        "price": False,
        "sure": False,
        "tags": False,
        "to": False,
    }
    given = {
        "text": "a",
        "whole": 1e2,
        "price": 12.5,
        "sure": True,
        "tags": ["x"],
        "to": {"name": "b", "more": 1},
        "either": None,
        "more": {"__extn": {"fn": "ip", "arg": "::"}},
    }
    assert arguments.said(record, given) == {
        "text": "a",
        "whole": 100,
        "price": {"__extn": {"fn": "decimal", "arg": "12.5000"}},
        "sure": True,
        "tags": ["x"],
        "to": {"name": "b"},
    }
    assert arguments.said(arguments.record(None), given) == {} == arguments.said(arguments.record({}), given)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("text", 1, "arguments.text is no string"),
        ("whole", 1.5, "arguments.whole is no integer"),
        ("whole", 2**63, "arguments.whole is no integer"),
        ("whole", float("inf"), "arguments.whole is no integer"),
        ("price", 0.00001, "arguments.price has more than four decimals, or is too large"),
        ("price", 1e15, "arguments.price has more than four decimals, or is too large"),
        ("price", float("nan"), "arguments.price has more than four decimals, or is too large"),
        ("price", True, "arguments.price is no number"),
        ("sure", 1, "arguments.sure is no boolean"),
        ("tags", "x", "arguments.tags is not a list"),
        ("tags", ["x", 1], "arguments.tags[1] is no string"),
        ("to", [], "arguments.to is not an object"),
        ("to", {}, "arguments.to.name is missing"),
    ],
)
def test_what_cedar_cannot_hold_exactly_is_refused_without_its_value(
    name: str, value: object, error: str
) -> None:
    with pytest.raises(Unsayable) as caught:
        arguments.said(arguments.record(SCHEMA), {"text": "a", name: value})
    assert str(caught.value) == error


def test_a_schema_that_nests_deeply_is_seen_as_far_as_is_simple() -> None:
    deep: dict[str, object] = {"type": "string"}
    for _ in range(100):
        deep = {"type": "object", "properties": {"in": deep}}
    kind, depth = arguments.record(deep), 0
    while isinstance(kind, arguments.Record) and kind.members:
        kind, depth = kind.members["in"][0], depth + 1
    assert depth < 6


@pytest.mark.parametrize(
    ("condition", "looks"),
    [
        ("true", set()),
        ('resource.impact == "read"', set()),
        ("context.arguments.n > 1", {"arguments"}),
        ("context has actor && context.actor.iss == context.acr", {"actor", "acr"}),
        ("context has actor.iss", {"actor"}),
        (
            'if context.stage == "full" then [context.client].contains(context.client) else true',
            {"stage", "client"},
        ),
        ("context == context", schema.CONTEXT),
        ("[{a: context}].isEmpty()", schema.CONTEXT),
    ],
)
def test_what_a_policy_looks_at_is_known(condition: str, looks: set[str]) -> None:
    [policy] = reading.read(f"{FORBID} when {{ {condition} }};")
    assert policy.looks == looks


def test_the_schema_is_of_the_estate() -> None:
    text = schema.text([DESK])
    for part in (
        'action "tickets/refund" in [Action::"call"]',
        "entity User in [Tenant]",
        "tags Set<String>;",
    ):
        assert part in text, text
    assert "intent" not in text and "tickets/refund" not in schema.text([])


def test_the_examples_of_the_documentation_fit() -> None:
    text = (Path(__file__).parents[2] / "docs" / "policy.md").read_text("utf-8")
    examples = [
        found
        for found in re.findall(r"```cedar\n(.*?)```", text, re.DOTALL)
        if found.startswith('@id("') and "mcp." not in found
    ]
    schema = {"properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
    tools = (replace(REFUND, schema=schema), replace(REFUND, name="read_customer"))
    payroll = replace(resource(name="payroll"), scopes=(Scope("write", ""),))
    assert len(examples) == 6
    for example in examples:
        assert reading.check(example, [replace(DESK, tools=tools), payroll]) == []


@pytest.mark.parametrize(
    ("action", "wish", "hint"),
    [
        (
            '== Action::"tickets/refund"',
            "arguments.nope == 1",
            "review the tool (broker resource tools import)",
        ),
        (
            '== Action::"tickets/refund"',
            "arguments.text == 1",
            "write context.arguments has text && before it",
        ),
        (
            '== Action::"tickets/refund"',
            "arguments.to.name == 1",
            "write context.arguments has to && before it",
        ),
        ('in Action::"call"', "arguments.text == 1", "only a policy about one tool looks at arguments"),
    ],
)
def test_what_is_wrong_with_arguments_is_said_with_what_to_do(action: str, wish: str, hint: str) -> None:
    schema = {**SCHEMA, "required": []}
    tools = tuple(replace(tool, schema=schema if tool.name == "refund" else None) for tool in DESK.tools)
    text = f'@id("x") forbid (principal, action {action}, resource) when {{ context.{wish} }};'
    found = reading.check(text, [replace(DESK, tools=tools)])
    assert any(f": {hint}" in fault.text for fault in found), found
