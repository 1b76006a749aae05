"""Device codes: the same on both engines, one answer and one redemption of each, and polls that keep their pace."""

from dataclasses import replace

import pytest

from broker.authorization.device import store as devices
from broker.authorization.device.model import DeviceCode, Poll
from broker.runtime.database import Conflict, Database, Transaction
from tests.lab import race
from tests.stores.samples import CHALLENGE, DOOR, LATER, NOW, device


def add(database: Database, mark: str = "a", **changes: object) -> DeviceCode:
    made = replace(device(mark), **changes)
    database.write(lambda tx: devices.add(tx, f"hash-{mark}", f"typed-{mark}", made))
    return made


def presented(**changes: object) -> dict[str, object]:
    return {
        "door": DOOR,
        "client_id": "client-a",
        "challenge": CHALLENGE,
        "resource_id": None,
        "jkt": None,
        "now": NOW,
        **changes,
    }


def test_a_device_is_found_by_either_code_and_by_its_id(database: Database) -> None:
    made = add(database)
    read = database.read
    assert read(lambda tx: devices.typed(tx, "typed-a")) == made
    assert read(lambda tx: devices.get(tx, made.id)) == made
    assert read(lambda tx: devices.explain(tx, "hash-a")) == made
    for found in (devices.typed, devices.get, devices.explain):
        assert read(lambda tx, found=found: found(tx, "another")) is None


@pytest.mark.parametrize("taken", ["id", "hash", "typed"])
def test_neither_code_nor_id_is_anothers(database: Database, taken: str) -> None:
    add(database)
    new = {"id": "device-b", "hash": "hash-b", "typed": "typed-b", taken: f"{taken}-a"}
    new["id"] = "device-a" if taken == "id" else "device-b"
    made = replace(device("b"), id=new["id"])
    with pytest.raises(Conflict):
        database.write(lambda tx: devices.add(tx, new["hash"], new["typed"], made))


@pytest.mark.parametrize("first", ["approve", "deny"])
def test_a_device_is_answered_once(database: Database, first: str) -> None:
    made = add(database)

    def approve(tx: Transaction) -> DeviceCode | None:
        return devices.approve(tx.inside("acme"), made.id, "grant-1", NOW)

    def deny(tx: Transaction) -> DeviceCode | None:
        return devices.deny(tx, made.id, NOW)

    answers = (approve, deny) if first == "approve" else (deny, approve)
    results = race(16, lambda i: database.write(answers[0] if i % 2 == 0 else answers[1]))
    given = [result for result in results if result is not None]
    assert len(given) == 1 and isinstance(given[0], DeviceCode), results
    assert (given[0].grant_id is None) != (given[0].denied_at is None)


def test_an_approved_one_belongs_to_the_tenant_of_its_grant(database: Database) -> None:
    made = add(database, tenant=None)
    found = database.write(lambda tx: devices.approve(tx.inside("acme"), made.id, "grant-1", NOW))
    assert found is not None and (found.tenant, found.grant_id) == ("acme", "grant-1")
    assert found.request.tenant == made.request.tenant
    assert database.read(lambda tx: devices.get(tx, made.id), "globex") is None
    assert database.read(lambda tx: devices.get(tx, made.id), "acme") == found


def test_nobody_answers_what_has_expired(database: Database) -> None:
    made = add(database)
    assert database.write(lambda tx: devices.approve(tx.inside("acme"), made.id, "grant-1", LATER)) is None
    assert database.write(lambda tx: devices.deny(tx, made.id, LATER)) is None
    assert database.write(lambda tx: devices.deny(tx, made.id, LATER - 1)) is not None


def test_a_poll_is_noted_and_one_that_hurries_is_slowed_down(database: Database) -> None:
    add(database)

    def poll(now: float, **changes: object) -> Poll | None:
        asked = presented(now=now, **changes)
        return database.write(lambda tx: devices.poll(tx, "hash-a", **asked))

    assert poll(NOW) == Poll(5, False)
    assert poll(NOW + 4) == Poll(5, False), "clocks may differ by a second"
    assert poll(NOW + 7.9) == Poll(10, True)
    assert poll(NOW + 16.8) == Poll(15, True)
    assert poll(NOW + 31.8) == Poll(15, False)
    for wrong in ({"door": "x"}, {"client_id": "x"}, {"challenge": ""}, {"resource_id": "x"}):
        assert poll(NOW + 60, **wrong) is None
    assert poll(NOW + 60, resource_id="r1", jkt="any") == Poll(15, False)
    assert poll(LATER) is None


def test_of_polls_at_once_one_is_in_time(database: Database) -> None:
    add(database)
    asked = presented()
    results = race(16, lambda _: database.write(lambda tx: devices.poll(tx, "hash-a", **asked)))
    paces = sorted(poll.pace for poll in results if isinstance(poll, Poll))
    assert paces == [5 * number for number in range(1, 17)], results


def test_a_poll_of_what_was_answered_notes_nothing(database: Database) -> None:
    for mark, changes in (("a", {"grant_id": "grant-1"}), ("b", {"denied_at": NOW})):
        add(database, mark, **changes)
        asked = presented(client_id=f"client-{mark}")
        assert database.write(lambda tx, m=mark, a=asked: devices.poll(tx, f"hash-{m}", **a)) is None


def test_an_approved_code_is_redeemed_once(database: Database) -> None:
    add(database, grant_id="grant-1")

    def redeem(_: int = 0, **changes: object) -> DeviceCode | None:
        asked = presented(**changes)
        return database.write(lambda tx: devices.redeem(tx, "hash-a", **asked))

    for wrong in (
        {"door": "x"},
        {"client_id": "x"},
        {"challenge": "x"},
        {"resource_id": "x"},
        {"now": LATER},
    ):
        assert redeem(**wrong) is None
    results = race(16, redeem)
    given = [result for result in results if result is not None]
    assert len(given) == 1 and isinstance(given[0], DeviceCode), results
    assert given[0].spent_at == NOW and given[0].grant_id == "grant-1"


def test_a_code_that_waits_or_was_refused_is_not_redeemed(database: Database) -> None:
    for mark, changes in (("a", {}), ("b", {"denied_at": NOW})):
        add(database, mark, **changes)
        asked = presented(client_id=f"client-{mark}")
        assert database.write(lambda tx, m=mark, a=asked: devices.redeem(tx, f"hash-{m}", **a)) is None


def test_a_key_that_was_named_is_the_one(database: Database) -> None:
    made = device("a", grant_id="grant-1", dpop_jkt="k" * 43)
    database.write(lambda tx: devices.add(tx, "hash-a", "typed-a", made))
    for jkt in (None, "x" * 43):
        asked = presented(jkt=jkt)
        assert database.write(lambda tx, a=asked: devices.redeem(tx, "hash-a", **a)) is None
    asked = presented(jkt="k" * 43)
    assert database.write(lambda tx: devices.redeem(tx, "hash-a", **asked)) is not None


def test_a_sweep_forgets_what_is_old_enough(database: Database) -> None:
    made = add(database)
    database.write(lambda tx: devices.sweep(tx, LATER - 1))
    assert database.read(lambda tx: devices.get(tx, made.id)) == made
    database.write(lambda tx: devices.sweep(tx, LATER))
    assert database.read(lambda tx: devices.get(tx, made.id)) is None
