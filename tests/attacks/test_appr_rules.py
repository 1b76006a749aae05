"""APPR: what is looked at anew after an approval, and rules that make one needless."""

import pytest

from broker.admin.model import EstateProblems
from broker.estate.model import Impact
from tests.approving import granted, named, refunds, runs, state, waiting
from tests.deciding import desk, permitted, tool
from tests.lab import Lab

PATH = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
SMALL = """
policies:
  text: |
    @id("exports") @relaxes("approval") @cites("report 2027-01") @expires("2027-02-01T00:00:00Z") @signed_by("SIGNED")
    permit (principal, action == Action::"tickets/refund", resource) when { context.arguments.path WISH };
"""


def rule(wish: str, signed: str = "alice, bob") -> str:
    return SMALL.replace("WISH", wish).replace("SIGNED", signed)


def refund(lab: Lab, schema: dict[str, object], description: str | None = None) -> None:
    changed = tool(
        "refund", "refunds:write", impact=Impact.EXTERNAL_WRITE, schema=schema, description=description
    )
    desk(lab, changed)


@pytest.mark.attack("APPR-01")
@pytest.mark.parametrize(
    "after",
    [
        ({"type": "object", "properties": {"to": {}}}, "Pays back."),
        ({"type": "object"}, "Pays back, and more."),
    ],
    ids=["schema", "description"],
)
def test_a_tool_that_was_reviewed_anew_is_asked_about_anew(
    lab: Lab, after: tuple[dict[str, object], str]
) -> None:
    refund(lab, {"type": "object"}, "Pays back.")
    token = refunds(lab)
    approval = granted(lab, token)
    refund(lab, *after)
    assert named(waiting(lab, token)) != approval and state(lab, approval) == "approved"
    refund(lab, {"type": "object"}, "Pays back.")
    assert runs(lab, token) and state(lab, approval) == "spent"


@pytest.mark.attack("APPR-18")
@pytest.mark.parametrize("path", ["/a/../b", "/A/x", "/a/./x", "%2Fa%2Fx", "/a//x", "/a/x ", "/a/x/../y"])
def test_a_rule_that_makes_an_approval_needless_is_of_the_exact_value_alone(lab: Lab, path: str) -> None:
    refund(lab, PATH)
    lab.apply(rule('== "/a/x"'))
    token = refunds(lab)
    permitted(lab, token, "refund", {"path": "/a/x"}, idempotency_key="k1")
    assert lab.last("decision.made")["change"]["policies"] == ["mcp.external_write", "exports"]
    waiting(lab, token, {"path": path}, key="k2")


@pytest.mark.attack("APPR-18")
def test_a_rule_by_pattern_or_signed_by_fewer_than_two_is_not_taken(lab: Lab) -> None:
    refund(lab, PATH)
    for text, why in (
        (rule('like "/a/*"'), "is about exact calls"),
        (rule('== "/a/x"', "alice"), "was signed by two"),
        (rule('== "/a/x"', "alice, ALICE"), "was signed by two"),
        (rule('== "/a/x"', "alice, nobody"), "there is no such user"),
    ):
        with pytest.raises(EstateProblems, match=why):
            lab.apply(text)
    token = refunds(lab)
    waiting(lab, token, {"path": "/a/x"})
    lab.apply(rule('== "/a/x"'))
    permitted(lab, token, "refund", {"path": "/a/x"}, idempotency_key="k2")
