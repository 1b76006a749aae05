"""Tenants, users, sessions and clients: the same on both engines."""

from dataclasses import replace

import pytest

from broker.identity.clients import store as clients
from broker.identity.clients.model import Registered, Secret
from broker.identity.sessions import store as sessions
from broker.identity.tenants import store as tenants
from broker.identity.tenants.model import Tenant, Trust
from broker.identity.users import store as users
from broker.identity.users.model import Membership, User
from broker.runtime.database import Conflict, Database, Transaction
from tests.lab import race
from tests.stores.samples import LATER, NOW, client, session, user

# Tenants


def test_a_tenant_is_made_changed_and_deleted_and_its_id_never_given_again(database: Database) -> None:
    database.write(lambda tx: [tenants.put(tx, Tenant(name, name.title())) for name in ("globex", "acme")])
    database.write(lambda tx: tenants.put(tx, Tenant("acme", "Ácme", root_door=False)))
    assert database.read(tenants.every) == [Tenant("acme", "Ácme", False), Tenant("globex", "Globex")]
    assert database.write(lambda tx: tenants.delete(tx, "acme")) is True
    assert database.write(lambda tx: tenants.delete(tx, "acme")) is False
    assert database.write(lambda tx: tenants.delete(tx, "never")) is False
    assert database.read(tenants.every) == [Tenant("globex", "Globex")]
    with pytest.raises(Conflict):
        database.write(lambda tx: tenants.put(tx, Tenant("acme", "Again")))


@pytest.mark.parametrize("trust", [Trust(), Trust(()), Trust(("a.example",), ("b.a.example", "c.example"))])
def test_whom_a_tenant_trusts_comes_back_as_stored(database: Database, trust: Trust) -> None:
    for before in (Trust(("x.example",)), trust):
        database.write(lambda tx, before=before: tenants.put(tx, Tenant("acme", "Acme", True, before)))
    assert database.read(tenants.every) == [Tenant("acme", "Acme", True, trust)]


def test_a_tenant_is_deleted_once(database: Database) -> None:
    database.write(lambda tx: tenants.put(tx, Tenant("acme", "Acme")))
    results = race(16, lambda _: database.write(lambda tx: tenants.delete(tx, "acme")))
    assert sorted(results) == [False] * 15 + [True]


# Users


def test_a_user_comes_back_as_stored(database: Database) -> None:
    alice = user("alice", "acme", "globex")
    database.write(lambda tx: users.put(tx, alice))
    assert database.read(lambda tx: users.get(tx, alice.id)) == alice
    assert database.read(lambda tx: users.get(tx, "never")) is None
    changed = User(alice.id, "Alice", None, (Membership("acme"),))
    database.write(lambda tx: users.put(tx, changed))
    database.write(lambda tx: users.put(tx, User("aaron", "Aaron")))
    assert database.read(users.every) == [User("aaron", "Aaron"), changed]


def test_who_is_alone_with_a_user_reads_what_stays_true(database: Database) -> None:
    database.write(lambda tx: users.put(tx, User("alice", "")))

    def longer(tx: Transaction) -> None:
        users.alone(tx, "alice")
        found = users.get(tx, "alice")
        assert found is not None
        users.put(tx, replace(found, name=found.name + "x"))

    assert race(8, lambda _: database.write(longer)) == [None] * 8
    assert database.read(lambda tx: users.get(tx, "alice")) == User("alice", "x" * 8)
    database.write(lambda tx: users.alone(tx, "never"))


def test_a_password_is_kept_through_a_change_and_not_through_a_deletion(database: Database) -> None:
    alice = user("alice", "acme")
    assert database.write(lambda tx: users.set_password_hash(tx, alice.id, "h")) is False
    database.write(lambda tx: users.put(tx, alice))
    assert database.read(lambda tx: users.password_hash(tx, alice.id)) is None
    assert database.write(lambda tx: users.set_password_hash(tx, alice.id, "h")) is True
    database.write(lambda tx: users.put(tx, replace(alice, name="A")))
    assert database.read(lambda tx: users.password_hash(tx, alice.id)) == "h"
    assert database.write(lambda tx: users.remove(tx, alice.id)) is True
    assert database.read(lambda tx: users.password_hash(tx, alice.id)) is None


def test_a_password_is_replaced_only_where_it_is_what_it_was_and_once(database: Database) -> None:
    def replaced(was: str | None, now: str) -> bool:
        return database.write(lambda tx: users.replace_password_hash(tx, "user-alice", was, now))

    assert replaced(None, "h0") is False, "nobody's"
    database.write(lambda tx: users.put(tx, user("alice", "acme")))
    assert replaced("h0", "h1") is False
    assert replaced(None, "h0") is True
    assert (replaced(None, "h1"), replaced("h0", "h0")) == (False, True)
    assert sorted(race(16, lambda number: replaced("h0", f"n{number}"))) == [False] * 15 + [True]
    assert str(database.read(lambda tx: users.password_hash(tx, "user-alice"))).startswith("n")
    database.write(lambda tx: users.remove(tx, "user-alice"))
    assert replaced(None, "h2") is False


def test_a_removed_user_is_gone_once_and_the_id_never_given_again(database: Database) -> None:
    alice = user("alice", "acme")
    assert database.read(lambda tx: users.ever(tx, alice.id)) is False
    database.write(lambda tx: users.put(tx, alice))
    results = race(16, lambda _: database.write(lambda tx: users.remove(tx, alice.id)))
    assert sorted(results) == [False] * 15 + [True]
    assert database.read(lambda tx: users.get(tx, alice.id)) is None
    assert database.read(users.every) == []
    assert database.read(lambda tx: users.ever(tx, alice.id)) is True
    with pytest.raises(Conflict):
        database.write(lambda tx: users.put(tx, alice))


# Sessions


def test_a_session_lives_while_it_is_seen_and_not_too_old(database: Database) -> None:
    one = session("a")
    database.write(lambda tx: sessions.start(tx, "cookie", one, NOW))

    def current(idle: float = NOW - 10, begun: float = NOW - 100) -> object:
        return database.read(lambda tx: sessions.current(tx, "cookie", idle, begun))

    assert current() == (one, NOW)
    assert current(idle=NOW) is None and current(begun=NOW) is None
    assert database.read(lambda tx: sessions.current(tx, "other", 0, 0)) is None
    database.write(lambda tx: sessions.touch(tx, "cookie", NOW + 60))
    assert current(idle=NOW + 50) == (one, NOW + 60)
    with pytest.raises(Conflict):
        database.write(lambda tx: sessions.start(tx, "another cookie", one, NOW))


@pytest.mark.parametrize("by", ["cookie", "id"])
def test_a_session_ends_once(database: Database, by: str) -> None:
    database.write(lambda tx: sessions.start(tx, "cookie", session("a"), NOW))

    def end(_: int) -> object:
        if by == "cookie":
            return database.write(lambda tx: sessions.end(tx, "cookie", NOW + 1))
        return database.write(lambda tx: sessions.end_by_id(tx, "session-a", NOW + 1))

    results = race(16, end)
    assert sorted(results, key=str) == [("session-a", "user-a")] + [None] * 15
    assert database.read(lambda tx: sessions.current(tx, "cookie", 0, 0)) is None


def test_all_sessions_of_a_user_end_together_and_those_of_others_stay(database: Database) -> None:
    for number in range(3):
        mine = replace(session(f"a{number}"), user_id="user-a")
        database.write(lambda tx, number=number, mine=mine: sessions.start(tx, f"c{number}", mine, NOW))
    database.write(lambda tx: sessions.start(tx, "theirs", session("b"), NOW + 1))
    database.write(lambda tx: sessions.end(tx, "c0", NOW))
    assert sorted(database.write(lambda tx: sessions.end_all(tx, "user-a", NOW))) == [
        "session-a1",
        "session-a2",
    ]
    assert database.write(lambda tx: sessions.end_all(tx, "user-a", NOW)) == []
    assert database.read(sessions.every_open) == [(session("b"), NOW + 1)]


def test_a_person_sees_live_sessions_and_ends_one_or_the_others(database: Database) -> None:
    for number in range(4):
        mine = replace(session(f"a{number}", NOW - number), user_id="user-a")
        database.write(
            lambda tx, number=number, mine=mine: sessions.start(
                tx, f"c{number}", mine, NOW + number, source=f"192.0.2.{number}", agent="Browser"
            )
        )
    database.write(lambda tx: sessions.start(tx, "theirs", session("b"), NOW))

    def ids(idle: float = 0, begun: float = 0) -> list[str]:
        return [seen.session.id for seen in database.read(lambda tx: sessions.of(tx, "user-a", idle, begun))]

    [latest, *_] = database.read(lambda tx: sessions.of(tx, "user-a", 0, 0))
    assert (latest.seen_at, latest.source, latest.agent) == (NOW + 3, "192.0.2.3", "Browser")
    assert latest.session == replace(session("a3", NOW - 3), user_id="user-a")
    assert ids() == ["session-a3", "session-a2", "session-a1", "session-a0"]
    assert ids(idle=NOW + 1) == ["session-a3", "session-a2"]
    assert ids(begun=NOW - 2) == ["session-a1", "session-a0"]

    def end(which: str) -> bool:
        return database.write(lambda tx: sessions.end_of(tx, "user-a", which, NOW))

    assert end("session-b") is False and end("never") is False
    assert sorted(race(8, lambda _: end("session-a3"))) == [False] * 7 + [True]
    others = database.write(lambda tx: sessions.end_others(tx, "user-a", "session-a1", NOW))
    assert sorted(others) == ["session-a0", "session-a2"] and ids() == ["session-a1"]
    assert [found.id for found, _ in database.read(sessions.every_open)] == ["session-a1", "session-b"]


def test_a_session_lives_by_its_id_until_it_ends_and_those_of_one_provider_end_together(
    database: Database,
) -> None:
    by = {"a": "corp", "b": "corp", "c": "twin", "d": None}
    for mark, provider in by.items():
        one = replace(session(mark), user_id="user-a", provider=provider)
        database.write(lambda tx, mark=mark, one=one: sessions.start(tx, mark, one, NOW))
    database.write(lambda tx: sessions.start(tx, "e", replace(session("e"), provider="corp"), NOW))

    def live(idle: float = 0, begun: float = 0) -> list[str]:
        return [
            mark
            for mark in "abcde"
            if database.read(lambda tx, mark=mark: sessions.live(tx, f"session-{mark}", idle, begun))
        ]

    assert live() == list("abcde") and live(idle=NOW) == live(begun=NOW) == []
    database.write(lambda tx: sessions.end(tx, "b", NOW))
    ended = database.write(lambda tx: sessions.end_vouched(tx, "user-a", "corp", NOW))
    assert ended == ["session-a"] and live() == ["c", "d", "e"]
    assert database.write(lambda tx: sessions.end_vouched(tx, "user-a", "corp", NOW)) == []
    assert database.read(lambda tx: sessions.live(tx, "never", 0, 0)) is False


def test_a_sign_in_is_over_when_none_of_its_sessions_goes_on(database: Database) -> None:
    first, second, other = (session(mark) for mark in ("a", "b", "c"))
    for cookie, one in (("a", first), ("b", replace(second, sid=first.sid)), ("c", other)):
        database.write(lambda tx, cookie=cookie, one=one: sessions.start(tx, cookie, one, NOW))

    def over(which: str) -> str | None:
        return database.read(lambda tx: sessions.over(tx, which))

    def signed_out(sid: str) -> bool:
        return database.read(lambda tx: sessions.signed_out(tx, sid))

    def goes_on(sid: str) -> bool:
        return database.write(lambda tx: sessions.hold(tx, sid))

    assert over(first.id) is None and goes_on(first.sid)
    database.write(lambda tx: sessions.end(tx, "a", NOW))
    assert goes_on(first.sid)
    assert over(first.id) is None, "another session goes on with it"
    assert not signed_out(first.sid)
    database.write(lambda tx: sessions.end(tx, "b", NOW))
    assert over(first.id) == over(second.id) == first.sid
    assert signed_out(first.sid) and not goes_on(first.sid) and not goes_on("never")
    assert over(other.id) is None and over("never") is None
    assert not signed_out(other.sid) and not signed_out("never")


def test_open_sessions_are_listed_by_id_and_old_ones_swept(database: Database) -> None:
    for mark, begun in (("b", NOW), ("a", NOW + 1), ("c", NOW - 1)):
        database.write(
            lambda tx, mark=mark, begun=begun: sessions.start(tx, mark, session(mark, begun), begun)
        )
    assert [found.id for found, _ in database.read(sessions.every_open)] == [
        "session-a",
        "session-b",
        "session-c",
    ]
    database.write(lambda tx: sessions.sweep(tx, NOW))
    assert [found.id for found, _ in database.read(sessions.every_open)] == ["session-a"]


# Clients


def test_a_client_comes_back_as_stored(database: Database) -> None:
    mine = client("a", unused_until=LATER)
    whole = replace(client("b", None), scopes=None, resources=None, registered=Registered.ADMIN)
    database.write(lambda tx: [clients.put(tx, one) for one in (whole, mine)])
    assert database.read(lambda tx: clients.get(tx, mine.client_id)) == mine
    assert database.read(clients.every) == [mine, whole]
    assert database.read(lambda tx: clients.get(tx, "never")) is None
    changed = replace(mine, name="New", redirect_uris=(), scopes=None, method="none")
    database.write(lambda tx: clients.put(tx, changed))
    assert database.read(lambda tx: clients.get(tx, mine.client_id)) == changed


def test_of_sixteen_that_register_one_id_one_is_first(database: Database) -> None:
    """Where units wait for each other, the next ones change what the first has made; nobody makes a second row."""
    results = race(16, lambda _: database.write(lambda tx: clients.put(tx, client("a"))))
    assert None in results
    assert all(result is None or isinstance(result, Conflict) for result in results)
    assert database.read(clients.every) == [client("a")]


def test_a_removed_client_is_gone_once_with_all_it_had(database: Database) -> None:
    mine = client("a")

    def make(tx: object) -> None:
        clients.put(tx, mine)
        clients.set_secrets(tx, mine.client_id, "acme", [Secret("h", None)])
        clients.set_origins(tx, mine, ["https://a.example"])

    database.write(make)
    results = race(16, lambda _: database.write(lambda tx: clients.remove(tx, mine.client_id)))
    assert sorted(results) == [False] * 15 + [True]
    assert database.read(lambda tx: clients.get(tx, mine.client_id)) is None
    assert database.read(lambda tx: clients.secrets(tx, mine.client_id, NOW)) == []
    assert database.read(lambda tx: clients.origin_known(tx, "https://a.example")) is False
    assert database.read(lambda tx: clients.ever(tx, mine.client_id)) is True
    assert database.read(lambda tx: clients.ever(tx, "never")) is False
    with pytest.raises(Conflict):
        database.write(make)


def test_a_registration_that_is_never_used_expires_with_all_it_had(database: Database) -> None:
    for mark in ("a", "b", "c"):
        one = client(mark, unused_until=LATER)
        database.write(lambda tx, one=one: clients.put(tx, one))
        database.write(lambda tx, one=one: clients.set_origins(tx, one, [f"https://{one.client_id}"]))
        database.write(
            lambda tx, one=one: clients.set_secrets(tx, one.client_id, "acme", [Secret("h", None)])
        )
    assert database.write(lambda tx: clients.mark_used(tx, "client-b", LATER + 1)) is True
    assert database.write(lambda tx: clients.expire(tx, LATER - 1)) == []
    gone = database.write(lambda tx: clients.expire(tx, LATER))
    assert sorted(gone) == [("client-a", "acme"), ("client-c", "acme")]
    assert database.write(lambda tx: clients.mark_used(tx, "client-a", LATER + 1)) is False
    assert database.read(lambda tx: clients.ever(tx, "client-a")) is False
    assert database.write(lambda tx: clients.expire(tx, LATER)) == []
    assert [found.client_id for found in database.read(clients.every)] == ["client-b"]
    for mark, there in (("a", False), ("b", True)):
        found = database.read(lambda tx, mark=mark: clients.secrets(tx, f"client-{mark}", NOW))
        assert found == ([Secret("h", None)] if there else [])
        assert (
            database.read(lambda tx, mark=mark: clients.origin_known(tx, f"https://client-{mark}")) is there
        )


def test_a_client_that_was_used_expires_when_it_is_not_used_any_more(database: Database) -> None:
    mine = replace(client("a", unused_until=NOW + 1), fingerprint="f" * 64)
    database.write(lambda tx: clients.put(tx, mine))
    database.write(lambda tx: clients.mark_used(tx, mine.client_id, LATER))
    kept = database.read(lambda tx: clients.get(tx, mine.client_id))
    assert kept == replace(mine, unused_until=LATER, fingerprint=None)
    assert database.write(lambda tx: clients.expire(tx, LATER - 1)) == []
    assert database.write(lambda tx: clients.expire(tx, LATER)) == [(mine.client_id, "acme")]


def test_of_sixteen_that_expire_the_same_one_finds_it(database: Database) -> None:
    database.write(lambda tx: clients.put(tx, client("a", unused_until=LATER)))
    results = race(16, lambda _: database.write(lambda tx: clients.expire(tx, LATER)))
    assert sorted(results) == [[]] * 15 + [[("client-a", "acme")]]


def test_a_registration_gives_way_to_the_same_one_once_it_is_old_and_was_never_used(
    database: Database,
) -> None:
    same = "f" * 64
    made = {
        "old": replace(client("old", unused_until=LATER), fingerprint=same),
        "used": replace(client("used", unused_until=LATER), fingerprint=same),
        "other": replace(client("other", unused_until=LATER), fingerprint="0" * 64),
        "young": replace(client("young", unused_until=LATER), fingerprint=same, created_at=NOW + 1),
        "unmarked": client("unmarked", unused_until=LATER),
    }
    for one in made.values():
        database.write(lambda tx, one=one: clients.put(tx, one))
        database.write(lambda tx, one=one: clients.set_origins(tx, one, [f"https://{one.client_id}"]))
    database.write(lambda tx: clients.mark_used(tx, "client-used", LATER))
    assert database.write(lambda tx: clients.supersede(tx, same, NOW - 1)) == []
    results = race(16, lambda _: database.write(lambda tx: clients.supersede(tx, same, NOW)))
    assert sorted(results) == [[]] * 15 + [[("client-old", "acme")]]
    left = [found.client_id for found in database.read(clients.every)]
    assert left == sorted(one.client_id for mark, one in made.items() if mark != "old")
    assert not database.read(lambda tx: clients.origin_known(tx, "https://client-old"))
    assert database.read(lambda tx: clients.origin_known(tx, "https://client-young"))


def test_a_client_is_managed_by_who_has_its_token_while_it_is_there(database: Database) -> None:
    mine, other = client("a"), client("b")
    for one, held in ((mine, "1" * 64), (other, "2" * 64)):
        database.write(lambda tx, one=one: clients.put(tx, one))
        database.write(lambda tx, one=one, held=held: clients.hand_over(tx, one.client_id, held))

    def managed(client_id: str, held: str, tenant: str | None = None) -> object:
        return database.read(lambda tx: clients.managed(tx, client_id, held), tenant)

    assert managed(mine.client_id, "1" * 64) == managed(mine.client_id, "1" * 64, "acme") == mine
    for client_id, held in ((mine.client_id, "2" * 64), (other.client_id, "1" * 64), ("never", "1" * 64)):
        assert managed(client_id, held) is None
    assert managed(mine.client_id, "1" * 64, "globex") is None
    database.write(lambda tx: clients.put(tx, replace(mine, name="New")))
    assert managed(mine.client_id, "1" * 64) == replace(mine, name="New")
    database.write(lambda tx: clients.remove(tx, mine.client_id))
    assert managed(mine.client_id, "1" * 64) is None


def test_a_dropped_client_leaves_nothing(database: Database) -> None:
    mine = client("a")
    database.write(lambda tx: clients.put(tx, mine))
    database.write(lambda tx: clients.set_secrets(tx, mine.client_id, "acme", [Secret("h", None)]))
    database.write(lambda tx: clients.set_origins(tx, mine, ["https://a.example"]))
    results = race(16, lambda _: database.write(lambda tx: clients.drop(tx, mine.client_id)))
    assert sorted(results) == [False] * 15 + [True]
    assert database.read(lambda tx: clients.ever(tx, mine.client_id)) is False
    assert database.read(lambda tx: clients.secrets(tx, mine.client_id, NOW)) == []
    assert database.read(lambda tx: clients.origin_known(tx, "https://a.example")) is False


def test_a_client_that_an_administrator_takes_over_does_not_expire(database: Database) -> None:
    mine = client("a", unused_until=LATER)
    ours = replace(mine, registered=Registered.ADMIN, unused_until=None)
    for one in (mine, ours):
        database.write(lambda tx, one=one: clients.put(tx, one))
    assert database.write(lambda tx: clients.expire(tx, LATER + 1)) == []
    assert database.read(lambda tx: clients.get(tx, mine.client_id)) == replace(ours, fingerprint=None)


def test_secrets_are_replaced_together_end_by_themselves_and_move_with_their_client(
    database: Database,
) -> None:
    mine = client("a")
    kept = [Secret("h1", None), Secret("h2", LATER)]
    database.write(lambda tx: clients.put(tx, mine))
    database.write(lambda tx: clients.set_secrets(tx, mine.client_id, "acme", [Secret("h0", None)]))
    database.write(lambda tx: clients.set_secrets(tx, mine.client_id, "acme", kept))

    def secrets(now: float, tenant: str | None = None) -> list[str]:
        return sorted(
            found.hash for found in database.read(lambda tx: clients.secrets(tx, mine.client_id, now), tenant)
        )

    assert secrets(NOW) == ["h1", "h2"] and secrets(LATER) == ["h1"]
    assert secrets(NOW, "acme") == ["h1", "h2"] and secrets(NOW, "globex") == []
    database.write(lambda tx: clients.put(tx, replace(mine, tenant="globex")))
    assert secrets(NOW, "acme") == [] and secrets(NOW, "globex") == ["h1", "h2"]


def test_origins_are_replaced_together(database: Database) -> None:
    mine = client("a")
    database.write(lambda tx: clients.set_origins(tx, mine, ["https://a.example", "https://b.example"]))
    database.write(lambda tx: clients.set_origins(tx, mine, ["https://b.example", "https://c.example"]))
    known = [
        database.read(lambda tx, name=name: clients.origin_known(tx, f"https://{name}.example"))
        for name in "abc"
    ]
    assert known == [False, True, True]
