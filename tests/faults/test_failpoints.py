"""Fail points: there when a test arms one, nothing in any broker that serves somebody."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from broker.app import compose
from broker.runtime import failpoints
from broker.runtime.database import Unavailable
from broker.runtime.failpoints import POINTS, arm, failpoint
from broker.settings import Settings
from tests.deciding import post, question
from tests.lab import Lab, assert_refused

BROKER = Path(failpoints.__file__).parents[1]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm(None)


def test_every_point_that_is_named_is_in_the_code_once_and_no_other() -> None:
    called = [
        str(node.args[0].value)
        for file in sorted(BROKER.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint"
        if isinstance(node.args[0], ast.Constant)
    ]
    assert sorted(called) == sorted(POINTS)


def test_a_point_that_is_not_armed_does_nothing() -> None:
    arm("token.after_sign=raise")
    failpoint("token.after_live")
    arm(None)
    failpoint("token.after_sign")


def test_an_armed_point_waits_for_its_pass_and_is_done_after_it() -> None:
    arm("token.after_sign=raise:3")
    failpoint("token.after_sign")
    failpoint("token.after_sign")
    with pytest.raises(Unavailable):
        failpoint("token.after_sign")
    failpoint("token.after_sign")


@pytest.mark.parametrize("order", ["token.nowhere=kill", "token.after_sign=stop", "token.after_sign", ""])
def test_an_order_that_makes_no_sense_is_refused_by_name(order: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fail_point"):
        compose(Settings(fail_point=order, development=True, data=tmp_path))


def test_a_broker_outside_development_refuses_every_fail_point() -> None:
    with pytest.raises(ValidationError, match="fail_point"):
        Settings(fail_point="token.after_sign=kill", issuer="https://as.example")
    assert Settings(fail_point="token.after_sign=kill", development=True).fail_point
    assert Settings().fail_point is None


BEFORE = ("token.after_live", "token.after_sign", "token.before_record", "token.before_commit")


@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith("token.")])
def test_a_failure_anywhere_is_503_and_leaves_all_or_nothing(
    make_lab: Callable[..., Lab], point: str
) -> None:
    lab = make_lab(fail_point=f"{point}=raise")
    code = lab.code()
    before = lab.state()
    assert_refused(lab.redeem(code), 503, "temporarily_unavailable")
    if point in BEFORE:
        assert lab.state() == before and not lab.facts("token.issued")
        assert lab.redeem(code).status_code == 200
    else:
        assert len(lab.facts("token.issued")) == 1
        assert_refused(lab.redeem(code), 400, "invalid_grant")


@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith("decision.")])
def test_a_decision_that_fails_anywhere_leaves_nothing(make_lab: Callable[..., Lab], point: str) -> None:
    lab = make_lab(fail_point=f"{point}=raise")
    token = lab.tokens()["access_token"]
    asked = question(token, idempotency_key="k")
    before = lab.state()
    assert post(lab, "evaluation", asked).status_code == 503
    assert lab.state() == before and not lab.facts("decision.made")
    assert post(lab, "evaluation", asked).json["decision"] is True


def test_a_failure_between_two_steps_of_a_rotation_undoes_both(lab: Lab) -> None:
    issuer = lab.broker.settings.issuer
    lab.broker.door_keys.rotate(issuer, "ES256")
    lab.clock.advance(lab.broker.settings.key_publish_before + 1)
    before = lab.table("signing_key")
    arm("keys.after_change=raise")
    with pytest.raises(Unavailable):
        lab.broker.door_keys.tend()
    assert lab.table("signing_key") == before
    lab.broker.door_keys.tend()
    assert {"key.retiring", "key.activated"} <= {str(record["fact"]) for record in lab.facts()}
