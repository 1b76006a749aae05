"""Connections, visits, releases and farewells of the vault: the same on both engines."""

from dataclasses import replace

import pytest

from broker.denials import store as denials
from broker.denials.model import Kind, Target
from broker.runtime.database import Conflict, Database
from broker.vault import store as vault
from broker.vault.credentials import store as credentials
from broker.vault.farewells import store as farewells
from broker.vault.model import Account, Connection, State
from broker.vault.releases import store as releases
from broker.vault.underway import store as underway
from tests.lab import race
from tests.stores.samples import DOOR, LATER, NOW
from tests.stores.vaulted import connection, farewell, release, sealed, visit

MANY = 16


def stored(database: Database, *added: Connection) -> None:
    for one in added:
        database.write(lambda tx, one=one: vault.add(tx, one, sealed(one.id)))


def held(database: Database, connection_id: str = "con-a") -> Connection:
    found = database.read(lambda tx: vault.get(tx, connection_id))
    assert found is not None
    return found[0]


def test_a_connection_comes_back_as_stored_and_is_one_for_each_user_and_resource(database: Database) -> None:
    one, other = connection("a"), connection("b", "globex")
    stored(database, one, other)
    assert database.read(lambda tx: vault.get(tx, one.id)) == (one, sealed(one.id))
    assert database.read(lambda tx: vault.find(tx, "acme", one.user_id, one.resource_id)) == (
        one,
        sealed(one.id),
    )
    assert database.read(lambda tx: vault.find(tx, "globex", one.user_id, one.resource_id)) is None
    assert database.read(vault.every) == [one, other]
    assert database.read(lambda tx: vault.every(tx, other.user_id)) == [other]
    assert database.read(vault.every, "acme") == [one]
    with pytest.raises(Conflict):
        stored(database, replace(one, id="another"))


def test_new_tokens_take_the_place_of_exactly_one_version(database: Database) -> None:
    stored(database, connection("a"))
    second = replace(
        connection("a", version=2), account=Account("9", "new"), scopes=(), wider=(), expires_at=None
    )
    results = race(MANY, lambda i: database.write(lambda tx: vault.renew(tx, 1, second, sealed(f"s{i}"))))
    assert results.count(True) == 1 and results.count(False) == MANY - 1
    assert held(database) == second
    assert database.write(lambda tx: vault.renew(tx, 1, second, sealed("late"))) is False


def test_one_of_many_may_refresh_a_version_and_another_when_the_lease_is_over(database: Database) -> None:
    stored(database, connection("a"))

    def claim(who: str, now: float = NOW, version: int = 1) -> object:
        return database.write(lambda tx: vault.claim(tx, "con-a", version, who, now, now + 30))

    results = race(MANY, lambda i: claim(f"r{i}"))
    won = [found for found in results if found is not None]
    assert won == [(connection("a"), sealed("con-a"))]
    assert claim("late", NOW + 29) is None and claim("other version", NOW + 31, 2) is None
    assert claim("next", NOW + 30) is not None


def test_an_attempt_in_vain_changes_no_token_and_puts_the_next_off(database: Database) -> None:
    stored(database, connection("a"))
    database.write(lambda tx: vault.claim(tx, "con-a", 1, "me", NOW, NOW + 30))
    assert database.write(lambda tx: vault.fail(tx, "con-a", 1, "other", NOW + 5, "away")) is False
    assert database.write(lambda tx: vault.fail(tx, "con-a", 1, "me", NOW + 5, "away")) is True
    found = database.read(lambda tx: vault.get(tx, "con-a"))
    assert found == (replace(connection("a"), failures=1, retry_at=NOW + 5, why="away"), sealed("con-a"))
    assert database.write(lambda tx: vault.claim(tx, "con-a", 1, "me", NOW + 4, NOW + 34)) is None
    assert database.write(lambda tx: vault.claim(tx, "con-a", 1, "me", NOW + 5, NOW + 35)) is not None


def test_a_connection_breaks_once_and_is_not_refreshed_then(database: Database) -> None:
    stored(database, connection("a"))
    assert database.write(lambda tx: vault.broke(tx, "con-a", 2, "over", NOW)) is False
    assert database.write(lambda tx: vault.broke(tx, "con-a", 1, "over", NOW)) is True
    assert database.write(lambda tx: vault.broke(tx, "con-a", 1, "over", NOW)) is False
    assert (held(database).state, held(database).why) == (State.NEEDS_RECONNECT, "over")
    assert database.write(lambda tx: vault.claim(tx, "con-a", 1, "me", NOW, LATER)) is None


def test_what_is_erased_is_gone_from_the_row_and_from_lists(database: Database) -> None:
    stored(database, connection("a"), connection("b"))
    assert database.write(lambda tx: vault.erase(tx, "con-a", 2, State.DISCONNECTED, "by user", NOW)) is False
    assert database.write(lambda tx: vault.erase(tx, "con-a", 1, State.DISCONNECTED, "by user", NOW)) is True
    found = database.read(lambda tx: vault.get(tx, "con-a"))
    assert found is not None and found[1] is None
    assert (found[0].state, found[0].version, found[0].refreshable) == (State.DISCONNECTED, 2, False)
    assert found[0].account == Account("", "")
    assert database.write(lambda tx: vault.erase(tx, "con-b", 1, State.NEEDS_RECONNECT, "off", NOW)) is True
    assert held(database, "con-b").account == connection("b").account, "whose it is again, when it is"
    assert [one.id for one in database.read(vault.every)] == ["con-b"]


def test_an_access_token_is_over_before_its_time_and_the_use_of_one_is_kept_now_and_then(
    database: Database,
) -> None:
    stored(database, connection("a"))
    assert database.write(lambda tx: vault.expire(tx, "con-a", 2, "off", NOW)) is False
    assert database.write(lambda tx: vault.expire(tx, "con-a", 1, "off", NOW + 1)) is True
    assert (held(database).expires_at, held(database).version) == (NOW + 1, 1)
    for now in (NOW, NOW + 59, NOW + 60):
        database.write(lambda tx, now=now: vault.used(tx, "con-a", now, now - 60))
        assert held(database).used_at == (NOW if now < NOW + 60 else NOW + 60)


def test_data_keys_under_another_key_are_found_page_by_page_and_sealed_anew(database: Database) -> None:
    stored(database, connection("a"), connection("b"), connection("c", "globex"))
    database.write(lambda tx: vault.erase(tx, "con-b", 1, State.DISCONNECTED, "x", NOW))
    assert database.read(lambda tx: vault.otherwise_sealed(tx, "k1", "", 9)) == []
    assert database.read(lambda tx: vault.otherwise_sealed(tx, "k2", "", 1)) == [("con-a", "acme")]
    assert database.read(lambda tx: vault.otherwise_sealed(tx, "k2", "con-a", 9)) == [("con-c", "globex")]
    anew = sealed("anew", "k2")
    assert database.write(lambda tx: vault.rewrap(tx, "con-a", 2, anew)) is False
    assert database.write(lambda tx: vault.rewrap(tx, "con-a", 1, anew)) is True
    found = database.read(lambda tx: vault.get(tx, "con-a"))
    assert found == (connection("a"), replace(sealed("con-a"), key_id="k2", key=anew.key))


def test_a_visit_is_taken_back_once_by_who_began_it_where_it_began(database: Database) -> None:
    one = visit("a")
    database.write(lambda tx: underway.begin(tx, "h", "b", one))
    right = ("h", "b", one.user_id, one.resource_id, DOOR, NOW)
    for position in range(5):
        wrong = tuple("wrong" if place == position else value for place, value in enumerate(right))
        assert database.write(lambda tx, wrong=wrong: underway.take(tx, *wrong)) is None
    assert database.write(lambda tx: underway.take(tx, *right[:5], LATER)) is None
    results = race(MANY, lambda _: database.write(lambda tx: underway.take(tx, *right)))
    assert results.count(one) == 1 and results.count(None) == MANY - 1
    database.write(lambda tx: underway.sweep(tx, LATER))
    database.write(lambda tx: underway.begin(tx, "h", "b", one))  # its place is free


def test_this_servers_secret_is_set_and_forgotten(database: Database) -> None:
    for value in (b"\0one\xff", b"two"):
        database.write(lambda tx, value=value: credentials.set_secret(tx, "github", value))
        assert database.read(lambda tx: credentials.secret(tx, "github")) == value
    assert database.read(credentials.resources) == ["github"]
    database.write(lambda tx: credentials.set_secret(tx, "github", None))
    assert database.read(lambda tx: credentials.secret(tx, "github")) is None
    assert database.read(credentials.resources) == []


def test_releases_are_found_while_their_token_is_good_and_ended_once(database: Database) -> None:
    first, endless, over = release("a"), release("b", expires_at=None), release("c", expires_at=NOW)
    for one in (endless, over, first):
        database.write(lambda tx, one=one: releases.add(tx, one))
    assert database.read(lambda tx: releases.still_good(tx, NOW, "", 9)) == [first, endless]
    assert database.read(lambda tx: releases.still_good(tx, NOW, first.id, 9)) == [endless]
    assert database.read(lambda tx: releases.still_good(tx, NOW, "", 1)) == [first]
    anew = replace(endless, txn="later", released_at=NOW + 1, targets=first.targets)
    database.write(lambda tx: releases.end(tx, endless.id, NOW, withdrawn=False))
    race(MANY, lambda _: database.write(lambda tx: releases.add(tx, anew)))
    assert database.read(lambda tx: releases.of(tx, "con-b", 9)) == [anew]
    database.write(lambda tx: releases.add(tx, endless))
    results = race(MANY, lambda _: database.write(lambda tx: releases.end(tx, first.id, NOW, withdrawn=True)))
    assert results.count(True) == 1 and results.count(False) == MANY - 1
    assert database.read(lambda tx: releases.of(tx, "con-a", 9)) == [
        replace(first, ended_at=NOW, withdrawn=True)
    ]
    assert database.write(lambda tx: releases.end_all(tx, "con-a", NOW, withdrawn=False)) == []
    assert database.write(lambda tx: releases.end_all(tx, "con-b", NOW, withdrawn=False, version=2)) == []
    assert database.write(lambda tx: releases.end_all(tx, "con-b", NOW, withdrawn=False)) == [
        replace(endless, ended_at=NOW)
    ]
    database.write(lambda tx: releases.sweep(tx, LATER, NOW - 1))
    assert database.read(lambda tx: [releases.of(tx, f"con-{name}", 9) for name in "abc"]) == [
        [],
        [replace(endless, ended_at=NOW)],
        [],
    ]
    database.write(lambda tx: releases.sweep(tx, LATER, NOW))
    assert database.read(lambda tx: releases.of(tx, "con-b", 9)) == []
    for one in (first, endless):
        database.write(lambda tx, one=one: releases.add(tx, one))
    database.write(lambda tx: releases.forget(tx, endless.id))
    assert database.read(lambda tx: releases.still_good(tx, NOW, "", 9)) == [first]


def test_a_farewell_is_tried_by_one_and_put_off_for_all(database: Database) -> None:
    later, first = farewell("a", next_at=LATER), farewell("b")
    for one in (later, first):
        database.write(lambda tx, one=one: farewells.add(tx, one))
    assert database.read(lambda tx: farewells.due(tx, NOW, 9)) == [first]
    assert database.read(lambda tx: farewells.due(tx, LATER, 1)) == [first]
    results = race(MANY, lambda _: database.write(lambda tx: farewells.attempt(tx, first, LATER + 1)))
    assert results.count(True) == 1 and results.count(False) == MANY - 1
    assert database.read(lambda tx: farewells.due(tx, LATER, 9)) == [later]
    assert database.write(lambda tx: farewells.drop(tx, later.id)) is True
    assert database.write(lambda tx: farewells.drop(tx, later.id)) is False
    again = replace(first, attempts=1, next_at=LATER + 1)
    assert database.read(lambda tx: farewells.due(tx, LATER + 1, 9)) == [again]


def test_farewells_come_in_turns_and_all_of_one_resource_are_put_off_at_once(database: Database) -> None:
    many = [farewell("b", next_at=NOW - 3), *(replace(farewell("b"), id=f"bye-{n}") for n in range(3))]
    other = farewell("a")
    later = replace(farewell("b", next_at=LATER), id="bye-later")
    for one in (*many, later, other):
        database.write(lambda tx, one=one: farewells.add(tx, one))
    found = database.read(lambda tx: farewells.due(tx, NOW, 3))
    assert found == [many[0], other, many[1]]
    database.write(lambda tx: farewells.put_off(tx, "resource-b", NOW, NOW + 5))
    assert database.read(lambda tx: farewells.due(tx, NOW + 4, 9)) == [other]
    again = database.read(lambda tx: farewells.due(tx, NOW + 5, 9))
    assert sorted(one.id for one in again) == ["bye-0", "bye-1", "bye-2", "bye-a", "bye-b"]
    assert {one.attempts for one in again} == {0}
    assert later in database.read(lambda tx: farewells.due(tx, LATER, 9))


def test_all_that_is_off_among_many_is_found_at_once(database: Database) -> None:
    aims = [Target(Kind.GRANT, name) for name in ("a", "b", "c")]
    for aim, tenant in zip(aims, ("acme", "globex", None), strict=True):
        database.write(
            lambda tx, aim=aim, tenant=tenant: denials.throw(tx, aim, tenant, NOW, "why", final=False),
            throwing=True,
        )
    asked = [*aims, Target(Kind.USER, "a")]
    assert database.read(lambda tx: denials.off(tx, asked, NOW)) == aims
    assert database.read(lambda tx: denials.off(tx, asked, NOW), "acme") == [aims[0], aims[2]]
    assert database.read(lambda tx: denials.off(tx, [], NOW)) == []
