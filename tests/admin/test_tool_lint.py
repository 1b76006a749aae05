"""What a model would confuse, and what classes ask for: each rule with what sets it off and what does not."""

from dataclasses import replace

import pytest

from broker.admin import tool_lint
from broker.admin.doctor import Level
from broker.estate.model import Impact, Resource, ResourceKind, Scope, Tool

SEARCH = Tool(
    "search_tickets",
    ("t:read",),
    Impact.READ,
    description="Find tickets by words of their subject, newest first.",
    digest="d",
)
CUSTOMER = Tool(
    "read_customer",
    ("c:read",),
    Impact.SENSITIVE_READ,
    description="Who a customer is: name, plan and open invoices.",
    digest="d",
)
CLOSE = Tool(
    "close_ticket",
    ("t:write",),
    Impact.REVERSIBLE_WRITE,
    undo="reopen_ticket",
    description="Close one ticket that was answered.",
    digest="d",
)
SCOPES = (Scope("t:read", ""), Scope("c:read", ""), Scope("t:write", "", implies=("t:read",)))


def found(*tools: Tool, scopes: tuple[Scope, ...] = SCOPES) -> list[str]:
    """The warnings, as `id: what`."""
    resource = Resource(
        "tickets", ResourceKind.MCP, "https://a.example", "T", ("acme",), scopes=scopes, tools=tools
    )
    return [f"{one.id}: {one.what}" for one in tool_lint.findings([resource]) if one.level is not Level.OK]


def test_tools_that_differ_and_are_described_set_nothing_off() -> None:
    assert found(SEARCH, CUSTOMER, CLOSE) == []
    assert [one.id for one in tool_lint.findings([])] == [
        "tools.reviewed",
        "tools.described",
        "tools.distinct",
        "tools.sensitive",
        "tools.undo",
    ]


@pytest.mark.parametrize(
    ("tool", "warning"),
    [
        (
            replace(SEARCH, changed=True),
            "tools.reviewed: tickets says something else by now of search_tickets",
        ),
        (
            replace(SEARCH, digest=None),
            "tools.reviewed: Nobody looked at what tickets says of search_tickets",
        ),
        (
            replace(SEARCH, description=" "),
            "tools.described: Tool search_tickets of tickets has no description",
        ),
        (
            replace(SEARCH, description="Searches the tickets."),
            "tools.described: Tool search_tickets of tickets says less than 4 words of its own",
        ),
        (
            replace(
                SEARCH, name="search_open_tickets_by_customer", description="Search open tickets by customer."
            ),
            "tools.described: Tool search_open_tickets_by_customer of tickets only repeats its name",
        ),
        (replace(CLOSE, undo=None), "tools.undo: Nothing takes back close_ticket of tickets"),
        (
            replace(CUSTOMER, scopes=("c:read", "t:read")),
            "tools.sensitive: read_customer of tickets is read with t:read, which general reads take too",
        ),
    ],
)
def test_one_tool_sets_its_rule_off(tool: Tool, warning: str) -> None:
    others = [one for one in (SEARCH, CUSTOMER, CLOSE) if one.name != tool.name]
    (said,) = found(
        tool, *others[-2:] if tool.name in {one.name for one in (SEARCH, CUSTOMER, CLOSE)} else others[1:]
    )
    assert said.startswith(warning)


def test_a_sensitive_read_that_comes_with_a_general_scope_is_found() -> None:
    wide = (Scope("t:read", "", implies=("c:read",)), Scope("c:read", ""), Scope("t:write", ""))
    assert found(SEARCH, CUSTOMER, scopes=wide) == [
        "tools.sensitive: read_customer of tickets comes with t:read, which general reads take."
    ]
    assert found(CUSTOMER, scopes=wide) == [], "nothing general is read here"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("get_ticket", "fetch_ticket", True),
        ("get_ticket", "getTickets", True),
        ("delete_user", "user-remove", True),
        ("get_ticket", "search_tickets", False),
        ("close_ticket", "reopen_ticket", False),
        ("list_ticket_comments", "list_tickets", False),
    ],
)
def test_names_that_say_the_same_are_told(one: str, other: str, same: bool) -> None:
    said = found(replace(SEARCH, name=one), replace(CLOSE, name=other))
    expected = f"tools.distinct: {one} and {other} of tickets can be confused: their names say the same."
    assert said == ([expected] if same else [])


def test_descriptions_that_share_most_of_their_words_are_told() -> None:
    same = replace(CLOSE, description="Finds ticket by the words of a subject, newest first!")
    assert found(SEARCH, same) == [
        "tools.distinct: search_tickets and close_ticket of tickets can be confused:"
        " their descriptions share 86% of their words."
    ]
    other = replace(CLOSE, description="Find tickets by their number, of one customer, oldest first.")
    assert found(SEARCH, other) == []


def test_words_are_compared_as_anybody_would_by_hand() -> None:
    assert tool_lint.words("getHTTPUsers2 of the access") == {"get", "http", "user", "2", "access"}
    assert tool_lint.alike({"a", "b"}, {"b", "c"}) == pytest.approx(1 / 3) and tool_lint.alike((), ()) == 0
