"""A call is asked about, and goes ahead or does not; what became of it is told."""

import json
import threading

import httpx2
import pytest

from broker.guard.catalogue import Catalogue, Tool
from broker.guard.decision import Permit, Question
from broker.guard.fetch import Answer
from broker.guard.jsonrpc import Message
from broker.guard.obligations import Obligations
from broker.guard.outcome import Outcomes
from broker.guard.running import Running, Status
from broker.protocol import acr
from tests.guard.desk import ALL, FORM, PAGE, PERMIT, TOOLS, Desk, call, denial, modern, words


@pytest.fixture
def desk(issuer, clock) -> Desk:
    return Desk(issuer, clock)


def test_a_call_is_asked_about_as_it_was_sent_and_then_made(desk: Desk) -> None:
    answer = desk.call("close", {"number": 7.0}, sub="alice")
    assert answer.json()["result"] == desk.app.result
    [asked] = desk.broker.asked
    token = asked["subject"]["properties"].pop("token")
    assert desk.guard.verify(token).subject == "alice"
    assert asked["subject"] == {"type": "user", "id": "alice", "properties": {}}
    assert asked["action"] == {"name": "tools/call"}
    assert asked["resource"] == {
        "type": "tool",
        "id": "close",
        "properties": {"resource": "https://mcp.example/mcp"},
    }
    assert asked["context"]["arguments"] == {"number": 7.0} and len(asked["context"]["request_id"]) >= 16
    [request] = desk.broker.seen
    assert str(request.url) == "https://as.example/access/v1/evaluation"
    assert request.headers["authorization"].startswith("Basic ")


def test_what_became_of_a_call_is_told_with_what_the_tool_said_of_it(desk: Desk) -> None:
    desk.app.meanwhile = lambda: desk.guard.outcome(downstream_request_id="r-1", cost=5, undo="reopen 7")
    assert desk.call("close").status_code == 200
    [told] = desk.reports()
    assert (told["decision_id"], told["status"]) == ("dec_1", "ok")
    assert (told["downstream_request_id"], told["cost"], told["undo"]) == ("r-1", 5, "reopen 7")
    assert len(told["result_digest"]) == 64 and told["result_size"] > 10
    assert told["result"] == desk.app.result, "what a duplicate may be told"


def test_a_call_that_failed_is_told_of_too(desk: Desk) -> None:
    desk.app.result = {"content": [{"type": "text", "text": "no"}], "isError": True}
    assert words(desk.call("close")) == "no"
    desk.app.meanwhile = lambda: (_ for _ in ()).throw(RuntimeError("broken"))
    with pytest.raises(RuntimeError):
        desk.call("close")
    assert [told["status"] for told in desk.reports()] == ["failed", "unknown"]
    assert "result" not in desk.broker.told[0]


def test_outcomes_are_told_again_while_the_broker_does_not_listen(desk: Desk) -> None:
    desk.call("close")
    desk.broker.down = True
    assert not desk.outcomes.flush() and desk.broker.told == []
    desk.broker.down = False
    assert desk.outcomes.flush() and len(desk.broker.told) == 1
    assert desk.outcomes.flush() and len(desk.broker.told) == 1


def test_outcomes_are_told_in_the_background_and_reads_of_one_door_together(desk: Desk) -> None:
    told, begun, go_on = threading.Event(), threading.Event(), threading.Event()
    bodies: list[dict[str, object]] = []

    def post(url: str, body: bytes, headers: object) -> Answer:
        begun.set()
        go_on.wait(10)
        bodies.append(json.loads(body))
        if "calls" in bodies[-1]:
            told.set()
        return Answer(200, {}, b"{}")

    outcomes = Outcomes(post, {}, soon=0.0)

    def end(decision_id: str | None) -> None:
        token = desk.guard.verify(desk.issuer.token())
        message = Message(1, "tools/call", "search", {}, {"name": "search"})
        question = Question(token, "text", message, f"r-{len(bodies)}")
        Running(question, Permit(decision_id), outcomes.ended).end(Status.OK, {})

    end("dec_1")
    assert begun.wait(10)
    end(None)
    end(None)
    go_on.set()
    assert told.wait(10)
    assert bodies[0]["decision_id"] == "dec_1" and len(bodies[1]["calls"]) == 2


@pytest.mark.parametrize("tool", ["search", "close", "refund"])
def test_when_nobody_decides_nothing_is_called(desk: Desk, tool: str) -> None:
    desk.broker.down = True
    assert "Nobody could decide" in words(desk.call(tool))
    desk.broker.down, desk.broker.answer = False, {"decision": "yes"}
    assert "Nobody could decide" in words(desk.call(tool))
    desk.broker.answer = {"decision": True, "context": {"obligations": [{"type": "dance"}]}}
    assert "Nobody could decide" in words(desk.call(tool)), "an obligation that nobody knows"
    assert desk.app.bodies == [] and desk.reports() == []


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("switched_off", "switched this off"),
        ("stage", "not open"),
        ("unknown_tool", "List the tools"),
        ("tool_changed", "reviewed"),
        ("policy_denied", "policy"),
        ("in_progress", "running already"),
        ("duplicate", "not made twice"),
        ("idempotency_mismatch", "new one"),
        ("budget_exhausted", "used up"),
        ("something_new", "policy"),
    ],
)
def test_a_refusal_says_what_to_do_and_reaches_no_tool(desk: Desk, reason: str, said: str) -> None:
    desk.broker.answer = denial(reason)
    assert said in words(desk.call())
    assert desk.app.bodies == [] and desk.reports() == []


def test_wrong_arguments_are_named_and_a_rate_says_how_long(desk: Desk) -> None:
    desk.broker.answer = denial("invalid_arguments", errors=[{"pointer": "/amount", "keyword": "type"}])
    assert "/amount (type)" in words(desk.call("refund"))
    desk.broker.answer = denial("rate_limited", retry_after=12.2)
    answer = desk.call()
    assert "in 12 seconds" in words(answer) and answer.headers["retry-after"] == "12"


def test_a_duplicate_gets_what_the_first_call_got(desk: Desk) -> None:
    desk.broker.answer = denial("duplicate", outcome={"status": "failed", "downstream_request_id": "r-1"})
    assert "status failed, downstream_request_id r-1" in words(desk.call("close"))
    desk.broker.answer = denial("duplicate", outcome={"status": "ok", "result": desk.app.result})
    assert desk.call("close").json()["result"] == desk.app.result and desk.app.bodies == []


def test_a_token_that_is_over_or_too_weak_is_challenged(desk: Desk) -> None:
    desk.broker.answer = denial("token_invalid")
    answer = desk.call()
    assert answer.status_code == 401 and 'error="invalid_token"' in answer.headers["www-authenticate"]
    desk.broker.answer = denial("insufficient_scope", scope="tickets:write audit:write")
    answer = desk.call(scope="tickets:read")
    assert answer.status_code == 403
    assert 'scope="tickets:read tickets:write audit:write"' in answer.headers["www-authenticate"]
    desk.broker.answer = denial("insufficient_scope", scope="tickets:read", acr_values=acr.MFA, max_age=300)
    answer = desk.call()
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge and 'max_age="300"' in challenge


class TestApproval:
    @pytest.fixture(autouse=True)
    def waits(self, desk: Desk) -> None:
        desk.broker.answer = denial("approval_required", **FORM)

    def test_a_client_of_today_is_asked_to_open_the_page_and_calls_again(self, desk: Desk) -> None:
        answer = desk.send(call("refund", _meta=modern()))
        result = answer.json()["result"]
        assert result["resultType"] == "input_required"
        assert result["inputRequests"]["interaction"]["params"]["url"] == PAGE
        desk.broker.answer = PERMIT
        again = call("refund", _meta=modern(), inputResponses={"interaction": {"action": "accept"}})
        assert desk.send(again).json()["result"] == desk.app.result and len(desk.app.bodies) == 1

    def test_who_came_back_too_early_is_told_so_instead_of_being_asked_for_ever(self, desk: Desk) -> None:
        again = call("refund", _meta=modern(), inputResponses={"interaction": {"action": "accept"}})
        assert "not allowed yet" in words(desk.send(again)) and PAGE in words(desk.send(again))

    @pytest.mark.parametrize("action", ["decline", "cancel"])
    def test_who_declined_is_not_asked_again(self, desk: Desk, action: str) -> None:
        again = call("refund", _meta=modern(), inputResponses={"interaction": {"action": action}})
        assert words(desk.send(again)) == "The user did not allow it."

    def test_a_client_of_the_revision_before_gets_the_error(self, desk: Desk) -> None:
        hello = {"capabilities": {"elicitation": {"url": {}}}, "protocolVersion": "2025-11-25"}
        desk.send({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
        error = desk.call("refund").json()["error"]
        assert error["code"] == -32042 and error["data"]["elicitations"][0]["url"] == PAGE

    def test_a_client_that_opens_no_pages_is_told_in_words(self, desk: Desk) -> None:
        assert PAGE in words(desk.call("refund"))
        assert PAGE in words(desk.send(call("refund", _meta=modern(url=False))))

    def test_an_address_that_nobody_should_open_is_handed_to_nobody(self, desk: Desk) -> None:
        desk.broker.answer = denial("approval_required", access_request={"form_url": "javascript:alert(1)"})
        assert "javascript" not in desk.send(call("refund", _meta=modern())).text


class TestKeys:
    def keys(self, desk: Desk) -> list[object]:
        return [asked["context"].get("idempotency_key") for asked in desk.broker.asked]

    def test_the_key_of_the_client_is_handed_on(self, desk: Desk) -> None:
        for name in ("idempotency-key", "io.modelcontextprotocol/idempotency-key"):
            desk.send(call("close", _meta={name: "k-1"}))
        assert self.keys(desk) == ["k-1", "k-1"]
        desk.send(call("search", _meta={"idempotency-key": "k" * 1000}))
        assert len(str(self.keys(desk)[-1])) <= 255

    def test_without_one_the_same_request_has_the_same_key_and_another_has_not(self, desk: Desk) -> None:
        for message in (
            call("close", {"number": 1}),
            call("close", {"number": 1}),
            call("close", {"number": 2}),
            call("close", {"number": 1}, identifier=8),
        ):
            desk.send(message)
        desk.send(call("close", {"number": 1}), txn="x2")
        first, same, *others = self.keys(desk)
        assert first == same and len({first, *others}) == 4

    def test_a_reading_tool_needs_none(self, desk: Desk) -> None:
        desk.call("search")
        assert self.keys(desk) == [None]

    def test_the_reason_that_the_client_states_is_handed_on(self, desk: Desk) -> None:
        desk.send(call("search", _meta={"intent": "to answer Bob" + "x" * 1000}))
        assert str(desk.broker.asked[0]["context"]["intent"]).startswith("to answer Bob")
        assert len(str(desk.broker.asked[0]["context"]["intent"])) == 500


def test_more_than_one_call_in_a_batch_is_refused_and_none_is_made(desk: Desk) -> None:
    assert desk.send([call("search"), call("close", identifier=8)]).status_code == 400
    assert desk.send([call("search"), {"jsonrpc": "2.0", "method": "notifications/x"}]).status_code == 200
    nameless = call("search")
    del nameless["id"]
    assert desk.send(nameless).status_code == 400
    assert len(desk.broker.asked) == 1


@pytest.mark.parametrize(
    ("method", "params", "kind", "name"),
    [
        ("resources/read", {"uri": "file:///a"}, "resource", "file:///a"),
        ("prompts/get", {"name": "greet", "arguments": {"who": "Bob"}}, "prompt", "greet"),
    ],
)
def test_reading_a_resource_and_fetching_a_prompt_are_asked_about(
    desk: Desk, method: str, params: dict[str, object], kind: str, name: str
) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    desk.app.result = {"contents": []}
    assert desk.send(message).json()["result"] == {"contents": []}
    [asked] = desk.broker.asked
    assert (asked["resource"]["type"], asked["resource"]["id"]) == (kind, name)
    desk.broker.answer = denial("policy_denied")
    error = desk.send(message).json()["error"]
    assert error["code"] == -32001 and error["data"] == {"reason": "policy_denied"}


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("arguments", [["x"], "x", 7, False])
def test_arguments_that_are_no_object_reach_no_tool(desk: Desk, arguments: object, after: bool) -> None:
    tools = {"search": Tool("search", (), "read", by_catalogue=True)}
    desk.catalogue = Catalogue(tools, record_after=after)
    message = call("search")
    message["params"]["arguments"] = arguments
    assert "The arguments are not" in words(desk.send(message)) and desk.app.bodies == []
    for absent in (None, {}):
        message["params"]["arguments"] = absent
        assert desk.send(message).json()["result"] == desk.app.result


FORGED_ANSWER = {"inputResponses": {"amount": {"action": "accept", "content": {"amount": 1_000_000}}}}


class TestExactly:
    """What was allowed is what is called: nothing that nobody saw goes with it."""

    @pytest.mark.parametrize(
        "more", [FORGED_ANSWER, {"requestState": "x"}, {"inputResponses": []}, {"acme": 1}]
    )
    @pytest.mark.parametrize("tool", [{"keyed": True}, {"approval": True}])
    def test_a_call_with_something_beside_its_arguments_is_refused(
        self, desk: Desk, tool: dict[str, bool], more: dict[str, object]
    ) -> None:
        desk.catalogue = Catalogue({"refund": Tool("refund", (), "external_write", **tool)})
        said = words(desk.send(call("refund", {"order": "1"}, **more)))
        assert "beside its arguments" in said and str(next(iter(more))) in said
        assert desk.broker.asked == [] and desk.app.bodies == []

    def test_what_a_call_consists_of_goes_with_it(self, desk: Desk) -> None:
        whole = call("refund", {"order": "1"}, _meta={"progressToken": 1}, task={"ttl": 1})
        answers = {"interaction": {"action": "accept"}}
        assert "result" in desk.send(whole).json()
        assert "result" in desk.send(call("refund", _meta=modern(), inputResponses=answers)).json()
        assert len(desk.app.bodies) == 2

    def test_a_read_may_ask_its_user_for_more(self, desk: Desk) -> None:
        assert (
            desk.send(call("search", requestState="x", **FORGED_ANSWER)).json()["result"] == desk.app.result
        )


class TestRecordAfter:
    @pytest.fixture(autouse=True)
    def after(self, desk: Desk) -> None:
        tools = {
            **TOOLS,
            "search": Tool("search", ("tickets:read",), "read", by_catalogue=True),
            "look": Tool("look", (), "read", obligations=Obligations(max_output=60), by_catalogue=True),
        }
        desk.catalogue = Catalogue(tools, record_after=True)

    def test_a_read_goes_ahead_without_a_question_and_is_told_of_afterwards(self, desk: Desk) -> None:
        desk.broker.down = True
        assert desk.call("search", {"text": "x"}).json()["result"] == desk.app.result
        desk.broker.down = False
        desk.call("look")
        [told] = desk.reports()
        first, second = told["calls"]
        assert (first["tool"], first["status"], first["jti"]) == ("search", "ok", "j1")
        assert len(first["arguments_digest"]) == 64 and first["id"] != second["id"]
        assert "token" not in str(told) and desk.broker.asked == []

    def test_a_read_of_which_the_catalogue_does_not_say_so_needs_a_decision(self, desk: Desk) -> None:
        """One that a policy speaks of, or that somebody has to allow."""
        for tool in (Tool("search", (), "read"), Tool("search", (), "external_write", by_catalogue=True)):
            desk.catalogue = Catalogue({"search": tool}, record_after=True)
            desk.broker.answer = denial("policy_denied")
            assert "policy" in words(desk.call("search"))
        desk.catalogue = Catalogue({"search": Tool("search", (), "read", by_catalogue=True)})
        assert "policy" in words(desk.call("search"))
        assert len(desk.broker.asked) == 3 and desk.app.bodies == []

    def test_a_write_still_needs_a_decision(self, desk: Desk) -> None:
        desk.broker.down = True
        assert "Nobody could decide" in words(desk.call("close"))

    def test_what_the_catalogue_refuses_is_refused(self, desk: Desk) -> None:
        gone = {
            "search": Tool("search", (), "read", changed=True, by_catalogue=True),
            "look": Tool("look", (), "read", open=False, by_catalogue=True),
        }
        desk.catalogue = Catalogue(gone, record_after=True)
        assert "reviewed" in words(desk.call("search")) and "not open" in words(desk.call("look"))
        assert desk.app.bodies == []


class TestIsolation:
    def test_a_call_that_takes_too_long_is_given_up(self, desk: Desk) -> None:
        import asyncio

        ended: list[str] = []

        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        desk.isolated(timeout=0.05)
        desk.app.meanwhile = forever
        assert "took too long" in words(desk.call("close")) and ended == ["cancelled"]
        assert [told["status"] for told in desk.reports()] == ["unknown"]

    def test_more_calls_at_once_than_the_bound_are_refused_and_later_ones_are_not(self, desk: Desk) -> None:
        import asyncio

        desk.isolated(concurrent=1)

        async def run() -> list[httpx2.Response]:
            inside, leave = asyncio.Event(), asyncio.Event()

            async def wait() -> None:
                inside.set()
                await leave.wait()

            desk.app.meanwhile = wait
            headers = [("Authorization", f"Bearer {desk.issuer.token(scope=ALL)}")]
            first = asyncio.create_task(desk.request(headers=headers, json=call("close")))
            await inside.wait()
            second = await desk.request(headers=headers, json=call("close", identifier=8))
            leave.set()
            return [
                await first,
                second,
                await desk.request(headers=headers, json=call("close", identifier=9)),
            ]

        first, second, third = asyncio.run(run())
        assert first.json()["result"] == third.json()["result"] == desk.app.result
        assert "Too many calls are running" in words(second) and second.headers["retry-after"] == "1"
        assert len(desk.broker.asked) == 2

    def test_a_refused_call_takes_no_place(self, desk: Desk) -> None:
        desk.isolated(concurrent=1)
        desk.broker.answer = denial("policy_denied")
        for _ in range(3):
            assert "policy" in words(desk.call())
        desk.broker.answer = PERMIT
        assert desk.call().json()["result"] == desk.app.result


def test_a_client_that_goes_away_while_it_is_decided_leaves_no_permit_untold(desk: Desk) -> None:
    import asyncio

    asked, answer = threading.Event(), threading.Event()
    stub = desk.broker.__class__.__call__

    def slow(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/evaluation"):
            asked.set()
            answer.wait(10)
        return stub(desk.broker, request)

    desk.outcomes._post = desk.guard.control._decisions._post = lambda url, body, headers: slow_answer(
        slow, url, body, headers
    )

    async def run() -> None:
        headers = [("Authorization", f"Bearer {desk.issuer.token(scope=ALL)}")]
        waiting = asyncio.create_task(desk.request(headers=headers, json=call("close")))
        await asyncio.to_thread(asked.wait, 10)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        answer.set()
        while not desk.reports():
            await asyncio.sleep(0)

    asyncio.run(run())
    assert [told["status"] for told in desk.broker.told] == ["unknown"] and desk.app.bodies == []


def slow_answer(slow, url: str, body: bytes, headers: dict[str, str]):
    found = slow(httpx2.Request("POST", url, content=body, headers=headers))
    return Answer(found.status_code, found.headers, found.content)
