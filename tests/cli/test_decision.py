"""`broker decision` and the switches of tools and families."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from broker.cli.local import Place, opened
from broker.control.idempotency import store
from tests.cli.conftest import ESTATE, Run
from tests.stores.permitting import permit
from tests.stores.samples import LATER, NOW


@pytest.fixture
def two(run: Run, folder: Path) -> None:
    """Two calls that went ahead; what became of one was said."""
    run("tenant", "list")
    with opened(Place(folder, None)) as broker:
        write = broker.world.database.write
        for number, mark in enumerate("ab"):
            write(
                lambda tx, m=mark, n=number: store.begin(tx, permit(m, made_at=NOW + n), None, LATER, LATER)
            )
        write(lambda tx: store.finish(tx, "dec-a", {"status": "failed", "undo": "x"}, NOW + 9, NOW + 9))


def test_calls_are_listed_and_what_nobody_reported_is_open(
    two: None, told: Callable[..., object], run: Run
) -> None:
    assert [(one["id"], one["status"]) for one in told("decision", "list")] == [
        ("dec-b", "open"),
        ("dec-a", "failed"),
    ]
    assert [one["id"] for one in told("decision", "list", "--open")] == ["dec-b"]
    assert [one["id"] for one in told("decision", "list", "--resource", "resource-a")] == ["dec-a"]
    assert [one["id"] for one in told("decision", "list", "--most", "1")] == ["dec-b"]
    assert "dec-b" in run("decision", "list").stdout


def test_a_resource_that_there_is_not_is_not_one_without_calls(
    tmp_path: Path, told: Callable[..., object], run: Run
) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(ESTATE)
    run("apply", str(path))
    assert told("decision", "list", "--resource", "tickets") == []
    assert "There is no resource nope." in run("decision", "list", "--resource", "nope", code=3).output


def test_one_is_shown_with_what_became_of_it(two: None, told: Callable[..., object], run: Run) -> None:
    shown = told("decision", "show", "dec-a")
    assert shown["outcome"] == {"status": "failed", "undo": "x"} and shown["tool"] == "close_ticket"
    assert "failed" in run("decision", "show", "dec-a").stdout
    run("decision", "show", "nothing", code=3)


def test_a_tool_and_a_family_are_switched_by_their_names(
    run: Run, tmp_path: Path, told: Callable[..., object]
) -> None:
    value = yaml.safe_load(ESTATE)
    value["resources"][0]["tools"] = [
        {"name": "find", "scopes": ["tickets:read"], "impact": "read", "family": "f1"}
    ]
    path = tmp_path / "estate.yaml"
    path.write_text(json.dumps(value))
    run("apply", str(path))
    for kind, name in (("tool", "tickets/find"), ("family", "f1")):
        run("switch", "throw", kind, name, "--why", "test")
        assert [(one["kind"], one["id"]) for one in told("switch", "list")] == [(kind, name)]
        run("switch", "lift", kind, name, "--why", "test")
        run("switch", "throw", kind, name + "x", "--why", "test", code=3)
    run("switch", "throw", "tool", "find", "--why", "test", code=3)
