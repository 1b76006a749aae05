"""Edges as objects of the estate: their terms in the file and back, who made them, and what the evidence says."""

import pytest

from broker.admin import moments
from broker.admin.export import export
from tests.lab import START

TERMS = "lifetime: 90, consent: admin"


def with_terms(estate: str, terms: str) -> str:
    assert TERMS in estate
    return estate.replace(TERMS, f"{TERMS}, {terms}")


def test_the_terms_of_an_edge_go_into_the_estate_and_come_back(desk, estate) -> None:
    written = with_terms(estate, "purpose: Look customers up, expires: 2027-01-31T00:00:00Z")
    desk.put(written)
    edge = desk.broker.estate().edges["tickets", "crm"]
    assert (edge.purpose, edge.expires_at) == ("Look customers up", 1_801_353_600.0)
    exported = export(desk.apply.holdings())
    assert "purpose: Look customers up" in exported and "expires: '2027-01-31T00:00:00Z'" in exported
    assert desk.put(written) == [] and desk.put(exported) == []
    for left_out in ("purpose", "expires", "release"):
        assert left_out not in export_of(desk, estate)


def export_of(desk, text: str) -> str:
    desk.put(text)
    return export(desk.apply.holdings()).split("edges:")[1]


@pytest.mark.parametrize(
    "spelled",
    [
        "2027-01-31T00:00:00Z",
        "'2027-01-31T00:00:00Z'",
        "'2027-01-31T02:00:00+02:00'",
        "2027-01-31",
        "'2027-01-31'",
    ],
)
def test_a_moment_may_be_written_in_more_than_one_way(desk, estate, spelled: str) -> None:
    desk.put(with_terms(estate, f"expires: {spelled}"))
    assert desk.broker.estate().edges["tickets", "crm"].expires_at == 1_801_353_600.0


def test_a_moment_that_was_written_is_read_as_the_same() -> None:
    for moment in (0.0, START, 4_102_444_799.0):
        assert moments.read(moments.written(moment)) == moment
    assert moments.read(moments.written(None)) is None


def test_an_edge_keeps_its_maker_and_each_change_its_terms(desk, estate) -> None:
    desk.put(estate)
    made = desk.broker.estate().edges["tickets", "crm"]
    assert (made.created_at, made.created_by) == (START, "cli")
    desk.broker.world.clock.advance(60)
    desk.put(with_terms(estate, "purpose: Look customers up").replace("lifetime: 90", "lifetime: 60"))
    changed = desk.broker.estate().edges["tickets", "crm"]
    assert (changed.lifetime, changed.created_at, changed.created_by) == (60, START, "cli")
    first, second = [record["change"] for record in desk.facts() if record["change"]["noun"] == "edge"]
    assert first["terms"]["consent"] == "admin"
    assert second["terms"] == {"lifetime": 60, "purpose": "Look customers up"}
