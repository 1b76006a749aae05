"""Permits, their keys and outcomes: the same on both engines."""

from dataclasses import replace

import pytest

from broker.audit import store as audit
from broker.control.idempotency import store as permits
from broker.control.idempotency.model import Permit
from broker.protocol import jcs
from broker.runtime.database import Database
from tests.lab import race
from tests.stores.permitting import permit
from tests.stores.samples import LATER, NOW, record

MANY = 16


def begun(database: Database, one: Permit, slot: str | None, until: float = LATER) -> Permit | None:
    return database.write(lambda tx: permits.begin(tx, one, slot, until, until), one.tenant)


def listed(database: Database, **filters: object) -> list[str]:
    usual = {"only_open": False, "resource": None, "before": LATER, "most": 100}
    return [one.id for one in database.read(lambda tx: permits.listed(tx, **{**usual, **filters}))]


def test_a_slot_has_one_holder_until_its_time_is_over(database: Database) -> None:
    first, second = permit("a"), permit("b")
    assert begun(database, first, "s", NOW + 10) is None
    assert begun(database, second, "s") == first
    assert database.read(lambda tx: permits.find(tx, "dec-a")) == first
    assert database.read(lambda tx: permits.find(tx, "dec-b")) is None
    late = replace(second, made_at=NOW + 10)
    assert begun(database, late, "s") is None
    assert begun(database, permit("c", made_at=NOW + 11), "s") == late
    assert database.read(lambda tx: permits.find(tx, "dec-a")) == first, "only its slot is gone"
    assert begun(database, permit("d"), None) is None and begun(database, permit("e"), None) is None


def test_of_many_at_once_one_holds_the_slot(database: Database) -> None:
    found = race(MANY, lambda i: begun(database, permit(str(i)), "s"))
    assert found.count(None) == 1
    (holder,) = database.read(
        lambda tx: permits.listed(tx, only_open=True, resource=None, before=LATER, most=9)
    )
    assert [one for one in found if one is not None] == [holder] * (MANY - 1)


def test_of_many_at_once_one_takes_a_slot_that_is_over(database: Database) -> None:
    begun(database, permit("old"), "s", NOW + 1)
    found = race(MANY, lambda i: begun(database, permit(str(i), made_at=NOW + 2), "s"))
    assert found.count(None) == 1 and all(one is None or one.id != "dec-old" for one in found)


def test_an_outcome_is_said_once(database: Database) -> None:
    begun(database, permit("a"), "s")

    def finish(number: int) -> bool:
        return database.write(
            lambda tx: permits.finish(tx, "dec-a", {"status": "ok", "n": number}, NOW + number, NOW)
        )

    results = race(MANY, finish)
    assert results.count(True) == 1 and results.count(False) == MANY - 1
    found = database.read(lambda tx: permits.find(tx, "dec-a"))
    winner = results.index(True)
    assert found is not None and found.outcome == {"n": winner, "status": "ok"}
    assert found.reported_at == NOW + winner
    assert database.write(lambda tx: permits.finish(tx, "nothing", {}, NOW, NOW)) is False


def test_they_are_listed_newest_first_by_what_they_are(database: Database) -> None:
    for number, mark in enumerate("abc"):
        begun(database, permit(mark, made_at=NOW + number), None)
    database.write(lambda tx: permits.finish(tx, "dec-b", {"status": "ok"}, NOW, NOW))
    assert listed(database) == ["dec-c", "dec-b", "dec-a"]
    assert listed(database, only_open=True) == ["dec-c", "dec-a"]
    assert listed(database, resource="resource-b") == ["dec-b"]
    assert listed(database, before=NOW + 1) == ["dec-b", "dec-a"] and listed(database, most=1) == ["dec-c"]
    assert listed(database, before=float("inf")) == ["dec-c", "dec-b", "dec-a"]


def test_what_is_over_is_swept(database: Database) -> None:
    database.write(lambda tx: permits.begin(tx, permit("a"), "s", NOW + 1, LATER))
    database.write(lambda tx: permits.begin(tx, permit("b"), "t", NOW + 1, LATER))
    database.write(lambda tx: permits.finish(tx, "dec-b", {"status": "ok"}, NOW, NOW))
    database.write(lambda tx: permits.sweep(tx, NOW + 1))
    assert listed(database) == ["dec-a"], "of what was reported nothing is kept longer than its key"
    assert begun(database, permit("c"), "s") is None
    database.write(lambda tx: permits.sweep(tx, LATER))
    assert listed(database) == []


def test_what_was_reported_late_keeps_its_slot_for_a_while(database: Database) -> None:
    for mark, until in (("a", NOW + 60), ("b", NOW + 1)):
        begun(database, permit(mark), mark, NOW + 1)
        database.write(
            lambda tx, m=mark, u=until: permits.finish(tx, f"dec-{m}", {"status": "ok"}, NOW + 1, u)
        )
    database.write(lambda tx: permits.sweep(tx, NOW + 59))
    assert listed(database) == ["dec-a"]
    held = begun(database, permit("c", made_at=NOW + 59), "a")
    assert held is not None and held.id == "dec-a"
    assert begun(database, permit("c", made_at=NOW + 60), "a") is None


def test_records_are_found_by_their_tokens(database: Database) -> None:
    for mark in ("a", "b", "c"):
        database.write(lambda tx, mark=mark: audit.add(tx, record(mark), None, None))
    found = database.read(lambda tx: audit.with_tokens(tx, ["jti-a", "jti-c", "jti-x"]))
    assert sorted(one.body for one in found) == [str(record(mark)["body"]) for mark in ("a", "c")]
    assert database.read(lambda tx: audit.with_tokens(tx, [])) == []


def test_a_record_is_found_by_its_decision(database: Database) -> None:
    database.write(lambda tx: audit.add(tx, record("a", decision="dec-a"), None, None))
    assert database.read(lambda tx: audit.handles(tx, "dec-a")) == [("aud-a", "txn-a", "grant-a", "req-a")]


@pytest.mark.parametrize("mark", ["a", 'a"b', "a%", "a_", "a\\", "\u00e9"])
def test_a_record_is_found_by_what_it_names_beside_its_own_ids(database: Database, mark: str) -> None:
    for number, (name, value) in enumerate(
        [
            ("approval", mark),
            ("downstream_request_id", mark),
            ("tool", mark),
            ("approval", mark + "x"),
            ("detail", f'"approval":"{mark}"'),
            ("approval", "aX" if mark == "a_" else "x" + mark),
        ]
    ):
        row = record(str(number), body=jcs.canonical({name: value}).decode())
        database.write(lambda tx, row=row: audit.add(tx, row, None, None))
    found = database.read(lambda tx: audit.mentions(tx, mark))
    assert sorted(one[0] for one in found) == ["aud-0", "aud-1"]
    assert found[0][1:] in (("txn-0", "grant-0", "req-0"), ("txn-1", "grant-1", "req-1"))
    assert database.read(lambda tx: audit.mentions(tx, "nothing")) == []
