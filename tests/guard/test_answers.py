"""A stream of events is cut into its messages, however it comes, and in no more than one look at each byte."""

import re

import pytest

from broker.guard import answers
from broker.guard.answers import Events

ENDS = [b"\n", b"\r\n", b"\r"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_events_are_the_same_in_whatever_pieces_they_come(end: bytes, size: int) -> None:
    body = b"".join(b"id: %d%sdata: {}%s%s" % (number, end, end, end) for number in range(4))
    marks: list[str | None] = []
    events = Events(lambda message: {"seen": 1}, lambda kind, data, mark: marks.append(mark))
    told = b"".join(events.feed(body[at : at + size]) for at in range(0, len(body), size)) + events.end()
    assert marks == ["0", "1", "2", "3"]
    assert told == b"".join(b'id: %d\r\ndata: {"seen":1}\r\n\r\n' % number for number in range(4))


def test_what_was_searched_once_is_not_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    class Counting:
        def search(self, text: bytearray, at: int = 0) -> re.Match[bytes] | None:
            looked.append(len(text) - at)
            return pattern.search(text, at)

    pattern = answers._EVENT_END
    monkeypatch.setattr(answers, "_EVENT_END", Counting())
    events = Events(lambda message: message)
    for _ in range(200):
        events.feed(b"x" * 1000)
    assert sum(looked) < 2 * 200 * 1000


def test_a_strict_stream_has_messages_and_named_events_and_no_other_words() -> None:
    body = (
        b": secret\r\n\r\n"
        b"retry: 10\r\nsecret\r\n\r\n"
        b"event: other\r\ndata: secret\r\n\r\n"
        b"event: endpoint\r\ndata: /messages\r\n\r\n"
        b'data: ["secret", {}]\r\n\r\n'
    )
    told = Events(lambda message: {"a": 1}, strict=True, others=("endpoint",)).feed(body)
    assert b"secret" not in told and b"/messages" in told and b"retry: 10" in told and b'[{"a":1}]' in told
    assert b"/messages" not in Events(lambda message: message, strict=True).feed(body)
    assert b'"secret"' in Events(lambda message: message).feed(body)


@pytest.mark.parametrize("strict", [True, False])
def test_an_event_that_only_marks_where_to_resume_is_told(strict: bool) -> None:
    first = b"id: e-1\r\ndata: \r\n\r\n"
    assert Events(lambda message: message, strict=strict).feed(first) == first
