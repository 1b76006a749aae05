"""What policy says of an act: the defaults of each class, an estate's own beside them, approvals, faults."""

from dataclasses import replace
from typing import Any

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.control import classes
from broker.control.model import Act, Actor, Demand, Person, Verdict
from broker.control.policy import question, reading
from broker.control.policy.model import READ as READ_ACTION
from broker.control.policy.model import PolicyText
from broker.control.policy.policies import Sets, verdict, weighed
from broker.control.policy.rules import Rules
from broker.estate.model import ApprovalRule, Impact, Tool
from broker.protocol import strict_json
from tests.control.calls import act as made
from tests.control.calls import resource
from tests.lab import START

AMOUNT = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "note": {"type": "string"}},
    "required": ["amount"],
    "additionalProperties": False,
}
TOOLS = {
    Impact.READ: Tool("search", ("a:read",), Impact.READ),
    Impact.SENSITIVE_READ: Tool("read_customer", ("a:read",), Impact.SENSITIVE_READ),
    Impact.REVERSIBLE_WRITE: Tool("close", ("a:write",), Impact.REVERSIBLE_WRITE, undo="reopen"),
    Impact.EXTERNAL_WRITE: Tool(
        "refund", ("a:pay",), Impact.EXTERNAL_WRITE, family="payments", schema=AMOUNT
    ),
}
DESK = replace(resource(), tools=tuple(TOOLS.values()))
ALICE = Person("alice", True, ("member",), {"department": "support", "level": 3, "teams": ["a", "b"]})
NOBODY = Person("alice", True)
JOB = Person("nightly", False)


def act(impact: Impact = Impact.READ, subject: Person = ALICE, **changes: object) -> Act:
    return made(tool=TOOLS[impact], at=DESK, subject=subject, **{"arguments": {"amount": 1}, **changes})


def judged(one: Act, own: str = "", tenant: str = "", without: str = "", now: float = START) -> Verdict:
    """`own` are the server's policies, `tenant` those of acme; both fit the estate. `without` a built-in one."""
    texts = [PolicyText(name, text) for name, text in (("*", own), ("acme", tenant)) if text]
    for text in texts:
        assert reading.check(text.text, [DESK], text.tenant) == []
    rules = Sets(texts).of("acme")
    if without:
        assert without in rules.policies
        rules = Rules(policy for policy in rules.policies.values() if policy.id != without)
    return verdict(one, weighed(rules, one, now))


def asked(found: Verdict) -> tuple[str, ...]:
    assert found.permit
    return found.demand.because if found.demand else ()


# The defaults of each class


@pytest.mark.parametrize("subject", [ALICE, NOBODY, JOB], ids=["member", "without role", "own work"])
def test_what_only_reads_may_be_called_by_everybody(subject: Person) -> None:
    assert judged(act(subject=subject)) == Verdict(True, ("mcp.read",))
    assert judged(act(subject=subject), without="mcp.read") == Verdict(False, ())


def test_sensitive_data_is_read_for_a_user_who_has_a_role_in_the_tenant_and_for_nobody_else() -> None:
    assert judged(act(Impact.SENSITIVE_READ)) == Verdict(True, ("mcp.sensitive_read",))
    for subject in (NOBODY, JOB):
        assert judged(act(Impact.SENSITIVE_READ, subject)) == Verdict(False, ())
        # It is the class that refuses: the same caller may read what is not sensitive.
        assert judged(act(Impact.READ, subject)).permit
    assert judged(act(Impact.SENSITIVE_READ), without="mcp.sensitive_read") == Verdict(False, ())


def test_an_estate_may_permit_sensitive_data_to_a_job() -> None:
    own = '@id("job") permit (principal == Client::"nightly", action == Action::"tickets/read_customer", resource);'
    assert judged(act(Impact.SENSITIVE_READ, JOB), own) == Verdict(True, ("job",))
    assert not judged(act(Impact.SENSITIVE_READ, replace(JOB, id="other")), own).permit


@pytest.mark.parametrize("impact", [Impact.REVERSIBLE_WRITE, Impact.EXTERNAL_WRITE])
@pytest.mark.parametrize("subject", [ALICE, JOB], ids=["user", "own work"])
def test_a_write_asks_for_an_approval_by_the_rule_of_its_class(impact: Impact, subject: Person) -> None:
    rule = classes.rule(TOOLS[impact], user=subject.user)
    assert rule is not None
    policy = f"mcp.{impact}.approval"
    assert judged(act(impact, subject)) == Verdict(True, (f"mcp.{impact}",), Demand(rule, (policy,)))
    assert judged(act(impact, subject), without=policy) == Verdict(True, (f"mcp.{impact}",))
    assert not judged(act(impact, subject), without=f"mcp.{impact}").permit


def test_a_tool_with_a_rule_of_its_own_asks_for_it_whatever_its_class() -> None:
    rule = ApprovalRule(("manager",), 60, 2)
    tool = replace(TOOLS[Impact.READ], approval=rule)
    found = judged(replace(act(), tool=tool))
    assert found.demand == Demand(rule, ("mcp.tool.approval",))
    assert asked(judged(replace(act(), tool=tool), without="mcp.tool.approval")) == ()


@pytest.mark.parametrize("impact", Impact)
def test_a_server_works_for_no_tenant_that_it_does_not_serve(impact: Impact) -> None:
    away = replace(act(impact), resource=replace(DESK, tenants=("globex",)))
    assert judged(away) == Verdict(False, ("mcp.tenant",))
    assert judged(away, without="mcp.tenant").permit
    assert judged(replace(act(impact), resource=replace(DESK, tenants=("*",)))).permit


def test_resources_and_prompts_may_be_read() -> None:
    rules = Sets([]).of("acme")
    method = Tool("resources/read", (), Impact.READ)
    one = replace(act(), tool=method, arguments={"uri": "file:///readme"})
    assert verdict(one, weighed(rules, one, START, READ_ACTION)) == Verdict(True, ("mcp.documents",))
    away = replace(one, resource=replace(DESK, tenants=()))
    assert not verdict(away, weighed(rules, away, START, READ_ACTION)).permit


# What a policy can look at


LOOKS = {
    "who": ('principal == User::"alice"', {"subject": replace(ALICE, id="bob")}),
    "role": ('principal is User && principal.roles.contains("member")', {"subject": NOBODY}),
    "attribute": (
        'principal is User && principal.hasTag("department") && principal.getTag("department").contains("support")',
        {"subject": replace(ALICE, attributes={"department": "sales"})},
    ),
    "attribute that is a number": (
        'principal is User && principal.hasTag("level") && principal.getTag("level").contains("3")',
        {"subject": replace(ALICE, attributes={"level": 4})},
    ),
    "attribute that is a list": (
        'principal is User && principal.hasTag("teams") && principal.getTag("teams").containsAll(["a", "b"])',
        {"subject": replace(ALICE, attributes={"teams": ["a"]})},
    ),
    "client": ('context.client == Client::"desk-app"', {"client_id": "other"}),
    "tenant": ('context.tenant == Tenant::"acme"', {"tenant": "globex"}),
    "server": ('resource in Resource::"tickets"', {"resource": replace(DESK, id="notes")}),
    "family": (
        'resource in Family::"tickets/payments"',
        {"tool": replace(TOOLS[Impact.READ], name="refund")},
    ),
    "scope": ('context.scopes.contains("a:pay")', {"scopes": frozenset()}),
    "sign-in": ('context has acr && context.acr == "strong"', {"acr": "weak"}),
    "age of the sign-in": ("context has auth_age && context.auth_age <= 60", {"auth_time": START - 61}),
    "time": ('context.now >= datetime("2027-01-15T08:00:00Z")', {"now": START - 1}),
    "day": ('context.now.toTime() < duration("9h")', {"now": START + 3600}),
    "current actor": (
        'context has actor && context.actor.client_id == "tickets-server"',
        {"actors": (Actor("i", "s", "crm-server"), Actor("i", "s", "tickets-server"))},
    ),
}


@pytest.mark.parametrize("looks", LOOKS)
def test_a_policy_sees(looks: str) -> None:
    condition, changes = LOOKS[looks]
    own = f'@id("own") forbid (principal, action in Action::"call", resource) when {{ {condition} }};'
    one = act(
        Impact.EXTERNAL_WRITE, acr="strong", auth_time=START - 60, actors=(Actor("i", "s", "tickets-server"),)
    )
    changed = dict(changes)
    now = changed.pop("now", START)
    assert isinstance(now, float)
    assert judged(one, own) == Verdict(False, ("own",))
    assert judged(replace(one, **changed), own, now=now).permit  # type: ignore[arg-type]


def test_a_question_says_of_its_context_what_policies_look_at_and_no_more() -> None:
    one = act(Impact.EXTERNAL_WRITE, acr="strong", auth_time=START)
    plain = Sets([]).of("acme").looks("call", "tickets/refund")
    assert set(question.of_act(one, "call", START, plain).context) == {"tenant"}
    head = '@id("x") forbid (principal, action == Action::"tickets/refund", resource)'
    limit = f"{head} when {{ context.arguments.amount > 1 }};"
    rules = Sets([PolicyText("*", limit)]).of("acme")
    assert set(question.of_act(one, "call", START, rules.looks("call", "tickets/refund")).context) == {
        "tenant",
        "arguments",
    }
    assert "arguments" not in rules.looks("call", "tickets/search")


def test_no_policy_sees_what_a_client_says_that_it_intends() -> None:
    own = '@id("own") forbid (principal, action in Action::"call", resource) when { context has intent };'
    assert judged(act(intent="to help"), own).permit


@pytest.mark.attack("RS-16")
@pytest.mark.parametrize(
    ("arguments", "permit", "error"),
    [
        ('{"amount": 100}', True, None),
        ('{"amount": 101}', False, None),
        ('{"amount": 1e2}', True, None),
        ('{"amount": 1.01e2}', False, None),
        ('{"amount": 100.5}', False, "arguments.amount is no integer"),
        ('{"amount": "100"}', False, "arguments.amount is no integer"),
        ('{"amount": [100]}', False, "arguments.amount is no integer"),
        ('{"amount": {"amount": 100}}', False, "arguments.amount is no integer"),
        ('{"amount": true}', False, "arguments.amount is no integer"),
        ('{"amount": null}', False, "arguments.amount is no integer"),
        ('{"amount": 1e300}', False, "arguments.amount is no integer"),
        ('{"amount": 18446744073709551617}', False, "arguments.amount is no integer"),
        ("{}", False, "arguments.amount is missing"),
        (
            '{"amount": 100, "limit": 5}',
            True,
            None,
        ),  # refused before, by the schema; policy cannot look at it
        ('{"amount": 101, "Amount": 5}', False, None),
    ],
)
def test_policy_sees_the_typed_value_of_an_argument(arguments: str, permit: bool, error: str | None) -> None:
    own = """
    @id("limit")
    forbid (principal, action == Action::"tickets/refund", resource)
    when { context.arguments.amount > 100 };
    """
    found = judged(act(Impact.EXTERNAL_WRITE, arguments=strict_json.parse(arguments.encode())), own)
    assert (found.permit, found.error) == (permit, error)
    assert not found.because or permit or found.because == ("limit",)


def test_arguments_that_no_policy_looks_at_are_not_in_the_way() -> None:
    other = '@id("limit") forbid (principal, action == Action::"tickets/search", resource) when { context has acr };'
    assert judged(act(Impact.EXTERNAL_WRITE, arguments={"amount": "100"}), other).permit
    looks = '@id("x") forbid (principal, action in Action::"call", resource) when { context.arguments has amount };'
    assert judged(act(Impact.EXTERNAL_WRITE, arguments={"amount": "100"}), looks).error is not None


# Approvals: asked for, and made needless


VIP = """
@id("vip") @asks("approval")
forbid (principal, action in Action::"call", resource)
when { principal is User && principal.hasTag("department") }
unless { context.approved };
"""


def test_an_estate_may_ask_for_an_approval_where_a_class_does_not() -> None:
    found = judged(act(), VIP)
    assert found == Verdict(True, ("mcp.read",), Demand(ApprovalRule(("approver",)), ("vip",)))
    both = judged(act(Impact.EXTERNAL_WRITE), VIP)
    assert asked(both) == ("mcp.external_write.approval", "vip")
    assert judged(act(subject=NOBODY), VIP).demand is None


def test_nothing_is_asked_for_what_would_be_refused_all_the_same() -> None:
    never = '@id("never") forbid (principal, action == Action::"tickets/refund", resource);'
    assert judged(act(Impact.EXTERNAL_WRITE), never) == Verdict(False, ("never",))
    approved = '@id("odd") forbid (principal, action in Action::"call", resource) when { context.approved };'
    assert judged(act(Impact.EXTERNAL_WRITE), approved) == Verdict(False, ("odd",))
    assert judged(act(), approved).permit


RELAXES = """
@id("small") @relaxes("approval") @cites("report 2027-01") @expires("2027-01-16T08:00:00Z") @signed_by("bob, carol")
permit (principal, action == Action::"tickets/refund", resource)
when { context.arguments.amount <= 20 };
"""
ENDS = START + 86400


def test_an_approval_is_needless_where_two_signed_that_until_it_ends() -> None:
    one = act(Impact.EXTERNAL_WRITE, arguments={"amount": 20})
    assert judged(one, RELAXES) == Verdict(True, ("mcp.external_write", "small"))
    assert judged(one, RELAXES, now=ENDS - 1).demand is None
    for now in (ENDS, ENDS + 1e6):
        assert asked(judged(one, RELAXES, now=now)) == ("mcp.external_write.approval",)
    assert asked(judged(replace(one, arguments={"amount": 21}), RELAXES)) == ("mcp.external_write.approval",)


def test_what_makes_an_approval_needless_permits_nothing_and_lifts_no_ask_of_the_estate() -> None:
    own = RELAXES.replace('"tickets/refund"', '"tickets/read_customer"').replace(
        "context.arguments.amount <= 20", "true"
    )
    assert judged(act(Impact.SENSITIVE_READ, JOB), own) == Verdict(False, ())
    one = act(Impact.EXTERNAL_WRITE, arguments={"amount": 20})
    assert asked(judged(one, RELAXES + VIP)) == ("vip",)
    never = RELAXES + '@id("never") forbid (principal, action == Action::"tickets/refund", resource);'
    assert not judged(one, never).permit


# Tenants, faults


def test_the_policies_of_a_tenant_are_about_its_acts_alone() -> None:
    text = '@id("no") forbid (principal, action in Action::"call", resource);'
    sets = Sets([PolicyText("acme", text)])
    assert judged(act(), tenant=text) == Verdict(False, ("acme/no",))
    theirs = replace(act(), tenant="globex")
    assert verdict(theirs, weighed(sets.of("globex"), theirs, START)).permit


def test_a_policy_that_fails_denies_and_says_which() -> None:
    own = """
    @id("sum") forbid (principal, action == Action::"tickets/refund", resource)
    when { context.arguments.amount * 9223372036854775807 < 0 };
    """
    assert judged(act(Impact.EXTERNAL_WRITE), own).permit
    found = judged(act(Impact.EXTERNAL_WRITE, arguments={"amount": 2}), own)
    assert found == Verdict(False, (), error="failed: sum")


def test_the_same_question_to_the_same_policies_is_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[object] = []
    evaluate = cedarpy.is_authorized

    def counted(request: dict[str, object], *more: Any) -> Any:
        evaluated.append(request)
        return evaluate(request, *more)

    monkeypatch.setattr(cedarpy, "is_authorized", counted)
    rules = Sets([]).of("acme")
    reads = act(Impact.SENSITIVE_READ)
    first = weighed(rules, reads, START)
    assert weighed(rules, replace(reads, arguments={"amount": 2}), START + 1) == first and len(evaluated) == 1
    # What is known of who asks is part of the question.
    assert first.permitted and not weighed(rules, replace(reads, subject=NOBODY), START).permitted
    assert len(evaluated) == 2
    # Other policies are never answered for by these.
    forbids = PolicyText(
        "*", f'@id("never") forbid (principal, action == Action::"tickets/{reads.tool.name}", resource);'
    )
    assert not weighed(Sets([forbids]).of("acme"), reads, START).permitted and len(evaluated) == 3


@pytest.mark.parametrize(
    "condition",
    [
        'context.now < datetime("2100-01-01T00:00:00Z")',
        "context has auth_age && context.auth_age < 60",
        "context has arguments",
    ],
)
def test_a_question_of_a_moment_or_of_what_people_wrote_is_not_kept(condition: str) -> None:
    text = f'@id("looks") forbid (principal, action == Action::"tickets/search", resource) when {{ !({condition}) }};'
    rules = Sets([PolicyText("*", text)]).of("acme")
    for _ in range(2):
        assert weighed(rules, act(auth_time=START), START).permitted
    assert rules._kept.cache_info().currsize == 0


def test_policies_that_cannot_be_read_permit_nothing_to_whom_they_are_for() -> None:
    broken = Sets([PolicyText("acme", "nonsense;")])
    found = verdict(act(), weighed(broken.of("acme"), act(), START))
    assert found == Verdict(False, (), error="the policies cannot be read")
    assert broken.of("acme").on_mint
    assert verdict(act(), weighed(broken.of("globex"), act(), START)).permit
    server = Sets([PolicyText("*", "nonsense;")])
    assert not verdict(act(), weighed(server.of("acme"), act(), START)).permit


def test_a_question_that_cannot_be_asked_is_a_no() -> None:
    found = judged(act(subject=replace(ALICE, id="alice\ud800")))
    assert found == Verdict(False, (), error="the question cannot be asked")


@pytest.mark.parametrize("name", ['al"ice', "al\\ice", "alice\n", "https://idp.example#alice", "ä 😀", "\0"])
def test_a_name_is_never_read_as_anything_else(name: str) -> None:
    own = '@id("own") forbid (principal == User::"alice", action, resource);'
    assert judged(act(subject=replace(ALICE, id=name)), own).permit
    assert not judged(act(), own).permit


@settings(max_examples=60, deadline=None)
@given(
    conditions=st.lists(
        st.sampled_from(
            [
                "true",
                "context.approved",
                "!context.approved",
                'resource.impact == "read"',
                "principal is User",
            ]
        ),
        max_size=4,
    ),
    relaxing=st.booleans(),
    impact=st.sampled_from(list(Impact)),
    subject=st.sampled_from([ALICE, NOBODY, JOB]),
    served=st.booleans(),
)
def test_no_permit_of_an_estate_widens_what_a_built_in_policy_forbids(
    conditions: list[str], relaxing: bool, impact: Impact, subject: Person, served: bool
) -> None:
    own = "".join(
        f'@id("own{i}") permit (principal, action in Action::"call", resource) when {{ {condition} }};'
        for i, condition in enumerate(conditions)
    )
    if relaxing:
        own += RELAXES.replace('== Action::"tickets/refund"', 'in Action::"call"').replace(
            "context.arguments.amount <= 20", "true"
        )
    one = replace(act(impact, subject), resource=DESK if served else replace(DESK, tenants=()))
    plain, found = judged(one), judged(one, own)
    if not served:
        assert not found.permit and found.because == ("mcp.tenant",)
    elif found.permit and impact in (Impact.REVERSIBLE_WRITE, Impact.EXTERNAL_WRITE) and not relaxing:
        assert asked(found) == asked(plain) == (f"mcp.{impact}.approval",)
