"""Of a tool under redaction nothing is told in another shape than its result, on whatever stream it comes."""

import json
from dataclasses import replace

import pytest

from broker.guard import said
from broker.guard.catalogue import Catalogue
from broker.guard.obligations import Obligations, paths
from tests.guard.desk import PERMIT, TOOLS, Desk, call
from tests.guard.test_sessions import REDACTS, SSN, in_session

CONTENT = [{"type": "text", "text": SSN}]
EVENTS = [(b"content-type", b"text/event-stream")]
TASK = {"taskId": "t-1", "status": "working", "statusMessage": SSN}


@pytest.fixture
def desk(issuer, clock) -> Desk:
    desk = Desk(issuer, clock)
    desk.broker.answer = REDACTS
    return desk


def answering(desk: Desk, *bodies: object, kind: bytes = b"application/json") -> None:
    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        texts = [json.dumps(body).encode() for body in bodies]
        if kind == b"text/event-stream":
            texts = [b"data: " + text + b"\n\n" for text in texts]
        await send({"type": "http.response.body", "body": b"".join(texts)})

    desk.middleware._app = app


SHAPES: list[dict[str, object]] = [
    {"id": 7, "result": {"tools": [], "content": CONTENT}},
    {"id": 7, "result": {"tasks": [], "content": CONTENT}},
    {"id": 7, "result": {**TASK, "content": CONTENT}},
    {"id": 7, "result": {"task": TASK, "content": CONTENT}},
    {"id": 7, "result": {**TASK, "resultType": "task", "content": CONTENT}},
    {"id": 7, "result": {"resultType": "input_required", "inputRequests": {}, "content": CONTENT}},
    {"id": 7, "result": SSN},
    {"id": 7, "result": [SSN]},
    {"id": 7, "text": SSN},
    {"id": 7, "result": {"content": []}, "text": SSN},
    {"id": 7, "result": {"content": []}, "error": {"code": 1, "message": SSN}},
    {"id": 7, "error": SSN},
    {"id": 7, "error": {"code": SSN, "message": SSN, "data": SSN}},
    {"id": 7, "method": "notifications/message", "result": {"content": CONTENT}},
    {"id": None, "error": {"code": -32603, "message": SSN}},
    {"id": "server-error", "error": {"code": -32603, "message": SSN}},
    {"id": 8, "result": {"anything": SSN}},
    {"id": {"a": 1}, "result": {"anything": SSN}},
    {"method": "notifications/message", "params": {"data": SSN}},
    {"id": 9, "method": "notifications/message", "params": {"data": SSN}},
    {"method": "notifications/progress", "params": {"progress": 1, "message": SSN, "_meta": {"a": SSN}}},
    {"method": "notifications/progress", "params": [SSN]},
    {"method": "notifications/cancelled", "params": {"requestId": 7, "reason": SSN}},
    {"method": "notifications/tasks/status", "params": TASK},
    {"method": "notifications/of_my_own", "params": {"data": SSN}},
    {"method": "of_my_own", "params": {"data": SSN}},
    {"method": 5, "params": {"data": SSN}},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream"])
def test_what_looks_like_something_else_does_not_tell_it(
    desk: Desk, shape: dict[str, object], kind: bytes
) -> None:
    answering(desk, {"jsonrpc": "2.0", **shape}, kind=kind)
    answer = desk.call("search")
    assert answer.status_code == 200 and SSN not in answer.text
    answering(desk, [{"jsonrpc": "2.0", **shape}, SSN], kind=kind)
    assert SSN not in desk.call("search").text


def test_the_same_without_redaction_is_told(desk: Desk) -> None:
    desk.broker.answer = PERMIT
    answering(desk, {"jsonrpc": "2.0", "id": 7, "result": {**TASK, "content": CONTENT}})
    assert SSN in desk.call("search").text


def test_what_a_server_asks_of_its_client_is_told() -> None:
    asks: dict[str, object] = {"id": 1, "method": "elicitation/create", "params": {"message": "How many?"}}
    assert said.told(asks, strict=True) == asks
    related = {"io.modelcontextprotocol/related-task": {"taskId": "t"}}
    step: dict[str, object] = {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"progress": 1, "total": 2, "progressToken": "p", "_meta": related},
    }
    assert said.told(step, strict=True) == step


class TestTasks:
    @pytest.fixture(autouse=True)
    def handed_out(self, desk: Desk) -> None:
        desk.app.result = {"task": TASK}
        answer = desk.send(call("search", task={}))
        assert answer.json()["result"] == {"task": {"taskId": "t-1", "status": "working"}}
        assert desk.reports() == []

    def asked(self, desk: Desk, method: str, result: dict[str, object]) -> str:
        desk.app.result = result
        params = {} if method == "tasks/list" else {"taskId": "t-1"}
        return desk.send({"jsonrpc": "2.0", "id": 8, "method": method, "params": params}).text

    @pytest.mark.parametrize("stream", [None, []])
    @pytest.mark.parametrize("method", ["tasks/cancel", "tasks/get"])
    def test_what_is_done_to_a_task_leaves_its_obligations(
        self, desk: Desk, method: str, stream: list[dict[str, object]] | None
    ) -> None:
        plain, desk.app.stream = desk.app.answers, stream
        desk.app.answers = plain if stream is None else EVENTS
        found = self.asked(desk, method, TASK)
        assert "working" in found and SSN not in found
        found = self.asked(desk, "tasks/result", {"structuredContent": {"ssn": SSN}, "content": CONTENT})
        assert SSN not in found and "[redacted]" in found

    def test_another_call_cannot_take_it_over(self, desk: Desk) -> None:
        desk.broker.answer = PERMIT
        desk.app.result = {"task": TASK}
        desk.send(call("search", identifier=9, task={}))
        found = self.asked(desk, "tasks/result", {"structuredContent": {"ssn": SSN}, "content": CONTENT})
        assert SSN not in found

    def test_a_list_has_no_words_of_it(self, desk: Desk) -> None:
        found = self.asked(desk, "tasks/list", {"tasks": [TASK]})
        assert "t-1" in found and SSN not in found


def test_a_call_that_asked_for_no_task_gets_none(desk: Desk) -> None:
    desk.broker.answer = PERMIT
    desk.app.result = {"task": TASK}
    desk.send(call("search"))
    assert [told["status"] for told in desk.reports()] == ["ok"]
    get = {"jsonrpc": "2.0", "id": 8, "method": "tasks/get", "params": {"taskId": "t-1"}}
    assert desk.send(get).status_code == 404


LOG = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": SSN}}
STEP = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1, "message": SSN}}
LISTS = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
BROKEN = {"jsonrpc": "2.0", "id": None, "error": {"code": -32603, "message": SSN}}


@pytest.mark.parametrize("redacting", [True, False])
@pytest.mark.parametrize("listen", [True, False])
def test_a_stream_that_is_listened_to_has_no_words_where_any_tool_is_redacted(
    desk: Desk, redacting: bool, listen: bool
) -> None:
    if redacting:
        hidden = replace(TOOLS["search"], obligations=Obligations(paths(["$.ssn"])))
        desk.catalogue = Catalogue({**TOOLS, "search": hidden})
    session = in_session(desk)
    answering(desk, LOG, STEP, LISTS, BROKEN, kind=b"text/event-stream")
    body = (
        {"jsonrpc": "2.0", "id": 3, "method": "subscriptions/listen", "params": {"notifications": {}}}
        if listen
        else None
    )
    found = desk.send(body, session, "POST" if listen else "GET").text
    assert '"progress"' in found and "list_changed" in found and "-32603" in found
    assert (SSN in found) is not redacting
