"""Where in an output something stands that is left out."""

import pytest

from broker.protocol import json_path
from broker.protocol.json_path import REDACTED, Step

CUSTOMER = {
    "name": "Alice",
    "ssn": "078-05-1120",
    "accounts": [{"iban": "DE1", "open": True}, {"iban": "DE2", "owner": {"ssn": "219-09-9999"}}],
    "unit price": 5,
}


def left(*paths: str) -> object:
    return json_path.redacted(CUSTOMER, [json_path.read(path) for path in paths])


def test_a_path_is_read_into_its_steps() -> None:
    assert json_path.read("$.a['b c'][*]..d.*") == (
        Step("a"),
        Step("b c"),
        Step(None),
        Step("d", deep=True),
        Step(None),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssn",
        "$",
        "$.",
        "$ssn",
        "$..",
        "$[0]",
        "$[?@.a]",
        "$.a.",
        "$['a",
        '$["a"]',
        "$['']",
        "$.a b",
        "$...a",
    ],
)
def test_what_is_none_of_the_few_words_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"path|write"):
        json_path.read(text)


def test_only_what_a_path_leads_to_is_left_out() -> None:
    assert left("$.ssn") == {**CUSTOMER, "ssn": REDACTED}
    assert left("$['unit price']") == {**CUSTOMER, "unit price": REDACTED}
    assert left("$.accounts[*].iban") == {
        **CUSTOMER,
        "accounts": [{"iban": REDACTED, "open": True}, {**CUSTOMER["accounts"][1], "iban": REDACTED}],
    }
    assert left("$.accounts") == {**CUSTOMER, "accounts": REDACTED}


def test_a_deep_path_finds_its_name_wherever_it_stands() -> None:
    assert left("$..ssn") == {
        **CUSTOMER,
        "ssn": REDACTED,
        "accounts": [CUSTOMER["accounts"][0], {"iban": "DE2", "owner": {"ssn": REDACTED}}],
    }
    assert json_path.redacted([[{"a": {"a": 1}, "b": 2}]], [json_path.read("$..a")]) == [
        [{"a": REDACTED, "b": 2}]
    ]
    assert json_path.redacted({"a": {"b": {"x": {"c": 1}}}}, [json_path.read("$..b..c")]) == {
        "a": {"b": {"x": {"c": REDACTED}}}
    }


def test_what_is_not_there_is_no_matter_and_the_value_handed_in_stays_as_it_is() -> None:
    before = {"ssn": "1"}
    assert json_path.redacted(before, [json_path.read("$.a.b"), json_path.read("$.ssn.x")]) == before
    assert json_path.redacted("text", [json_path.read("$.a")]) == "text"
    json_path.redacted(before, [json_path.read("$.ssn")])
    assert before == {"ssn": "1"}
