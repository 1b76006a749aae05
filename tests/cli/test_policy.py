"""`broker policy`: whether policies fit, what comes of cases, and why a call is what it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run

ESTATE = """
tenants: [{id: acme, name: Acme}]
users:
  - {id: alice, tenants: [{id: acme, roles: [member], attributes: {department: support}}]}
  - {id: bob, tenants: [{id: acme}]}
clients:
  - {client_id: desk-app, type: public, redirect_uris: ["http://127.0.0.1/callback"]}
resources:
  - id: tickets
    kind: mcp
    uri: http://127.0.0.1:9999/mcp
    tenants: [acme]
    scopes: [{name: "tickets:read"}, {name: "customers:read"}, {name: "refunds:write"}]
    tools:
      - {name: search, scopes: ["tickets:read"], impact: read}
      - {name: read_customer, scopes: ["customers:read"], impact: sensitive_read}
      - {name: refund, scopes: ["refunds:write"], impact: external_write}
"""
POLICIES = """
@id("support")
@says("Only support reads customers.")
forbid (principal is User, action == Action::"tickets/read_customer", resource)
unless { principal.hasTag("department") && principal.getTag("department").contains("support") };

@id("fresh")
forbid (principal, action == Action::"tickets/refund", resource)
unless { context has auth_age && context.auth_age < 300 };
"""
CASES = """
- {tenant: acme, user: alice, client: desk-app, resource: tickets, tool: search, expected: permit}
- {tenant: acme, user: alice, client: desk-app, resource: tickets, tool: read_customer, expected: permit}
- {tenant: acme, user: bob, client: desk-app, resource: tickets, tool: read_customer, expected: deny,
   because: [support]}
- {tenant: acme, client: desk-app, resource: tickets, tool: read_customer, expected: deny}
- {tenant: acme, user: alice, client: desk-app, resource: tickets, tool: refund, expected: deny, because: [fresh]}
- {tenant: acme, user: alice, client: desk-app, resource: tickets, tool: refund, auth_age: 10, expected: approval}
"""
CALL = ("--tenant", "acme", "--client", "desk-app", "--resource", "tickets")
Told = Callable[..., object]


@pytest.fixture
def file(run: Run, tmp_path: Path) -> Callable[[str, str], str]:
    """The estate is applied; writes a file beside it."""

    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, "utf-8")
        return str(tmp_path / name)

    run("apply", write("estate.yaml", ESTATE))
    return write


def test_check_says_whether_policies_fit(run: Run, told: Told, file: Callable[[str, str], str]) -> None:
    good, bad = file("good.cedar", POLICIES), file("bad.cedar", POLICIES.replace("refund", "pay"))
    assert run("policy", "check", good).stdout == "good.cedar fits.\n"
    assert told("policy", "check", good) == []
    result = run("policy", "check", bad, code=1)
    assert (
        'unrecognized action `Action::"tickets/pay"`' in result.stdout
        and "bad.cedar does not fit." in result.output
    )
    assert (
        run(
            "policy", "check", file("permit.cedar", '@id("x") permit (principal, action, resource);')
        ).exit_code
        == 0
    )
    run(
        "policy",
        "check",
        file("permit.cedar", '@id("x") permit (principal, action, resource);'),
        "--tenant",
        "acme",
        code=1,
    )
    assert run("policy", "check", "not-there.cedar", code=2)


def test_test_judges_cases_as_though_the_file_were_in_force(
    run: Run, told: Told, file: Callable[[str, str], str]
) -> None:
    policies, cases = file("p.cedar", POLICIES), file("cases.yaml", CASES)
    found = told("policy", "test", policies, cases)
    assert isinstance(found, list)
    assert [(case["expected"], case["found"], case["passed"]) for case in found] == [
        (name, name, True) for name in ("permit", "permit", "deny", "deny", "deny", "approval")
    ]
    result = run("policy", "test", file("none.cedar", ""), cases, code=1)
    assert "2 of 6 cases came out otherwise." in result.output
    assert run("policy", "list").stdout == "none\n", "nothing was kept"
    for text, problem in (
        ("[{tenant: acme}]", "Field required"),
        (CASES.replace("search", "serch"), "[0]: there is no tool serch"),
        (CASES.replace("user: bob", "user: eve"), "[2]: there is no user eve"),
    ):
        assert problem in run("policy", "test", policies, file("bad.yaml", text), code=1).output


def test_explain_says_which_policies_said_what(run: Run, told: Told, file: Callable[[str, str], str]) -> None:
    file("policies.cedar", POLICIES)
    run("apply", file("with.yaml", "policies: {cedar: policies.cedar}"))
    assert told("policy", "explain", *CALL, "--user", "bob", "--tool", "read_customer") == {
        "verdict": "deny",
        "policies": [{"id": "support", "does": "forbids", "says": "Only support reads customers."}],
    }
    found = told("policy", "explain", *CALL, "--user", "alice", "--tool", "refund", "--auth-age", "10")
    assert isinstance(found, dict)
    assert found["verdict"] == "approval" and found["approval"] == {
        "by": ["approver"],
        "expires": 900,
        "quorum": 1,
    }
    assert [(policy["id"], policy["does"]) for policy in found["policies"]] == [
        ("mcp.external_write", "permits"),
        ("mcp.external_write.approval", "asks for an approval"),
    ]
    assert told("policy", "explain", *CALL, "--tool", "read_customer") == {
        "verdict": "deny",
        "why": "no policy permits it",
        "policies": [],
    }
    assert "verdict: permit" in run("policy", "explain", *CALL, "--user", "alice", "--tool", "search").stdout
    assert "there is no tool nothing" in run("policy", "explain", *CALL, "--tool", "nothing", code=3).output


def test_explain_takes_arguments_as_a_call_has_them(
    told: Told, run: Run, file: Callable[[str, str], str]
) -> None:
    head = 'forbid (principal, action == Action::"tickets/search", resource)'
    looks = f'@id("x") {head} when {{ context.arguments has q }};'
    run("apply", file("with.yaml", f"policies: {{text: '{looks}'}}"))
    words = ("policy", "explain", *CALL, "--user", "alice", "--tool", "search", "--arguments")
    found = told(*words, file("arguments.json", json.dumps({"q": "x"})))
    assert isinstance(found, dict) and found["verdict"] == "permit", (
        "the tool has no schema, so policy sees none"
    )
    for text in ("{", "[]", '{"a": 1, "a": 2}'):
        run(*words, file("arguments.json", text), code=1)


def test_policies_are_listed_shown_made_and_deleted_like_all_nouns(
    run: Run, told: Told, file: Callable[[str, str], str]
) -> None:
    file("p.cedar", POLICIES)
    run("policy", "create", "--file", file("entry.yaml", "{cedar: p.cedar}"))
    run("policy", "create", "--file", file("entry.yaml", "{cedar: p.cedar}"), code=1)
    run("policy", "update", "--file", file("entry.yaml", "{text: ''}"))
    run("policy", "update", "--file", file("entry.yaml", "{cedar: p.cedar}"))
    listed = told("policy", "list")
    assert isinstance(listed, list)
    assert [(row["tenant"], row["version"], row["policies"]) for row in listed] == [
        ("*", 3, ["support", "fresh"])
    ]
    assert told("policy", "get", "*") == {"text": POLICIES}
    run("policy", "get", "acme", code=3)
    own = file("own.yaml", "{tenant: acme, text: '@id(\"x\") forbid (principal, action, resource);'}")
    run("policy", "create", "--file", own, "--tenant", "acme")
    run("policy", "delete", "*", "--tenant", "acme", code=1)
    run("policy", "delete", "acme", "--tenant", "acme")
    run("policy", "delete", "*")
    assert told("policy", "list") == []


def test_the_schema_is_of_this_estate(run: Run, file: Callable[[str, str], str]) -> None:
    assert 'action "tickets/refund" in [Action::"call"]' in run("policy", "schema").stdout
