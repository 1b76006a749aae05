"""Identity providers, visits to them, and links: the same on both engines."""

from dataclasses import replace

import pytest

from broker.identity.federation import store as federation
from broker.identity.federation.model import Accounts, Claims, Provider, Rule, Worth
from broker.identity.users import store as users
from broker.identity.users.model import Membership
from broker.runtime.database import Conflict, Database
from tests.lab import race
from tests.stores.samples import DOOR, LATER, NOW, attempt, link, provider, user

MANY = 16


def test_a_provider_comes_back_as_stored_with_everything(database: Database) -> None:
    whole = replace(
        provider("whole", None),
        method="none",
        scopes=("openid",),
        algorithms=("EdDSA",),
        accounts=Accounts.LINKED,
        mapping=Claims(
            Rule("a.b"),
            None,
            Rule(always="x@y"),
            (Rule("g", {"ü": "r"}), Rule(always="m")),
            {"d": Rule("d")},
            (Rule("hd", {"x": "acme"}),),
        ),
        mfa=Worth(("gold",), ("otp", "hwk")),
        upstream_tenants=("t1", "t2"),
        authority="common",
    )
    bare = Provider("bare", "Bare", "https://bare.example", "client", "acme")
    database.write(lambda tx: [federation.put(tx, one) for one in (whole, bare)])
    assert database.read(federation.every) == [bare, whole]
    changed = replace(bare, name="Bäre", mapping=Claims())
    database.write(lambda tx: federation.put(tx, changed))
    assert database.read(federation.every) == [changed, whole]


def test_a_providers_secret_is_kept_through_a_change_and_not_through_a_deletion(database: Database) -> None:
    one = provider("a", None)
    database.write(lambda tx: federation.put(tx, one))
    assert database.read(lambda tx: federation.secret(tx, one.id)) is None
    assert database.write(lambda tx: federation.set_secret(tx, one.id, b"\0sealed\xff")) is True
    database.write(lambda tx: federation.put(tx, replace(one, name="Other")))
    assert database.read(lambda tx: federation.secret(tx, one.id)) == b"\0sealed\xff"
    assert database.write(lambda tx: federation.remove(tx, one.id)) is True
    assert database.write(lambda tx: federation.remove(tx, one.id)) is False
    assert database.read(lambda tx: federation.secret(tx, one.id)) is None
    assert database.write(lambda tx: federation.set_secret(tx, one.id, b"x")) is False
    assert database.read(federation.every) == []
    with pytest.raises(Conflict):
        database.write(lambda tx: federation.put(tx, one))


def test_a_provider_never_changes_its_tenant(database: Database) -> None:
    database.write(lambda tx: federation.put(tx, provider("a", "acme")))
    with pytest.raises(Conflict):
        database.write(lambda tx: federation.put(tx, provider("a", "globex")))
    assert database.read(federation.every) == [provider("a", "acme")]


def test_a_visit_comes_back_as_begun_once(database: Database) -> None:
    one = attempt("a")
    database.write(lambda tx: federation.begin(tx, "hash", "browser", one))
    wrong = (
        ("other", "browser", one.provider, DOOR, NOW),
        ("hash", "other", one.provider, DOOR, NOW),
        ("hash", "browser", "other", DOOR, NOW),
        ("hash", "browser", one.provider, "https://as.example", NOW),
        ("hash", "browser", one.provider, DOOR, LATER),
    )
    for call in wrong:
        assert database.write(lambda tx, call=call: federation.take(tx, *call)) is None
    right = ("hash", "browser", one.provider, DOOR, LATER - 1)
    assert database.write(lambda tx: federation.take(tx, *right)) == one
    assert database.write(lambda tx: federation.take(tx, *right)) is None


def test_of_many_who_take_a_visit_one_gets_it(database: Database) -> None:
    one = attempt("a")
    database.write(lambda tx: federation.begin(tx, "hash", "browser", one))
    call = ("hash", "browser", one.provider, DOOR, NOW)
    results = race(MANY, lambda _: database.write(lambda tx: federation.take(tx, *call)))
    assert [found for found in results if found is not None] == [one]


def test_visits_that_are_over_are_swept(database: Database) -> None:
    database.write(lambda tx: federation.begin(tx, "old", "browser", attempt("a")))
    database.write(
        lambda tx: federation.begin(tx, "new", "browser", replace(attempt("a"), expires_at=LATER + 1))
    )
    database.write(lambda tx: federation.sweep(tx, LATER))
    taken = [
        database.write(
            lambda tx, hashed=hashed: federation.take(tx, hashed, "browser", attempt("a").provider, DOOR, NOW)
        )
        for hashed in ("old", "new")
    ]
    assert taken[0] is None and taken[1] is not None


def test_a_link_comes_back_as_stored_and_is_one_users(database: Database) -> None:
    first, second = link("a"), replace(link("b", None), user_id="user-a", linked_at=NOW + 1)
    database.write(lambda tx: [federation.link(tx, one) for one in (second, first)])
    assert database.read(lambda tx: federation.find(tx, first.id)) == first
    assert database.read(lambda tx: federation.find(tx, "never")) is None
    assert database.read(lambda tx: federation.of(tx, "user-a")) == [first, second]
    assert database.write(lambda tx: federation.use(tx, first.id, NOW + 5)) is True
    assert database.write(lambda tx: federation.use(tx, "never", NOW + 5)) is False
    assert database.read(lambda tx: federation.find(tx, first.id)) == replace(first, used_at=NOW + 5)
    with pytest.raises(Conflict):
        database.write(lambda tx: federation.link(tx, replace(first, user_id="user-b")))
    assert database.write(lambda tx: federation.unlink(tx, first.id, "user-b")) is False
    assert database.write(lambda tx: federation.unlink(tx, first.id, "user-a")) is True
    assert database.write(lambda tx: federation.unlink(tx, first.id, "user-a")) is False
    assert database.read(lambda tx: federation.of(tx, "user-a")) == [second]


def test_of_many_links_of_one_subject_one_is_made(database: Database) -> None:
    def work(index: int) -> object:
        one = replace(link("a"), user_id=f"user-{index}")
        return database.write(lambda tx: federation.link(tx, one))

    results = race(MANY, work)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == MANY - 1


def test_users_are_found_by_address_whatever_its_case(database: Database) -> None:
    alice = user("alice", "acme")
    database.write(lambda tx: [users.put(tx, one) for one in (alice, user("bob"))])
    assert database.read(lambda tx: users.with_email(tx, "ALICE@example.COM")) == [alice.id]
    assert database.read(lambda tx: users.with_email(tx, "alice@example.co%")) == []
    database.write(lambda tx: users.remove(tx, alice.id))
    assert database.read(lambda tx: users.with_email(tx, "alice@example.com")) == []


def test_a_member_is_given_another_place_and_a_stranger_none(database: Database) -> None:
    alice = user("alice", "acme", "globex")
    database.write(lambda tx: users.put(tx, alice))
    changed = Membership("acme", ("x",), {"a": 1})
    assert database.write(lambda tx: users.place(tx, alice.id, changed)) is True
    found = database.read(lambda tx: users.get(tx, alice.id))
    assert found is not None and found.memberships == (changed, alice.memberships[1])
    assert database.write(lambda tx: users.place(tx, alice.id, Membership("initech"))) is False
    assert database.write(lambda tx: users.place(tx, "never", changed)) is False
