"""What a permitted call's answer may still say."""

import hashlib
import json

import pytest

from broker.guard.obligations import WITHHELD, Obligations, paths
from broker.protocol import jcs
from tests.guard.desk import Desk, call, words

SSN = "078-05-1120"


def text(value: object) -> dict[str, object]:
    return {"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}


def told(result: dict[str, object], *redact: str) -> dict[str, object]:
    return Obligations(paths(redact or ["$.ssn"])).result(result)


def test_structured_content_is_redacted_and_its_text_is_made_anew() -> None:
    customer = {"name": "Eve", "ssn": SSN}
    found = told({"content": [text(f"Eve has {SSN}")], "structuredContent": customer})
    assert found["structuredContent"] == {"name": "Eve", "ssn": "[redacted]"}
    assert found["content"] == [text({"name": "Eve", "ssn": "[redacted]"})]
    wrapped = told({"structuredContent": {"result": customer}})
    assert wrapped["structuredContent"] == {"result": {"name": "Eve", "ssn": "[redacted]"}}


def test_text_that_is_json_is_redacted_and_other_text_is_withheld() -> None:
    found = told({"content": [text({"ssn": SSN}), text(f"ssn: {SSN}"), {"type": "image", "data": SSN}]})
    assert SSN not in json.dumps(found)
    assert found["content"] == [text({"ssn": "[redacted]"}), text(WITHHELD), text(WITHHELD)]


def test_a_list_is_redacted_also_where_each_element_became_a_part() -> None:
    found = told({"content": [text({"ssn": SSN}), text({"ssn": SSN})]}, "$[*].ssn")
    assert SSN not in json.dumps(found)


@pytest.mark.parametrize(
    ("returned", "left"),
    [
        (f"Eve has {SSN}", WITHHELD),
        (json.dumps({"name": "Eve", "ssn": SSN}), '{"name": "Eve", "ssn": "[redacted]"}'),
        (json.dumps([{"ssn": SSN}, SSN]), json.dumps([{"ssn": "[redacted]"}, WITHHELD])),
        ([{"ssn": SSN}], [{"ssn": "[redacted]"}]),
        ([{"name": "Eve"}, SSN, [SSN]], [{"name": "Eve"}, WITHHELD, [WITHHELD]]),
        (78051120, WITHHELD),
        (True, WITHHELD),
        (None, WITHHELD),
    ],
)
def test_what_the_sdk_wraps_in_result_is_redacted_where_it_is_json_and_withheld_where_not(
    returned: object, left: object
) -> None:
    found = told({"content": [text(str(returned))], "structuredContent": {"result": returned}})
    assert found["structuredContent"] == {"result": left}
    assert found["content"] == [text({"result": left})]
    assert SSN not in json.dumps(found) and "78051120" not in json.dumps(found)


def test_a_path_into_a_list_holds_for_a_wrapped_one_too() -> None:
    found = told({"structuredContent": {"result": [{"ssn": SSN}]}}, "$[*].ssn")
    assert found["structuredContent"] == {"result": [{"ssn": "[redacted]"}]}


def test_a_request_for_input_says_nothing_but_what_it_asks() -> None:
    asks = {"resultType": "input_required", "inputRequests": {"a": {}}, "requestState": "x"}
    assert told({**asks, "content": [text(SSN)], "structuredContent": {"ssn": SSN}, "note": SSN}) == asks


@pytest.mark.parametrize("value", [SSN, json.dumps(SSN), '{"ssn": "' + SSN, '{"a":1,"a":"' + SSN + '"}'])
def test_what_two_parsers_might_read_in_two_ways_is_withheld(value: str) -> None:
    assert told({"content": [text(value)]})["content"] == [text(WITHHELD)]


def test_other_members_of_a_result_do_not_carry_it_out() -> None:
    found = told({"content": [], "_meta": {"row": SSN}, "anything": SSN, "isError": True})
    assert SSN not in json.dumps(found) and found["isError"] is True
    assert SSN not in json.dumps(told({"contents": [{"uri": "x", "text": SSN}]}))


def test_without_an_obligation_nothing_is_changed() -> None:
    result = {"content": [text("hello")], "_meta": {"a": 1}}
    assert Obligations().result(result) == result


def test_an_answer_that_is_too_large_is_not_told() -> None:
    result = {"content": [text("x" * 100)]}
    size = len(json.dumps(result, separators=(",", ":")))
    assert Obligations(max_output=size).result(result) == result
    refused = Obligations(max_output=size - 1).result(result)
    assert refused["isError"] is True and "x" * 50 not in json.dumps(refused)


def test_a_path_that_is_none_lets_nothing_through() -> None:
    with pytest.raises(ValueError):
        paths(["ssn"])
    with pytest.raises(ValueError):
        paths([7])


class TestThroughTheGuard:
    @pytest.fixture
    def desk(self, issuer, clock) -> Desk:
        desk = Desk(issuer, clock)
        redact = {"id": "redact", "type": "redact", "properties": {"paths": ["$.ssn"]}}
        most = {"id": "max_output", "type": "max_output", "properties": {"bytes": 500}}
        context = {"decision_id": "dec_1", "obligations": [most, redact]}
        desk.broker.answer = {"decision": True, "context": context}
        desk.app.result = {"content": [text({"ssn": SSN})], "structuredContent": {"ssn": SSN}}
        return desk

    def test_what_is_told_is_redacted_and_its_digest_is_reported(self, desk: Desk) -> None:
        answer = desk.call("search")
        assert SSN not in answer.text and int(answer.headers["content-length"]) == len(answer.content)
        [report] = desk.reports()
        form = jcs.canonical(answer.json()["result"])
        assert report["result_digest"] == hashlib.sha256(form).hexdigest()
        assert report["result_size"] == len(form) and SSN not in str(report)

    def test_in_a_stream_nothing_else_tells_it_either(self, desk: Desk) -> None:
        desk.app.answers = [(b"content-type", b"text/event-stream")]
        desk.app.stream = [
            {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": SSN}},
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1, "message": SSN}},
        ]
        answer = desk.call("search").text
        assert SSN not in answer and '"progress":1' in answer and "[redacted]" in answer
        assert [told["status"] for told in desk.reports()] == ["ok"]

    def test_an_error_does_not_tell_it(self, desk: Desk) -> None:
        async def failing(scope, receive, send) -> None:
            body = {"jsonrpc": "2.0", "id": 7, "error": {"code": -32603, "message": SSN, "data": SSN}}
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-type", b"application/json")],
                }
            )
            await send({"type": "http.response.body", "body": json.dumps(body).encode()})

        desk.middleware._app = failing
        answer = desk.call("search")
        assert SSN not in answer.text and answer.json()["error"]["code"] == -32603
        assert [told["status"] for told in desk.reports()] == ["failed"]

    def test_the_application_is_not_asked_for_a_compressed_answer(self, desk: Desk) -> None:
        desk.send(call("search"), [("Accept-Encoding", "gzip")])
        assert b"accept-encoding" not in dict(desk.app.headers[0])

    def test_too_much_is_refused_with_words(self, desk: Desk) -> None:
        desk.app.result = {"structuredContent": {"text": "x" * 1000}}
        assert "Ask for less" in words(desk.call("search"))

    def test_a_result_that_comes_on_another_stream_of_the_session_is_redacted_too(self, desk: Desk) -> None:
        """The old transport answers on the stream that the client opened first."""
        session = [("Mcp-Session-Id", "s-1")]
        desk.app.answers = [(b"content-type", b"application/json"), (b"mcp-session-id", b"s-1")]
        desk.send({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}})

        async def accepting(scope, receive, send) -> None:
            await send({"type": "http.response.start", "status": 202, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def telling(scope, receive, send) -> None:
            answers = [
                {"jsonrpc": "2.0", "id": identifier, "result": desk.app.result} for identifier in (7, 99)
            ]
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            body = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in answers)
            await send({"type": "http.response.body", "body": body})

        desk.middleware._app = accepting
        assert desk.send(call("search"), session).status_code == 202
        assert desk.reports() == []
        desk.middleware._app = telling
        found = desk.send(None, session, "GET").text
        assert SSN not in found and "[redacted]" in found, "and the answer to no call is not told"
        assert [told["status"] for told in desk.reports()] == ["ok"]

    def answering(self, desk: Desk, body: bytes, kind: bytes, status: int = 200) -> None:
        async def app(scope, receive, send) -> None:
            headers = [(b"content-type", kind)]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        desk.middleware._app = app

    @pytest.mark.parametrize("identifier", ["7", 8, None])
    def test_an_answer_under_another_id_is_not_told(self, desk: Desk, identifier: object) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": identifier, "result": desk.app.result}).encode()
        self.answering(desk, body, b"application/json")
        assert SSN not in desk.call("search").text
        assert [told["status"] for told in desk.reports()] == ["unknown"]

    @pytest.mark.parametrize("kind", [b"text/plain", b"application/json", b"text/event-stream"])
    def test_an_answer_that_is_none_is_not_told(self, desk: Desk, kind: bytes) -> None:
        self.answering(desk, f"data: the number is {SSN}\n\n".encode(), kind)
        assert SSN not in desk.call("search").text

    def test_an_error_of_the_server_says_that_nothing_was_done(self, desk: Desk) -> None:
        self.answering(desk, SSN.encode(), b"text/plain", 406)
        answer = desk.call("search")
        assert answer.status_code == 406 and SSN not in answer.text
        assert [told["status"] for told in desk.reports()] == ["failed"]

    def test_the_result_of_a_task_is_redacted_when_it_comes(self, desk: Desk) -> None:
        result = desk.app.result
        desk.app.result = {"task": {"taskId": "t-1", "status": "working"}}
        assert desk.send(call("search", task={})).json()["result"] == desk.app.result
        assert desk.reports() == []
        asks = {"jsonrpc": "2.0", "id": 2, "method": "tasks/get", "params": {"taskId": "t-1"}}
        desk.app.result = {"taskId": "t-1", "status": "working"}
        assert desk.send(asks).json()["result"] == desk.app.result
        desk.app.result = {"taskId": "t-1", "status": "completed", "result": result}
        inline = desk.send(asks)
        assert SSN not in inline.text and "completed" in inline.text
        desk.app.result = result
        assert SSN not in desk.send({**asks, "method": "tasks/result"}).text
        assert [told["status"] for told in desk.reports()] == ["ok"]
