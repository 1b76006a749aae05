"""Policies in the estate file: applied, exported, refused with their place; what tenants may bring."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from broker.admin import policy_lint
from broker.admin.doctor import Level
from broker.admin.estate_file import parse, read_yaml
from broker.admin.export import export
from broker.admin.load import judged
from broker.admin.model import EstateProblems
from broker.control.policy import policies
from broker.estate.model import Resource
from tests.admin.conftest import ORIGIN, Desk, wanted
from tests.lab import START

NEVER = '@id("never")\nforbid (principal, action == Action::"tickets/refund", resource);\n'
SEVERAL = """
policies:
  - {text: '@id("never") forbid (principal, action == Action::"tickets/refund", resource);'}
  - {tenant: acme, text: '@id("mine") forbid (principal, action, resource) when { context.stage == "full" };'}
"""


@pytest.fixture
def held(desk: Desk, estate: str) -> Desk:
    desk.put(estate)
    return desk


def refused(desk: Desk, text: str, within: str | None = None) -> list[str]:
    with pytest.raises(EstateProblems) as caught:
        desk.apply.apply(wanted(text), ORIGIN, within=within)
    return [str(problem) for problem in caught.value.problems]


def versions(desk: Desk) -> dict[str, int]:
    return {name: held.version for name, held in desk.apply.holdings().policies.items()}


def test_a_file_beside_the_estate_is_read_and_kept_with_a_version(held: Desk, tmp_path: Path) -> None:
    (tmp_path / "policies.cedar").write_text(NEVER, "utf-8")
    file = parse(read_yaml("policies: {cedar: policies.cedar}"))
    changes = held.apply.apply(judged(file, tmp_path), ORIGIN)
    assert [(change.noun, change.id, change.action) for change in changes] == [("policy", "*", "create")]
    assert held.apply.holdings().policies["*"].text == NEVER and versions(held) == {"*": 1}
    assert held.apply.apply(judged(file, tmp_path), ORIGIN) == [] and versions(held) == {"*": 1}
    (tmp_path / "policies.cedar").write_text(NEVER + "// changed\n", "utf-8")
    assert [change.members for change in held.apply.apply(judged(file, tmp_path), ORIGIN)] == [["text"]]
    assert versions(held) == {"*": 2}


def test_what_is_exported_applies_back_to_no_change(held: Desk, tmp_path: Path) -> None:
    (tmp_path / "p.cedar").write_text("// ä: why\n\n" + NEVER + "\t// end ", "utf-8")
    held.apply.apply(judged(parse(read_yaml("policies: {cedar: p.cedar}")), tmp_path), ORIGIN)
    held.put(
        SEVERAL.replace('  - {text: \'@id("never")', '  - {tenant: globex, text: \'@id("never")').replace(
            '== Action::"tickets/refund"', ""
        )
    )
    text = export(held.apply.holdings())
    assert held.apply.apply(wanted(text), ORIGIN, prune=True) == []
    listed = yaml.safe_load(text)["policies"]
    assert [entry.get("tenant") for entry in listed] == [None, "acme", "globex"]
    assert listed[0]["text"] == "// ä: why\n\n" + NEVER + "\t// end "


def test_what_a_file_does_not_name_goes_by_prune_alone(held: Desk, estate: str) -> None:
    held.put(SEVERAL)
    held.put(estate)
    assert set(versions(held)) == {"*", "acme"}
    held.apply.apply(wanted(estate), ORIGIN, prune=True)
    assert versions(held) == {}


def test_each_change_is_recorded_with_the_tenant_that_it_is_for(held: Desk) -> None:
    held.put(SEVERAL)
    found = [fact for fact in held.facts("estate.applied") if fact["change"]["noun"] == "policy"]
    assert [(fact.get("tenant"), fact["change"]["id"], fact["change"]["action"]) for fact in found] == [
        (None, "*", "create"),
        ("acme", "acme", "create"),
    ]


def test_a_change_of_the_estate_that_a_policy_does_not_fit_is_refused(held: Desk, estate: str) -> None:
    held.put(SEVERAL)
    gone = estate.replace("{name: refund,", "{name: pay_back,")
    assert any(
        text.startswith('policy *: line 1: never: unrecognized action `Action::"tickets/refund"`')
        for text in refused(held, gone)
    )
    held.put(gone + SEVERAL.replace("refund", "pay_back"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[{text: 'x', cedar: 'y'}]", "policies[0]: name a file with `cedar`, or write the `text`"),
        ("[{text: 'nonsense'}]", "policies[0]: line 1: unexpected end of input"),
        (
            "[{tenant: acme, text: '@id(\"x\") permit (principal, action, resource);'}]",
            "policies[0]: line 1: x: the policies of a tenant can only forbid",
        ),
        (
            '[{tenant: globex, text: \'@id("x") forbid (principal, action == Action::"tickets/refund", resource);\'}]',
            "policies[0]: line 1: globex/x: unrecognized action",
        ),
        (
            "[{cedar: ../../../etc/hostname-that-is-not}]",
            "policies[0].cedar: hostname-that-is-not cannot be read",
        ),
        ("[{colour: red}]", "policies[0].colour: the estate file has no such member"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(held: Desk, text: str, problem: str) -> None:
    found = refused(held, f"policies: {text}")
    assert any(one.startswith(problem) for one in found), found
    assert versions(held) == {}


def test_a_policy_is_held_against_what_is_known_of_arguments_and_a_review_can_take_that_away(
    held: Desk, estate: str
) -> None:
    head = '@id("limit") forbid (principal, action == Action::"tickets/refund", resource)'
    limit = f"{head} when {{ context.arguments.n > 9 }};"
    own = f"policies: {{text: '{limit}'}}"
    assert "attribute `arguments.n`" in refused(held, own)[0]
    schema = "schema: {type: object, properties: {n: {type: integer}}, required: [n]}"
    typed = estate.replace("{name: refund,", f"{{name: refund, {schema},")
    held.put(typed + own)
    assert (
        "expected Long but saw String" in refused(held, typed.replace("{type: integer}", "{type: string}"))[0]
    )
    assert levels(held) == {"policies.fit": Level.OK, "policies.relaxed": Level.OK}
    untyped = [
        replace(one, tools=tuple(replace(t, schema=None) for t in one.tools)) for one in resources(held)
    ]
    assert levels(held, untyped)["policies.fit"] is Level.FAIL


def test_a_diagnosis_names_what_makes_approvals_needless_no_more(held: Desk) -> None:
    text = """
    @id("small") @relaxes("approval") @cites("r") @expires("2027-01-16T00:00:00Z") @signed_by("bob, alice")
    permit (principal, action == Action::"tickets/refund", resource);
    """
    held.apply.apply(wanted(f"policies: {{text: '{text}'}}"), ORIGIN)
    assert levels(held, now=START)["policies.relaxed"] is Level.OK
    assert levels(held, now=START + 86400)["policies.relaxed"] is Level.WARN


def test_what_makes_an_approval_needless_is_signed_by_two_whom_there_are(held: Desk) -> None:
    text = """
    policies: {text: '@id("small") @relaxes("approval") @cites("r") @expires("2027-01-16T00:00:00Z")
        @signed_by("SIGNED") permit (principal, action == Action::"tickets/refund", resource);'}
    """
    for signed, missing in (("bob, carol", "carol"), ("bob, Alice", "Alice")):
        found = refused(held, text.replace("SIGNED", signed))
        assert found == [f"policies[0]: line 1: small: @signed_by names {missing}, and there is no such user"]
    assert "signed by two" in refused(held, text.replace("SIGNED", "bob, BOB"))[0]
    held.put(text.replace("SIGNED", "bob, alice"))
    assert versions(held) == {"*": 1}
    gone = held.apply.apply(wanted("{}"), ORIGIN, removal=lambda *_: {("user", "bob")})
    assert [change.id for change in gone] == ["bob"], "a signature keeps nobody"


def resources(desk: Desk) -> list[Resource]:
    return list(desk.broker.estate().resources.values())


def levels(desk: Desk, among: list[Resource] | None = None, now: float = START) -> dict[str, Level]:
    texts = policies.every(desk.broker.world.database)
    found = policy_lint.findings(texts, resources(desk) if among is None else among, now)
    assert all(bool(finding.fix) == (finding.level is not Level.OK) for finding in found)
    return {finding.id: finding.level for finding in found}


def test_a_tenants_admin_brings_what_forbids_for_that_tenant_and_nothing_else(held: Desk) -> None:
    own = "policies: [{tenant: acme, text: '@id(\"mine\") forbid (principal, action, resource);'}]"
    assert held.apply.apply(wanted(own), ORIGIN, within="acme")
    assert "can only forbid" in refused(held, own.replace("forbid (", "permit ("), "acme")[0]
    for text, tenant in ((own, "globex"), (own.replace("tenant: acme, ", ""), "acme")):
        found = refused(held, text.replace("mine", "other"), tenant)
        assert found == ["policies[0]: only an administrator of the server changes a policy"]


def test_a_tenant_learns_nothing_of_tools_of_others(held: Desk) -> None:
    text = 'policies: [{tenant: globex, text: \'@id("x") forbid (principal, action == Action::"%s", resource);\'}]'
    there, not_there = (
        refused(held, text % tool, "globex") for tool in ("tickets/refund", "tickets/nothing")
    )
    assert [one.replace("refund", "nothing") for one in there] == not_there


def test_a_tenant_does_not_go_before_its_policies(held: Desk, estate: str) -> None:
    held.put(SEVERAL)
    with pytest.raises(EstateProblems) as caught:
        held.apply.apply(wanted(""), ORIGIN, removal=lambda _, __: {("tenant", "acme")})
    assert "policy acme.tenant: there is no tenant acme" in map(str, caught.value.problems)
