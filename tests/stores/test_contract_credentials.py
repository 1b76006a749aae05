"""Ways in: the same on both engines; codes, counters and what was begun are used up once."""

from dataclasses import replace

import pytest

from broker.identity.users.credentials import store as credentials
from broker.identity.users.credentials.model import Ceremony, CodeApp, Notice, Passkey, Purpose
from broker.runtime.database import Conflict, Database
from tests.lab import race
from tests.stores.samples import LATER, NOW

SIXTEEN = 16


def passkey(mark: str, user: str = "alice", created_at: float = NOW) -> Passkey:
    return Passkey(
        f"pk-{mark}",
        user,
        f"credential-{mark}",
        f"handle-{user}",
        f"key-{mark}",
        f"Läptop {mark} ☃",
        7,
        True,
        False,
        ("hybrid", "internal"),
        created_at,
    )


def notice(mark: str, at: float = NOW) -> Notice:
    return Notice(
        f"nte-{mark}", "alice", "credential.added", "passkey", f"Läptop {mark}", at, "192.0.2.1", "A"
    )


def test_a_passkey_comes_back_as_stored_and_its_credential_is_its_own(database: Database) -> None:
    first, second = passkey("b", created_at=NOW + 1), passkey("a", created_at=NOW)
    for one in (first, second, passkey("c", "bob")):
        database.write(lambda tx, one=one: credentials.add_passkey(tx, one))
    assert database.read(lambda tx: credentials.passkeys(tx, "alice")) == [second, first]
    assert database.read(lambda tx: credentials.by_credential(tx, "credential-b")) == first
    assert database.read(lambda tx: credentials.by_credential(tx, "another")) is None
    for taken in (replace(passkey("d"), credential="credential-b"), replace(passkey("e"), id="pk-b")):
        with pytest.raises(Conflict):
            database.write(lambda tx, taken=taken: credentials.add_passkey(tx, taken))


def test_a_passkey_is_renamed_and_removed_by_its_owner_alone(database: Database) -> None:
    database.write(lambda tx: credentials.add_passkey(tx, passkey("a")))
    assert not database.write(lambda tx: credentials.rename_passkey(tx, "bob", "pk-a", "mine"))
    assert database.write(lambda tx: credentials.rename_passkey(tx, "alice", "pk-a", "Phone"))
    assert database.write(lambda tx: credentials.remove_passkey(tx, "bob", "pk-a")) is None
    assert database.write(lambda tx: credentials.remove_passkey(tx, "alice", "pk-a")) == "Phone"
    assert database.write(lambda tx: credentials.remove_passkey(tx, "alice", "pk-a")) is None
    assert database.read(lambda tx: credentials.passkeys(tx, "alice")) == []


def test_a_counter_only_grows_unless_it_never_counts(database: Database) -> None:
    never = replace(passkey("b"), counter=0)
    for one in (passkey("a"), never):
        database.write(lambda tx, one=one: credentials.add_passkey(tx, one))

    def use(which: str, counter: int) -> bool:
        return database.write(lambda tx: credentials.use_passkey(tx, which, counter, True, LATER))

    assert [use("pk-a", counter) for counter in (7, 6, 0, 8, 8, 9)] == [
        False,
        False,
        False,
        True,
        False,
        True,
    ]
    assert [use("pk-b", counter) for counter in (0, 0, 1, 0)] == [True, True, True, False]
    assert not use("pk-c", 1)
    kept = database.read(lambda tx: credentials.by_credential(tx, "credential-a"))
    assert kept == replace(passkey("a"), counter=9, backed_up=True, last_used_at=LATER)
    assert race(SIXTEEN, lambda _: use("pk-a", 10)).count(True) == 1


def test_an_app_is_one_and_its_steps_are_used_up(database: Database) -> None:
    app = CodeApp("sealed", 100, NOW)
    database.write(lambda tx: credentials.put_app(tx, "alice", app))
    assert database.read(lambda tx: credentials.app(tx, "alice")) == app
    assert database.read(lambda tx: credentials.app(tx, "bob")) is None
    with pytest.raises(Conflict):
        database.write(lambda tx: credentials.put_app(tx, "alice", app))

    def advance(step: int, user: str = "alice") -> bool:
        return database.write(lambda tx: credentials.advance(tx, user, step))

    assert [advance(step) for step in (100, 99, 101, 101, 100, 103)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert not advance(104, "bob")
    assert race(SIXTEEN, lambda _: advance(104)).count(True) == 1
    assert database.write(lambda tx: credentials.remove_app(tx, "alice"))
    assert not database.write(lambda tx: credentials.remove_app(tx, "alice"))


def test_a_recovery_code_is_spent_once_by_its_owner(database: Database) -> None:
    database.write(lambda tx: credentials.replace_codes(tx, "alice", ["a", "b", "c"]))
    database.write(lambda tx: credentials.replace_codes(tx, "bob", ["d"]))

    def spend(hashed: str, user: str = "alice") -> bool:
        return database.write(lambda tx: credentials.spend_code(tx, user, hashed, NOW))

    def left(user: str = "alice") -> int:
        return database.read(lambda tx: credentials.codes_left(tx, user))

    assert not spend("d") and not spend("a", "bob") and not spend("z")
    assert spend("a") and not spend("a") and left() == 2 and left("bob") == 1
    assert race(SIXTEEN, lambda _: spend("b")).count(True) == 1
    database.write(lambda tx: credentials.replace_codes(tx, "alice", ["e"]))
    assert left() == 1 and not spend("c") and spend("e") and left() == 0 and left("bob") == 1


PURPOSE = Purpose.PASSKEY_ASSERTION
BEGUN = Ceremony(PURPOSE, "alice", "ses-1", {"handle": "ü", "n": 1})


def test_what_was_begun_is_finished_once_in_time_and_for_its_purpose(database: Database) -> None:
    database.write(lambda tx: credentials.begin(tx, "h", BEGUN, LATER))
    for purpose, now in ((Purpose.PASSKEY_CREATION, NOW), (PURPOSE, LATER)):
        assert database.read(lambda tx, p=purpose, n=now: credentials.look(tx, "h", p, n)) is None
        assert database.write(lambda tx, p=purpose, n=now: credentials.finish(tx, "h", p, n)) is None
    assert database.read(lambda tx: credentials.look(tx, "h", PURPOSE, NOW)) == BEGUN
    found = race(SIXTEEN, lambda _: database.write(lambda tx: credentials.finish(tx, "h", PURPOSE, NOW)))
    assert found.count(BEGUN) == 1 and found.count(None) == SIXTEEN - 1
    assert database.read(lambda tx: credentials.look(tx, "h", PURPOSE, NOW)) is None
    database.write(lambda tx: credentials.begin(tx, "h", replace(BEGUN, user_id="bob"), LATER))
    again = database.read(lambda tx: credentials.look(tx, "h", PURPOSE, NOW))
    assert again is not None and again.user_id == "bob"


def test_what_was_begun_for_a_person_can_be_forgotten(database: Database) -> None:
    database.write(lambda tx: credentials.begin(tx, "h", BEGUN, LATER))
    database.write(lambda tx: credentials.forget(tx, "alice", Purpose.SECOND_STEP))
    database.write(lambda tx: credentials.forget(tx, "bob", PURPOSE))
    assert database.read(lambda tx: credentials.look(tx, "h", PURPOSE, NOW)) == BEGUN
    database.write(lambda tx: credentials.forget(tx, "alice", PURPOSE))
    assert database.read(lambda tx: credentials.look(tx, "h", PURPOSE, NOW)) is None


def test_a_person_is_told_the_newest_first_and_old_things_are_swept(database: Database) -> None:
    for mark, at in (("a", NOW), ("b", NOW + 2), ("c", NOW + 1)):
        database.write(lambda tx, n=notice(mark, at): credentials.tell(tx, n))
    database.write(lambda tx: credentials.begin(tx, "h", BEGUN, NOW + 1))

    def told(most: int = 9) -> list[str]:
        return [one.id for one in database.read(lambda tx: credentials.told(tx, "alice", most))]

    assert database.read(lambda tx: credentials.told(tx, "alice", 1)) == [notice("b", NOW + 2)]
    assert (
        told() == ["nte-b", "nte-c", "nte-a"]
        and database.read(lambda tx: credentials.told(tx, "bob", 9)) == []
    )
    database.write(lambda tx: credentials.sweep(tx, NOW, NOW))
    assert told() == ["nte-b", "nte-c"]
    assert database.read(lambda tx: credentials.look(tx, "h", PURPOSE, NOW)) == BEGUN
    database.write(lambda tx: credentials.sweep(tx, NOW + 1, NOW))
    assert database.read(lambda tx: credentials.look(tx, "h", PURPOSE, NOW)) is None


def test_a_person_who_is_gone_leaves_no_way_in(database: Database) -> None:
    for user in ("alice", "bob"):
        database.write(lambda tx, u=user: credentials.add_passkey(tx, passkey(u, u)))
        database.write(lambda tx, u=user: credentials.put_app(tx, u, CodeApp("sealed", 1, NOW)))
        database.write(lambda tx, u=user: credentials.replace_codes(tx, u, [f"code-{u}"]))
        database.write(lambda tx, u=user: credentials.begin(tx, u, replace(BEGUN, user_id=u), LATER))
        database.write(lambda tx, u=user: credentials.tell(tx, replace(notice(u), user_id=u)))
    database.write(lambda tx: credentials.remove_all(tx, "alice"))
    for user, there in (("alice", False), ("bob", True)):
        assert bool(database.read(lambda tx, u=user: credentials.passkeys(tx, u))) is there
        assert bool(database.read(lambda tx, u=user: credentials.app(tx, u))) is there
        assert bool(database.read(lambda tx, u=user: credentials.codes_left(tx, u))) is there
        assert bool(database.read(lambda tx, u=user: credentials.look(tx, u, PURPOSE, NOW))) is there
        assert bool(database.read(lambda tx, u=user: credentials.told(tx, u, 9))) is there
