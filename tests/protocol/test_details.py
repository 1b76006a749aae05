import json
from collections.abc import Mapping

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from broker.protocol import constraints, details
from broker.protocol.constraints import ABSENT, ANYTHING, Constraint
from broker.protocol.details import Call, Detail, Invalid

DESK, NOTES = "https://mcp1.example/mcp", "https://mcp2.example/mcp"

# Few names and small values, so that what is drawn meets.
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "a", "ab", 0.5, 1.0]))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from("xy"), SCALARS))
LIMITS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 1.0, -0.0]))
CONSTRAINTS = st.one_of(
    st.just({}),
    st.builds(lambda value: {"const": value}, VALUES),
    st.builds(lambda values: {"enum": values}, st.lists(VALUES, min_size=1, max_size=4)),
    st.builds(lambda limit: {"minimum": limit}, LIMITS),
    st.builds(lambda limit: {"maximum": limit}, LIMITS),
    st.builds(lambda a, b: {"minimum": min(a, b), "maximum": max(a, b)}, LIMITS, LIMITS),
    st.builds(lambda length: {"maxLength": length}, st.integers(0, 3)),
).map(constraints.read)
TOOLS, NAMES = st.sampled_from(["search", "refund"]), st.sampled_from(["p", "q", "r"])
CALLS = st.builds(Call, TOOLS, st.one_of(st.none(), st.dictionaries(NAMES, CONSTRAINTS, max_size=3)))
DETAILS = st.lists(
    st.builds(Detail, st.sampled_from([DESK, NOTES]), st.lists(CALLS, min_size=1, max_size=3).map(tuple)),
    max_size=3,
).map(tuple)
ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)


@st.composite
def near(draw: st.DrawFn, held: details.Details) -> details.Details:
    """Details that differ from others in a little, so that they are often covered by them, and often just not."""

    def call(known: Call) -> Call:
        named = dict(known.arguments or {})
        name, change = draw(NAMES), draw(st.sampled_from(["none", "constrain", "drop", "free", "name"]))
        if change == "constrain":
            named[name] = draw(CONSTRAINTS)
        elif change == "drop":
            named.pop(name, None)
        elif change == "free":
            return Call(known.tool, None)
        elif change == "name" and known.arguments is None:
            return Call(known.tool, draw(st.dictionaries(NAMES, CONSTRAINTS, max_size=2)))
        return Call(known.tool, None if known.arguments is None else named)

    return tuple(Detail(one.resource, tuple(call(known) for known in one.calls)) for one in held)


PAIRS = DETAILS.filter(bool).flatmap(lambda held: st.tuples(st.just(held), near(held)))


def one(**members: object) -> str:
    return json.dumps([{"type": "mcp_tool_call", "locations": [DESK], "tools": ["search"], **members}])


def arguments(**named: object) -> Call:
    (found,) = details.read(one(tools=[{"name": "search", "arguments": named}]))
    return found.calls[0]


@settings(max_examples=500)
@given(PAIRS, st.sampled_from([DESK, NOTES]), TOOLS, ARGUMENTS)
def test_what_is_covered_allows_nothing_that_was_not_held(
    pair: tuple[details.Details, details.Details], resource: str, tool: str, given: Mapping[str, object]
) -> None:
    held, asked = pair
    if details.covers(held, asked) and details.allows(asked, resource, tool, given):
        assert details.allows(held, resource, tool, given)


@given(CONSTRAINTS, CONSTRAINTS, st.one_of(st.just(ABSENT), VALUES))
def test_a_constraint_within_another_admits_no_more(
    asked: Constraint, held: Constraint, value: object
) -> None:
    if asked.within(held) and asked.admits(value):
        assert held.admits(value)


@given(DETAILS)
def test_details_cover_themselves_and_whatever_is_left_of_them(held: details.Details) -> None:
    assert details.covers(held, held)
    left = details.keeping(held, lambda tool: tool == "search")
    assert "refund" not in details.tools(left)
    assert not left or details.covers(held, left)


@given(PAIRS.flatmap(lambda pair: st.tuples(st.just(pair[0]), st.just(pair[1]), near(pair[1]))))
def test_covering_goes_on(three: tuple[details.Details, details.Details, details.Details]) -> None:
    a, b, c = three
    if details.covers(a, b) and details.covers(b, c):
        assert details.covers(a, c)


@given(DETAILS)
def test_what_is_written_is_read_again_as_the_same(held: details.Details) -> None:
    assume(held)
    again = details.read(json.dumps(details.members(held)))
    assert again == held and details.digest(again) == details.digest(held)


def test_no_details_hold_everything_and_are_covered_by_no_details_alone() -> None:
    asked = details.read(one())
    assert details.covers((), asked) and details.covers((), ())
    assert not details.covers(asked, ())


def test_a_call_has_the_arguments_that_are_named_and_no_others() -> None:
    call = arguments(path={"const": "/a"}, note={})
    assert call.admits({"path": "/a"}) and call.admits({"path": "/a", "note": ["anything"]})
    for refused in ({}, {"note": 1}, {"path": "/b"}, {"path": "/a", "mode": "w"}, {"path": ["/a"]}):
        assert not call.admits(refused), refused
    assert arguments().admits({}) and not arguments().admits({"path": "/a"})
    assert Call("search").admits({"anything": 1})


def test_an_argument_that_is_left_out_does_for_no_constraint() -> None:
    for kind in ({"const": None}, {"enum": [None]}, {"minimum": 0}, {"maximum": 0}, {"maxLength": 9}):
        assert not arguments(p=kind).admits({}), kind
    assert not details.covers(
        details.read(one(tools=[{"name": "search", "arguments": {"amount": {"maximum": 5}}}])),
        details.read(one(tools=[{"name": "search", "arguments": {}}])),
    )


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ({"const": 1}, [1, 1.0], [True, "1", 2, [1]]),
        ({"const": {"a": [1, 2.0]}}, [{"a": [1.0, 2]}], [{"a": [2, 1]}, {"a": [1, 2], "b": 0}]),
        ({"enum": ["EUR", 5]}, ["EUR", 5.0], ["eur", "5", None]),
        ({"minimum": 1, "maximum": 2.5}, [1, 2.5, 2], [0.99, 2.51, True, "2", None, 2**53 + 1, float("inf")]),
        ({"minimum": 0}, [0, 2**53], [2**53 + 1, float("inf"), float("nan"), -1]),
        ({"maxLength": 2}, ["", "ab", "äö"], ["abc", 1, ["a"], "\ud800"]),
    ],
)
def test_values_are_compared_as_json(kind: dict[str, object], good: list[object], bad: list[object]) -> None:
    found = constraints.read(kind)
    assert all(found.admits(value) for value in good)
    assert not any(found.admits(value) for value in bad)
    assert found != ANYTHING


def test_calls_are_looked_for_at_their_resource_alone() -> None:
    held = details.read(one())
    assert details.allows(held, DESK, "search", None) and details.allows(held, DESK, "search", {"q": 1})
    assert not details.allows(held, NOTES, "search", {})
    assert not details.allows(held, DESK, "refund", {})
    assert not details.allows(held, DESK, "search", ["q"])


@pytest.mark.parametrize("spelled", ["1", "1.0", "1e0", "10e-1"])
@pytest.mark.attack("RAR-11")
def test_a_number_is_one_number_however_it_is_spelled(spelled: str) -> None:
    text = one(tools=[{"name": "search", "arguments": {"n": {"const": "N"}}}]).replace('"N"', spelled)
    found = details.read(text)
    assert details.canonical(found) == details.canonical(details.read(text.replace(spelled, "1")))
    assert details.allows(found, DESK, "search", {"n": 1}) and details.allows(
        found, DESK, "search", {"n": 1.0}
    )


@pytest.mark.attack("RAR-11")
@pytest.mark.parametrize(
    "text",
    [
        one().replace('"type"', '"type": "mcp_tool_call", "type"'),
        one(tools=[{"name": "search", "arguments": {"n": {"const": "N"}}}]).replace('"N"', "NaN"),
        one(tools=[{"name": "search", "arguments": {"n": {"maximum": "N"}}}]).replace('"N"', "Infinity"),
        one(tools=[{"name": "search", "arguments": {"n": {"maximum": "N"}}}]).replace('"N"', "1e400"),
        one(tools=[{"name": "search", "arguments": {"n": {"const": 2**53 + 1}}}]),
        one(tools=[{"name": "search", "arguments": {"n": {"const": "\ud800"}}}]),
        one(tools=[{"name": "search", "arguments": {"n": {"const": 1}}}]).replace('"n"', '"n": {}, "n"'),
    ],
)
def test_json_with_two_readings_is_none(text: str) -> None:
    with pytest.raises(Invalid):
        details.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "{}",
        "[]",
        "[1]",
        "[{}]",
        "null",
        '"mcp_tool_call"',
        "[" * 5000,
        one(type="x"),
        one(type=1),
        one(locations=[]),
        one(locations=DESK),
        one(locations=[DESK, NOTES]),
        one(locations=[1]),
        one(tools=[]),
        one(tools="search"),
        one(tools=[1]),
        one(tools=[""]),
        one(tools=["sea\u202erch"]),
        one(tools=["search"] * 21),
        one(tools=[{"arguments": {}}]),
        one(tools=[{"name": "search", "arguments": "path=/a"}]),
        one(tools=[{"name": "search", "arguments": None}]),
        one(tools=[{"name": "search", "extra": 1}]),
        one(actions=["call"]),
        one(tools=[{"name": "search", "arguments": {"path": "/a"}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"pattern": ".*"}}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"const": 1, "enum": [1]}}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"enum": []}}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"enum": "ab"}}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"minimum": "1"}}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"minimum": True}}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"minimum": 2, "maximum": 1}}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"maxLength": 1.5}}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"maxLength": -1}}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"const": "x" * 1025}}}]),
        one(tools=[{"name": "search", "arguments": {"path": {"const": [[[[[[1]]]]]]}}}]),
        one(tools=[{"name": "search", "arguments": {"p\u200bath": {}}}]),
        one(tools=[{"name": "search", "arguments": {"": {}}}]),
        one(tools=[{"name": "search", "arguments": {f"a{i}": {} for i in range(21)}}]),
        json.dumps(json.loads(one()) * 11),
        one(tools=[{"name": "search", "arguments": {f"a{i}": {"const": "x" * 1000} for i in range(5)}}]),
    ],
)
def test_what_is_not_of_the_type_is_refused_whole(text: str) -> None:
    with pytest.raises(Invalid):
        details.read(text)
    assert details.read(one())
