"""What servers say of their tools: asked for, held against what somebody looked at, and proposed for the estate."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from broker.estate.catalogue import listing, rules
from broker.estate.catalogue.listing import NotListed, look
from broker.estate.catalogue.model import Definition, Hints, Kept, Listed
from broker.estate.model import Impact, Resource, ResourceKind, Scope, Tool
from broker.protocol.definition import schema_digest
from broker.runtime.egress import Egress
from tests.lab import Clock
from tests.listing import SCHEMA, lister, tool

RESOURCE = Resource(
    "tickets",
    ResourceKind.MCP,
    "https://mcp.example/mcp",
    "Tickets",
    ("acme",),
    scopes=(Scope("t:read", ""), Scope("t:write", ""), Scope("t:pay", "")),
    tools=(
        Tool("search", ("t:read",), Impact.READ),
        Tool("close", ("t:write",), Impact.REVERSIBLE_WRITE),
        Tool("pay", ("t:pay", "t:write"), Impact.EXTERNAL_WRITE),
    ),
)


@pytest.fixture
def egress() -> Iterator[Egress]:
    found = Egress(True, Clock())
    yield found
    found.close()


def names(found: list[Listed]) -> list[str]:
    return [one.definition.name for one in found]


def seen(name: str, description: str = "Does it.", schema: object = SCHEMA) -> Definition:
    return Definition.of(name, description, schema)


def listed(name: str, **hints: bool) -> Listed:
    return Listed(seen(name), Hints(**hints))


# The digest


def test_a_digest_is_of_name_description_and_schema_in_canonical_form() -> None:
    known = schema_digest("a", "b", {"type": "object", "properties": {"x": {"minimum": 1.0}}})
    assert known == schema_digest("a", "b", {"properties": {"x": {"minimum": 1}}, "type": "object"})
    assert schema_digest("a", None, SCHEMA) == schema_digest("a", "", SCHEMA)
    others = {
        schema_digest("A", "b", SCHEMA),
        schema_digest("a", "b ", SCHEMA),
        schema_digest("a", "b", {**SCHEMA, "title": ""}),
        schema_digest("a", "b", SCHEMA),
    }
    assert len(others) == 4 and all(len(one) == 64 for one in others)


def test_a_definition_without_a_canonical_form_still_differs_from_every_other() -> None:
    odd = {"type": "object", "maximum": 2**60}
    with pytest.raises(ValueError, match="not exact"):
        schema_digest("a", "b", odd)
    assert seen("a", "b", odd).digest not in (seen("a", "b").digest, seen("a", "b", {**odd, "x": 1}).digest)


# Asking


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("newest", [True, False])
def test_tools_are_listed_by_servers_of_both_revisions_page_by_page(
    egress: Egress, newest: bool, stream: bool
) -> None:
    with lister(newest=newest, stream=stream, page=2) as server:
        server.tools = [tool(f"tool_{n}", readOnlyHint=n == 1) for n in range(5)]
        found = look(egress, server.url, "at-1")
        assert names(found) == [f"tool_{n}" for n in range(5)]
        assert found[1] == Listed(
            Definition.of("tool_1", "What tool_1 does, in a sentence.", SCHEMA), Hints(read_only=True)
        )
        assert {headers["authorization"] for _, headers in server.asked} == {"Bearer at-1"}
        asked = [method for method, _ in server.asked]
        before = [] if newest else ["tools/list", "initialize", "notifications/initialized"]
        assert asked == [*before, *["tools/list"] * 3], "and nothing was called"


def test_a_server_that_wants_a_token_is_not_asked_again_in_another_way(egress: Egress) -> None:
    with lister() as server:
        server.token = "at-1"
        with pytest.raises(NotListed, match="wants a token") as caught:
            look(egress, server.url, None)
        assert caught.value.challenged and len(server.asked) == 1
        assert look(egress, server.url, "at-1") == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((200, {"Content-Type": "text/html"}, b"<p>hello"), "neither 2026-07-28 nor a handshake"),
        ((500, {}, b""), "neither 2026-07-28 nor a handshake: no JSON-RPC answer"),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "does not answer: a redirect"),
        ((200, {"Content-Type": "application/json"}, b'{"result":{"tools":"x"}}'), "lists no tools"),
        ((200, {}, b'{"result":"tools"}'), "lists no tools"),
        ((200, {}, b'{"result":{"tools":[{"name":1}]}}'), "lists something that is no tool"),
        ((200, {}, b'{"result":{"tools":[{"name":"a"},{"name":"a"}]}}'), "lists a tool twice"),
        ((200, {}, b'{"result":{"tools":[{"name":"a\\u202eb"}]}}'), "printable characters"),
        ((200, {}, b'{"result":{"tools":[{"name":""}]}}'), "printable characters"),
        ((200, {}, b'{"result":{"tools":[],"nextCursor":"x"}}'), "more than 20 pages"),
        ((200, {}, json.dumps({"result": {"tools": [{"name": "a"}] * 501}}).encode()), "more than 500"),
        ((200, {}, b'{"error":{"message":"no\\u001b[31m"}}'), "neither .* nor a handshake: no .31m."),
    ],
)
def test_what_is_no_list_of_tools_is_said_and_not_taken(
    egress: Egress, answer: tuple[int, dict[str, str], bytes], why: str
) -> None:
    with lister() as server:
        server.answer = answer
        with pytest.raises(NotListed, match=why):
            look(egress, server.url, None)


@pytest.mark.parametrize(
    "answer",
    [
        ({"Content-Type": "text/event-stream"}, b"id: 1\nretry: 86400000\ndata:\n\n"),
        ({"Content-Type": "application/json"}, b'{"jsonrpc":"2.0","id":99,"method":"ping"}'),
        ({"Content-Type": "application/json"}, b'{"result":{"tools":[]},"result":{"tools":[]}}'),
        (
            {"Content-Type": "application/json"},
            b'{"error":{"code":-32022,"data":{"supported":["2026-07-28"]}}}',
        ),
    ],
    ids=["a stream to come back to", "a request", "a member twice", "another revision"],
)
def test_an_answer_that_is_none_is_not_waited_for_nor_asked_for_again(
    egress: Egress, answer: tuple[dict[str, str], bytes]
) -> None:
    with lister() as server:
        server.answer = 200, *answer
        with pytest.raises(NotListed, match="neither 2026-07-28 nor a handshake"):
            look(egress, server.url, None)
        assert [method for method, _ in server.asked] == ["tools/list", "initialize"]


def test_one_answer_is_taken_for_one_request_whatever_its_number(egress: Egress) -> None:
    with lister() as server:
        server.answer = 200, {"Content-Type": "application/json"}, b'{"id":"other","result":{"tools":[]}}'
        assert look(egress, server.url, None) == []


@pytest.mark.parametrize("cursor", ["1", '{"a":1}', "true"])
def test_a_cursor_that_is_no_text_leads_nowhere(egress: Egress, cursor: str) -> None:
    with lister() as server:
        server.answer = 200, {}, f'{{"result":{{"tools":[],"nextCursor":{cursor}}}}}'.encode()
        with pytest.raises(NotListed, match="no cursor"):
            look(egress, server.url, None)
        assert len(server.asked) == 1


def test_a_tool_that_the_sdk_would_drop_or_refuse_is_listed(egress: Egress) -> None:
    with lister() as server:
        odd = {"type": "object", "properties": {"a": {"type": "object", "x-mcp-header": "A"}}}
        server.tools = [tool("a", schema=odd), tool("b", schema={"type": "array"}), tool("c")]
        assert names(look(egress, server.url, None)) == ["a", "b", "c"]


def test_who_does_not_look_does_not_import_the_sdk() -> None:
    """Its import takes half a second and tens of megabytes, which a server would have in each process."""
    code = "import sys, broker.app, broker.cli.main; assert 'mcp' not in sys.modules, 'imported'"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_schema_that_cannot_be_judged_by_is_listed_with_the_reason(egress: Egress) -> None:
    with lister() as server:
        server.tools = [
            tool("a", schema={"type": "string"}),
            tool("b", schema={"type": "object", "$ref": "http://127.0.0.1/schema"}),
            tool("c"),
            {"name": "d"},
        ]
        found = {one.definition.name: one.unusable for one in look(egress, server.url, None)}
    assert found["a"] == "the arguments of a tool are an object: type has to say so" == found["d"]
    assert str(found["b"]).startswith("this is no schema that can be judged by") and found["c"] is None


def test_hints_that_are_missing_or_no_truth_values_are_the_graver_ones() -> None:
    assert listing._hints({}) == Hints(False, True, False, True)
    assert listing._hints({"readOnlyHint": "true", "destructiveHint": None, "idempotentHint": 1}) == Hints()
    said = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
    assert listing._hints(said) == Hints(True, False, True, False)


# Held against the estate


def test_what_somebody_looked_at_counts_until_somebody_looks_again() -> None:
    kept = Kept("tickets", "pay", seen("pay", "Pays."), 1.0, seen("pay"), 1.0, "cli")
    pay = rules.joined(RESOURCE, {"pay": kept}).tools[2]
    assert (pay.description, pay.schema, pay.digest) == ("Does it.", SCHEMA, seen("pay").digest)
    assert pay.changed and rules.standing(pay, kept) == "changed"
    same = replace(kept, seen=seen("pay"))
    assert not rules.joined(RESOURCE, {"pay": same}).tools[2].changed
    assert rules.standing(pay, same) == "as looked at"
    gone = replace(kept, seen=None)
    assert not rules.joined(RESOURCE, {"pay": gone}).tools[2].changed and rules.standing(pay, gone) == "gone"


def test_what_nobody_looked_at_is_no_definition_and_changes_nothing() -> None:
    kept = Kept("tickets", "pay", seen("pay"), 1.0)
    assert rules.joined(RESOURCE, {"pay": kept}) is RESOURCE
    assert rules.standing(RESOURCE.tools[2], kept) == "nobody looked"
    assert rules.standing(RESOURCE.tools[2], None) == "never seen"
    assert rules.standing(None, kept) == "not in the estate"


def test_the_words_of_the_estate_file_are_as_somebody_looked_at_it() -> None:
    pay = replace(RESOURCE.tools[2], description="Does it.", schema=SCHEMA)
    resource = replace(RESOURCE, tools=(pay,))
    assert rules.joined(resource, {}).tools[0].digest == seen("pay").digest
    reviewed = Kept("tickets", "pay", seen("pay", "Pays."), 1.0, seen("pay", "Pays."), 1.0, "cli")
    (found,) = rules.joined(resource, {"pay": reviewed}).tools
    assert found.changed and found.digest == seen("pay").digest, "the file wins over a review"
    assert rules.standing(pay, None) == "in the estate file"


def test_a_look_tells_new_gone_changed_and_unseen_apart() -> None:
    kept = {"search": Kept("tickets", "search", None, 1.0, seen("search", "Was."), 1.0, "cli")}
    found = rules.compared(RESOURCE, [listed("search"), listed("pay"), listed("reopen")], kept)
    assert found == rules.Compared(new=("reopen",), gone=("close",), changed=("search",), unseen=("pay",))


# Proposals


@pytest.mark.parametrize(
    ("hints", "name", "impact", "undo"),
    [
        ({"read_only": True}, "show_invoice", Impact.READ, None),
        ({"read_only": True, "open_world": True}, "search_web", Impact.READ, None),
        ({}, "close_ticket", Impact.EXTERNAL_WRITE, None),
        ({"destructive": False}, "close_ticket", Impact.EXTERNAL_WRITE, None),
        ({"destructive": False, "idempotent": True}, "close_ticket", Impact.EXTERNAL_WRITE, None),
        ({"destructive": False, "open_world": False}, "close_ticket", Impact.EXTERNAL_WRITE, None),
        ({"idempotent": True, "open_world": False}, "close_ticket", Impact.EXTERNAL_WRITE, None),
        (
            {"destructive": False, "idempotent": True, "open_world": False},
            "close_ticket",
            Impact.REVERSIBLE_WRITE,
            "reopen_ticket",
        ),
        (
            {"destructive": False, "idempotent": True, "open_world": False},
            "rename_ticket",
            Impact.EXTERNAL_WRITE,
            None,
        ),
    ],
)
def test_a_class_is_proposed_from_hints_and_in_doubt_it_is_the_gravest(
    hints: dict[str, bool], name: str, impact: Impact, undo: str | None
) -> None:
    found = rules.proposals(None, [listed(name, **hints), listed("reopen_ticket")])
    assert (found[0].impact, found[0].undo) == (impact, undo) and found[0].why
    assert found[1].impact is Impact.EXTERNAL_WRITE


def test_only_tools_that_the_estate_lacks_are_proposed_with_the_scope_of_their_class_alone() -> None:
    found = rules.proposals(RESOURCE, [listed("search"), listed("show", read_only=True), listed("send")])
    assert [(one.name, one.scopes) for one in found] == [("show", ("t:read",)), ("send", ("t:pay",))]
    none = rules.proposals(replace(RESOURCE, tools=()), [listed("show", read_only=True)])
    assert none[0].scopes == (rules.CHOOSE,), "which the estate file refuses until somebody chose"


@pytest.mark.parametrize(
    ("name", "others", "back"),
    [
        ("close_ticket", ["open_ticket"], "open_ticket"),
        ("close_ticket", ["open_ticket", "reopen_ticket"], "reopen_ticket"),
        ("lock-file", ["unlock-file"], "unlock-file"),
        ("send", ["undo_send"], "undo_send"),
        ("subscribe", ["unsubscribe"], "unsubscribe"),
        ("close_ticket", ["close_tickets", "reopen"], None),
        ("get_ticket", ["delete_ticket"], None),
    ],
)
def test_an_undo_is_named_by_what_tools_are_called(name: str, others: list[str], back: str | None) -> None:
    assert rules.undo_of(name, others) == back
