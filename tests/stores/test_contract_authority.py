"""Requests, grants, codes, refresh tokens and denials: the same on both engines, and one winner of each."""

from dataclasses import replace

import pytest

from broker.authorization import store as authorization
from broker.denials import store as denials
from broker.denials.model import Denial, Kind, Target
from broker.runtime.database import Conflict, Database, Transaction
from broker.tokens import store as tokens
from tests.lab import race
from tests.stores.samples import CHALLENGE, DOOR, LATER, NOW, code, grant, refresh, request

# Authorization requests


def begin(database: Database, mark: str = "a", expires_at: float = LATER) -> None:
    database.write(lambda tx: authorization.begin(tx, f"hash-{mark}", "browser", request(mark), expires_at))


def test_a_request_comes_back_to_the_browser_that_began_it_while_it_lasts(database: Database) -> None:
    begin(database)

    def pending(hashed: str = "hash-a", browser: str = "browser", now: float = NOW) -> object:
        return database.read(lambda tx: authorization.pending(tx, "request-a", hashed, browser, now))

    assert pending() == request("a")
    assert pending(hashed="hash-b") is None
    assert pending(browser="another") is None
    assert pending(now=LATER) is None
    with pytest.raises(Conflict):
        begin(database)


def test_a_request_is_decided_once(database: Database) -> None:
    begin(database)

    def claim(_: int = 0, browser: str = "browser") -> object:
        return database.write(lambda tx: authorization.claim(tx, "request-a", "hash-a", browser, NOW))

    assert claim(browser="another") is None
    results = race(16, claim)
    assert results.count(request("a")) == 1 and results.count(None) == 15
    assert database.read(lambda tx: authorization.pending(tx, "r", "hash-a", "browser", NOW)) is None


def test_a_request_follows_its_browser_until_it_is_decided(database: Database) -> None:
    for mark in ("a", "b"):
        begin(database, mark)
    database.write(lambda tx: authorization.claim(tx, "request-b", "hash-b", "browser", NOW))
    database.write(lambda tx: authorization.rebind(tx, "browser", "new"))
    assert database.read(lambda tx: authorization.pending(tx, "request-a", "hash-a", "new", NOW)) == request(
        "a"
    )
    assert database.read(lambda tx: authorization.pending(tx, "r", "hash-a", "browser", NOW)) is None
    assert database.read(lambda tx: authorization.pending(tx, "r", "hash-b", "new", NOW)) is None


# Grants


def test_a_grant_comes_back_as_stored_and_grows(database: Database) -> None:
    mine = grant("a")
    database.write(lambda tx: authorization.add_grant(tx, mine))
    assert database.read(lambda tx: authorization.grant(tx, "grant-a")) == mine
    assert database.read(lambda tx: authorization.grant(tx, "never")) is None
    wider = {"w->x": ("x:read", "x:write"), "w->y": ()}
    assert database.write(lambda tx: authorization.widen(tx, "grant-a", wider)) is True
    assert database.write(lambda tx: authorization.widen(tx, "never", wider)) is False
    assert database.read(lambda tx: authorization.grant(tx, "grant-a")) == replace(mine, downstream=wider)
    with pytest.raises(Conflict):
        database.write(lambda tx: authorization.add_grant(tx, mine))


def test_grants_are_found_by_what_they_stand_for(database: Database) -> None:
    older = grant("a", grant_id="g1", created_at=NOW - 2)
    newer = grant("a", grant_id="g2", created_at=NOW - 1)
    ended = grant("a", grant_id="g3", expires_at=NOW)
    other = grant("b", grant_id="g0")
    for one in (older, newer, ended, other):
        database.write(lambda tx, one=one: authorization.add_grant(tx, one))
    found = database.read(lambda tx: authorization.standing(tx, "user-a", "client-a", "resource-a", NOW))
    assert found == [newer, older]
    assert database.read(lambda tx: authorization.standing(tx, "user-a", "client-b", "resource-a", NOW)) == []
    assert sorted(database.read(lambda tx: authorization.of_consent(tx, "consent-a"))) == ["g1", "g2", "g3"]
    assert database.read(lambda tx: authorization.grants(tx, "user-a", NOW)) == [older, newer]
    assert database.read(lambda tx: authorization.grants(tx, None, NOW)) == [other, older, newer]


def test_grants_are_found_by_the_session_in_which_they_were_given(database: Database) -> None:
    mine = [replace(grant("a", grant_id=name), sid="sid-1") for name in ("g2", "g1")]
    for one in (*mine, replace(grant("a", grant_id="g3"), sid="sid-2"), grant("a", grant_id="g4")):
        database.write(lambda tx, one=one: authorization.add_grant(tx, one))
    found = database.read(lambda tx: authorization.of_session(tx, "user-a", "sid-1"))
    assert found == [mine[1], mine[0]]
    assert database.read(lambda tx: authorization.of_session(tx, "user-b", "sid-1")) == []


def test_the_last_use_of_a_grant_is_kept_to_within_a_minute(database: Database) -> None:
    database.write(lambda tx: authorization.add_grant(tx, grant("a")))

    def used(now: float, which: str = "grant-a") -> bool:
        return database.write(lambda tx: authorization.used(tx, which, now, now - 60))

    def last() -> object:
        found = database.read(lambda tx: authorization.grant(tx, "grant-a"))
        assert found is not None
        return found.last_used_at

    assert last() is None and used(NOW, "never") is False
    assert sorted(race(8, lambda _: used(NOW))) == [False] * 7 + [True] and last() == NOW
    assert used(NOW + 59) is False and last() == NOW
    assert used(NOW + 60) is True and last() == NOW + 60
    assert used(NOW) is False and last() == NOW + 60


# Codes


def fitting(mark: str = "a", **changes: object) -> dict[str, object]:
    mine = code(mark)
    return {
        "door": DOOR,
        "client_id": mine.client_id,
        "challenge": CHALLENGE,
        "redirect_uri": mine.redirect_uri,
        "resource_id": mine.resource_id,
        "jkt": None,
        "now": NOW,
        **changes,
    }


def consume(database: Database, **changes: object) -> object:
    return database.write(lambda tx: authorization.consume(tx, "hash-a", **fitting(**changes)))


def test_a_code_is_redeemed_once(database: Database) -> None:
    database.write(lambda tx: authorization.add_code(tx, "hash-a", code("a")))
    results = race(16, lambda _: consume(database))
    spent = replace(code("a"), spent_at=NOW)
    assert results.count(spent) == 1 and results.count(None) == 15
    assert database.read(lambda tx: authorization.explain(tx, "hash-a")) == spent
    with pytest.raises(Conflict):
        database.write(lambda tx: authorization.add_code(tx, "hash-a", code("a")))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("door", "https://as.example"),
        ("client_id", "client-b"),
        ("challenge", "d" * 43),
        ("redirect_uri", "https://evil.example/cb"),
        ("resource_id", "other"),
        ("now", LATER),
    ],
)
def test_a_code_that_does_not_fit_is_not_burnt(database: Database, name: str, value: object) -> None:
    database.write(lambda tx: authorization.add_code(tx, "hash-a", code("a")))
    assert consume(database, **{name: value}) is None
    assert database.read(lambda tx: authorization.explain(tx, "hash-a")) == code("a")
    assert consume(database, redirect_uri=None, resource_id=None) == replace(code("a"), spent_at=NOW)


def test_a_code_for_a_key_is_spent_by_that_key_alone(database: Database) -> None:
    bound = code("a", dpop_jkt="k" * 43)
    database.write(lambda tx: authorization.add_code(tx, "hash-a", bound))
    assert consume(database) is None and consume(database, jkt="o" * 43) is None
    assert database.read(lambda tx: authorization.explain(tx, "hash-a")) == bound
    assert consume(database, jkt="k" * 43) == replace(bound, spent_at=NOW)


def test_a_code_for_no_key_is_spent_with_any(database: Database) -> None:
    database.write(lambda tx: authorization.add_code(tx, "hash-a", code("a")))
    assert consume(database, jkt="k" * 43) == replace(code("a"), spent_at=NOW)


def test_a_code_whose_unit_fails_is_not_burnt(database: Database) -> None:
    database.write(lambda tx: authorization.add_code(tx, "hash-a", code("a")))

    def fails(tx: Transaction) -> None:
        assert authorization.consume(tx, "hash-a", **fitting()) is not None
        raise KeyError("after all")

    with pytest.raises(KeyError):
        database.write(fails)
    assert database.read(lambda tx: authorization.explain(tx, "never")) is None
    assert consume(database) == replace(code("a"), spent_at=NOW)


def test_the_sweep_drops_what_can_do_nothing_any_more(database: Database) -> None:
    for mark, expires_at in (("a", NOW), ("b", NOW + 1)):
        begin(database, mark, expires_at)
        late = code(mark, expires_at=expires_at - 500)
        database.write(lambda tx, mark=mark, late=late: authorization.add_code(tx, f"code-{mark}", late))
        old = grant(mark, expires_at=expires_at - 500)
        database.write(lambda tx, old=old: authorization.add_grant(tx, old))
    database.write(lambda tx: authorization.sweep(tx, NOW, NOW - 500))

    def left(mark: str) -> list[bool]:
        return database.read(
            lambda tx: [
                authorization.pending(tx, "r", f"hash-{mark}", "browser", NOW - 1) is not None,
                authorization.explain(tx, f"code-{mark}") is not None,
                authorization.grant(tx, f"grant-{mark}") is not None,
            ]
        )

    assert (left("a"), left("b")) == ([False] * 3, [True] * 3)


def test_the_sweep_drops_a_repeated_grant_that_was_never_used(database: Database) -> None:
    given = {
        "base": replace(grant("base"), consent_id="grant-base", last_used_at=None),
        "unused": replace(grant("unused"), consent_id="grant-base", last_used_at=None),
        "used": replace(grant("used"), consent_id="grant-base", last_used_at=NOW),
        "young": replace(grant("young"), consent_id="grant-base", last_used_at=None, created_at=NOW + 1),
    }
    database.write(lambda tx: [authorization.add_grant(tx, one) for one in given.values()])
    database.write(lambda tx: authorization.sweep(tx, NOW, NOW))
    kept = [
        mark
        for mark, one in given.items()
        if database.read(lambda tx, one=one: authorization.grant(tx, one.id))
    ]
    assert kept == ["base", "used", "young"]


# Refresh tokens


def test_a_refresh_token_is_spent_once(database: Database) -> None:
    database.write(lambda tx: tokens.add(tx, "hash-a", refresh("a")))

    def spend(_: int = 0, door: str = DOOR, client: str = "client-a", now: float = NOW) -> object:
        return database.write(lambda tx: tokens.spend(tx, "hash-a", door, client, now))

    assert spend(door="https://as.example") is None
    assert spend(client="client-b") is None
    assert spend(now=LATER) is None
    assert database.read(lambda tx: tokens.find(tx, "hash-a")) == refresh("a")
    results = race(16, spend)
    spent = replace(refresh("a"), spent_at=NOW)
    assert results.count(spent) == 1 and results.count(None) == 15
    assert database.read(lambda tx: tokens.find(tx, "hash-a")) == spent
    assert database.read(lambda tx: tokens.find(tx, "never")) is None


def test_a_refresh_token_has_one_successor(database: Database) -> None:
    database.write(lambda tx: tokens.add(tx, "hash-0", refresh("0")))

    def succeed(number: int) -> None:
        next_ = refresh(f"n{number}", predecessor="refresh-0")
        database.write(lambda tx: tokens.add(tx, f"hash-n{number}", next_))

    assert database.read(lambda tx: tokens.successor(tx, "refresh-0")) is None
    results = race(16, succeed)
    assert results.count(None) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 15
    won = results.index(None)
    assert database.read(lambda tx: tokens.successor(tx, "refresh-0")) == (
        refresh(f"n{won}", predecessor="refresh-0"),
        f"hash-n{won}",
    )


def test_refresh_tokens_without_predecessor_do_not_meet(database: Database) -> None:
    for mark in ("a", "b"):
        database.write(lambda tx, mark=mark: tokens.add(tx, f"hash-{mark}", refresh(mark)))
    with pytest.raises(Conflict):
        database.write(lambda tx: tokens.add(tx, "hash-a", refresh("c")))


def test_a_refresh_token_that_is_kept_lives_on_and_is_swept_when_old(database: Database) -> None:
    for mark in ("a", "b"):
        database.write(lambda tx, mark=mark: tokens.add(tx, f"hash-{mark}", refresh(mark, expires_at=NOW)))
    database.write(lambda tx: tokens.keep(tx, "refresh-b", NOW + 50))
    database.write(lambda tx: tokens.sweep(tx, NOW))
    assert database.read(lambda tx: tokens.find(tx, "hash-a")) is None
    assert database.read(lambda tx: tokens.find(tx, "hash-b")) == refresh("b", expires_at=NOW + 50)


def test_every_refresh_token_is_listed_spent_ones_too(database: Database) -> None:
    for mark in ("b", "a"):
        database.write(lambda tx, mark=mark: tokens.add(tx, f"hash-{mark}", refresh(mark)))
    database.write(lambda tx: tokens.spend(tx, "hash-b", DOOR, "client-b", NOW))
    assert database.read(tokens.every) == [refresh("a"), replace(refresh("b"), spent_at=NOW)]


# Denials


def test_one_thing_is_put_off_once(database: Database) -> None:
    target = Target(Kind.CLIENT, "c")

    def throw(number: int) -> bool:
        return database.write(
            lambda tx: denials.throw(tx, target, "acme", NOW, f"why {number}", final=False), throwing=True
        )

    assert sorted(race(16, throw)) == [False] * 15 + [True]
    [found] = database.read(lambda tx: denials.in_force(tx, NOW))
    assert found == Denial(found.number, Kind.CLIENT, "c", "acme", NOW, None, False, found.why)
    assert found.why.startswith("why ")


def test_what_was_put_off_for_good_outlives_the_switch_over_it(database: Database) -> None:
    target = Target(Kind.USER, "u")
    for final in (True, False):
        assert database.write(
            lambda tx, final=final: denials.throw(tx, target, None, NOW, "why", final=final), throwing=True
        )

    def standing() -> tuple[bool, bool]:
        """Whether a switch stands, and whether it ended for good."""
        return database.read(
            lambda tx: (
                denials.stands(tx, target, NOW, final=False),
                denials.stands(tx, target, NOW, final=True),
            )
        )

    assert standing() == (True, True)
    results = race(16, lambda _: database.write(lambda tx: denials.lift(tx, target, NOW), throwing=True))
    assert sorted(results) == [False] * 15 + [True]
    assert standing() == (False, True)
    assert not database.read(lambda tx: denials.stands(tx, Target(Kind.USER, "other"), NOW, final=True))
    assert database.read(lambda tx: denials.off(tx, [target], NOW)) == [target]
    assert [found.final for found in database.read(lambda tx: denials.in_force(tx, NOW))] == [True]


def test_what_is_off_is_found_by_kind_and_id_in_the_order_of_the_question(database: Database) -> None:
    client, user, grant_ = Target(Kind.CLIENT, "x"), Target(Kind.USER, "x"), Target(Kind.GRANT, "g")
    for target, ends_at in ((client, None), (grant_, LATER)):
        database.write(
            lambda tx, target=target, ends_at=ends_at: denials.throw(
                tx, target, "acme", NOW, "why", final=True, ends_at=ends_at
            ),
            throwing=True,
        )

    def off(*targets: Target, now: float = NOW) -> list[Target]:
        return database.read(lambda tx: denials.off(tx, targets, now))

    assert off(user) == off() == []
    assert off(user, grant_, client) == [grant_, client] and off(client, grant_) == [client, grant_]
    assert off(grant_, now=LATER) == [] and off(grant_, client, now=LATER) == [client]
    many = [Target(Kind.GRANT, f"other-{number}") for number in range(2500)]
    assert off(*many, grant_, *many) == [grant_], "more than a statement takes parameters"
    database.write(lambda tx: denials.sweep(tx, LATER), throwing=True)
    assert [found.id for found in database.read(lambda tx: denials.in_force(tx, NOW))] == ["x"]


def test_the_newest_throw_is_known_also_when_it_is_lifted(database: Database) -> None:
    def thrown(which: str) -> tuple[int, str] | None:
        target = Target(Kind.USER, which)
        database.write(lambda tx: denials.throw(tx, target, None, NOW, "why", final=False), throwing=True)
        return database.read(denials.newest)

    assert database.read(denials.newest) is None
    first, second = thrown("b"), thrown("a")
    assert first and second and (first[1], second[1]) == ("b", "a") and first[0] < second[0]
    database.write(lambda tx: denials.lift(tx, Target(Kind.USER, "a"), NOW), throwing=True)
    assert database.read(denials.newest) == second


def test_only_a_throwing_transaction_throws(database: Database) -> None:
    with pytest.raises(RuntimeError, match="throwing"):
        database.write(lambda tx: denials.throw(tx, Target(Kind.USER, "u"), None, NOW, "why", final=True))
    assert database.read(lambda tx: denials.in_force(tx, NOW)) == []
