"""The evidence as a story for people."""

import re

from broker.cli.output import aligned, rows, text
from broker.cli.story import story, tokens

EXCHANGE = {
    "time": "2026-11-22T10:00:00.000Z",
    "fact": "exchange.granted",
    "outcome": "allowed",
    "tenant": "acme",
    "subject": "alice",
    "client": "tickets-server",
    "actors": ["tickets-server", "desk-app"],
    "resource": "crm",
    "scope": "crm:read",
    "jti_hash": "b" * 64,
    "parent_jti_hash": "a" * 64,
}


def test_a_line_tells_who_through_whom_where_with_what() -> None:
    line = story([EXCHANGE]).splitlines()[1]
    assert re.split("  +", line) == [
        "2026-11-22 10:00:00.000",
        "exchange.granted",
        "allowed",
        "acme",
        "alice / desk-app > tickets-server",
        "crm",
        "crm:read",
        f"{'a' * 12} > {'b' * 12}",
        "-",
    ]


def test_a_refusal_tells_its_reason() -> None:
    refused = {
        "time": "t",
        "fact": "token.refused",
        "outcome": "denied",
        "reason": "code_expired",
        "client": "desk-app",
    }
    assert "denied: code_expired" in story([refused]) and "desk-app" in story([refused])


def test_what_somebody_said_of_their_answer_stands_in_the_line() -> None:
    denied = {
        "id": "aud_3",
        "time": "t",
        "fact": "approval.denied",
        "outcome": "allowed",
        "words": "too much",
    }
    assert story([denied]).splitlines()[1].endswith("too much")


def test_columns_are_aligned() -> None:
    lines = story(
        [EXCHANGE, {**EXCHANGE, "fact": "token.issued", "subject": "a-much-longer-name"}]
    ).splitlines()
    assert len({line.index("crm:read") for line in lines[1:]}) == 1
    assert aligned([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc  d"


def test_the_tokens_of_a_story_stand_by_their_whole_hashes_in_order() -> None:
    first = {"fact": "token.issued", "client": "desk-app", "resource": "tickets", "jti_hash": "a" * 64}
    revoked = {**EXCHANGE, "fact": "token.revoked"}
    lines = tokens([revoked, {"outcome": "allowed"}, first, EXCHANGE, revoked]).splitlines()
    assert [re.split("  +", line) for line in lines[1:]] == [
        ["a" * 64, "-", "desk-app", "tickets"],
        ["b" * 64, "a" * 12, "tickets-server", "crm"],
    ]


def test_no_record_is_no_story() -> None:
    assert story([]) == "" and tokens([]) == "" and tokens([{"outcome": "allowed"}]) == ""


def test_what_others_wrote_does_not_move_the_cursor() -> None:
    assert text("a\x1b[2Jb\nc") == "a�[2Jb�c"
    assert "\x1b" not in story([{**EXCHANGE, "subject": "\x1b[31mroot"}])


def test_cells_read_as_words(capsys) -> None:
    assert [text(value) for value in (None, True, False, [], ["a", 1], {"a": ["b"]})] == [
        "-",
        "yes",
        "no",
        "-",
        "a, 1",
        "a: b",
    ]
    rows([], ("id",), "table")
    rows([], ("id",), "json")
    assert capsys.readouterr().out == "none\n[]\n"


def test_a_call_tells_its_tool_and_who_allowed_it() -> None:
    call = {
        **EXCHANGE,
        "fact": "decision.made",
        "tool": "refund",
        "approval": "apr_1",
        "approver": "bob",
        "change": {"impact": "external_write"},
    }
    assert story([call]).splitlines()[1].endswith("tool refund; approval apr_1; approver bob; external_write")
