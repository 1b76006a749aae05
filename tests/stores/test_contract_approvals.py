"""Approvals, votes and letters: the same on both engines, and one end for each, whoever comes at once."""

from dataclasses import replace

from broker.control.approvals import store as approvals
from broker.control.approvals.model import Approval, State
from broker.control.approvals.notices import store as letters
from broker.estate.model import ApprovalRule
from broker.identity.federation import store as federation
from broker.identity.users import store as users
from broker.identity.users.model import Membership, User
from broker.runtime.database import Database
from tests.lab import race
from tests.stores.approving import approval, digest, letter, vote
from tests.stores.samples import DOOR, LATER, NOW, link

MANY = 16


def stored(database: Database, *added: Approval) -> None:
    for one in added:
        assert database.write(lambda tx, one=one: approvals.add(tx, one))


def held(database: Database, which: str = "apr-a") -> Approval:
    found = database.read(lambda tx: approvals.get(tx, which))
    assert found is not None
    return found


def test_an_approval_comes_back_as_stored(database: Database) -> None:
    one, bare = (
        approval("a"),
        replace(
            approval("b", "globex"),
            user=False,
            grant_id=None,
            txn=None,
            rule=ApprovalRule(("second line", 'a "quoted" one'), 60, 1),
            question=replace(
                approval("b").question, actors=(), tool_says=None, schema_digest=None, intent=None
            ),
        ),
    )
    stored(database, one, bare)
    assert held(database) == one and held(database, "apr-b") == bare
    assert database.read(lambda tx: approvals.listed(tx, NOW, 10)) == [bare, one]
    assert database.read(lambda tx: approvals.listed(tx, NOW, 10, "user-shared")) == [bare, one]
    assert database.read(lambda tx: approvals.listed(tx, NOW, 1, only_open=True)) == [bare]
    assert database.read(lambda tx: approvals.listed(tx, LATER, 9, only_open=True)) == []
    assert database.read(lambda tx: approvals.listed(tx, NOW, 9), "acme") == [one]


def test_one_act_is_asked_about_once_at_a_time(database: Database) -> None:
    def add(number: int) -> bool:
        return database.write(lambda tx: approvals.add(tx, approval(f"n{number}", act="same")))

    assert sorted(race(MANY, add)) == [False] * (MANY - 1) + [True]
    waits = database.read(lambda tx: approvals.waiting(tx, digest("same"), DOOR, NOW))
    assert waits is not None and waits.digest == digest("same")
    assert database.read(lambda tx: approvals.waiting(tx, digest("same"), DOOR, LATER)) is None
    assert database.read(lambda tx: approvals.waiting(tx, digest("same"), "other", NOW)) is None
    other = replace(approval("door", act="same"), door="other")
    assert database.write(lambda tx: approvals.add(tx, other))
    assert database.write(lambda tx: approvals.add(tx, approval("g", "globex", act="same")))
    assert database.write(lambda tx: approvals.close(tx, waits.id, State.DENIED, "u", None, NOW))
    assert database.write(lambda tx: approvals.add(tx, approval("again", act="same")))


def test_what_waits_has_one_end_whoever_comes_at_once(database: Database) -> None:
    stored(database, approval("a"))

    def end(number: int) -> bool:
        def unit(tx: object) -> object:
            if number % 3 == 0:
                return approvals.approve(tx, "apr-a", f"u{number}", None, NOW)
            state = State.DENIED if number % 3 == 1 else State.WITHDRAWN
            return approvals.close(tx, "apr-a", state, f"u{number}", "why", NOW)

        return database.write(unit) is not None

    results = race(MANY, end)
    assert results[::3].count(True) <= 1, "one may approve it, before it is taken back"
    assert [*results[1::3], *results[2::3]].count(True) == 1
    ended = held(database)
    assert ended.state in (State.DENIED, State.WITHDRAWN) and ended.answered_at == NOW
    assert not database.write(lambda tx: approvals.request(tx, "apr-a", NOW))
    assert not database.write(lambda tx: approvals.hold(tx, "apr-a", NOW))


def test_an_approval_is_spent_by_one(database: Database) -> None:
    stored(database, approval("a"))
    assert database.write(lambda tx: approvals.spend(tx, "apr-a", "dec", NOW)) is None
    given = database.write(lambda tx: approvals.approve(tx, "apr-a", "bob", "fine", NOW))
    assert given is not None and (given.expires_at, given.requested_at) == (NOW + 900, NOW)
    assert database.read(lambda tx: approvals.good(tx, digest("a"), NOW + 899)) == [given]
    assert database.read(lambda tx: approvals.good(tx, digest("a"), NOW + 900)) == []
    assert database.write(lambda tx: approvals.spend(tx, "apr-a", "dec", NOW + 900)) is None

    def spend(number: int) -> bool:
        return database.write(lambda tx: approvals.spend(tx, "apr-a", f"dec{number}", NOW)) is not None

    results = race(MANY, spend)
    assert results.count(True) == 1
    spent = held(database)
    assert (spent.state, spent.decision_id) == (State.SPENT, f"dec{results.index(True)}")
    assert database.read(lambda tx: approvals.good(tx, digest("a"), NOW)) == []


def test_what_was_approved_is_used_or_taken_back_by_one(database: Database) -> None:
    stored(database, approval("a"))
    database.write(lambda tx: approvals.approve(tx, "apr-a", "bob", None, NOW))
    assert not database.write(lambda tx: approvals.hold(tx, "apr-a", NOW))
    assert database.write(lambda tx: approvals.hold(tx, "apr-a", NOW, given=True))

    def end(number: int) -> bool:
        def unit(tx: object) -> object:
            if number % 2 == 0:
                return approvals.spend(tx, "apr-a", f"dec{number}", NOW)
            return approvals.close(tx, "apr-a", State.DENIED, f"u{number}", None, NOW)

        return database.write(unit) is not None

    results = race(MANY, end)
    assert results.count(True) == 1
    spent = results.index(True) % 2 == 0
    assert held(database).state is (State.SPENT if spent else State.DENIED)
    assert not database.write(lambda tx: approvals.hold(tx, "apr-a", NOW, given=True))


def test_a_list_has_what_is_requested_before_what_is_only_offered(database: Database) -> None:
    wanted, mine = approval("wanted"), replace(approval("mine"), created_at=NOW + 9)
    others = [replace(approval(f"o{n}"), subject="other", created_at=NOW + 9) for n in range(3)]
    stored(database, wanted, mine, *others, replace(approval("own"), user=False))
    database.write(lambda tx: approvals.request(tx, "apr-wanted", NOW))
    found = database.read(lambda tx: approvals.before(tx, "user-shared", NOW, 9))
    assert [one.id for one in found] == ["apr-wanted", "apr-mine"]
    assert [one.id for one in database.read(lambda tx: approvals.before(tx, "who", NOW, 9))] == ["apr-wanted"]
    assert database.read(lambda tx: approvals.before(tx, "user-shared", LATER, 9)) == []
    database.write(lambda tx: approvals.close(tx, "apr-o1", State.DENIED, "bob", None, NOW))
    assert [one.id for one in database.read(lambda tx: approvals.answered(tx, "bob", 9))] == ["apr-o1"]
    assert database.read(lambda tx: approvals.denied(tx, digest("o1"))) == NOW
    assert database.read(lambda tx: approvals.denied(tx, digest("o2"))) is None


def test_arguments_are_forgotten_when_it_is_over_and_its_time_too(database: Database) -> None:
    stored(database, approval("a"), approval("b"), approval("c"))
    database.write(lambda tx: approvals.close(tx, "apr-a", State.DENIED, "bob", None, NOW))
    database.write(lambda tx: approvals.approve(tx, "apr-b", "bob", None, NOW))
    database.write(lambda tx: approvals.blank(tx, LATER - 1))
    assert held(database).question == approval("a").question
    database.write(lambda tx: approvals.blank(tx, LATER))
    assert held(database).question == replace(approval("a").question, arguments=None)
    assert held(database).digest == digest("a")
    for other in ("b", "c"):
        assert held(database, f"apr-{other}").question.arguments is not None


def test_an_offer_is_requested_once_and_found_by_its_key(database: Database) -> None:
    stored(database, approval("a"))
    results = race(MANY, lambda i: database.write(lambda tx: approvals.request(tx, "apr-a", NOW, f"k{i}")))
    assert results.count(True) == 1
    assert database.read(lambda tx: approvals.keyed(tx, f"k{results.index(True)}")) == "apr-a"
    assert database.read(lambda tx: approvals.keyed(tx, f"k{results.index(False)}")) is None
    assert held(database).state is State.REQUESTED and held(database).requested_at == NOW


def test_what_is_over_lapses_once_and_is_forgotten_later_with_its_votes(database: Database) -> None:
    stored(database, approval("a", expires_at=NOW + 5), approval("b"), approval("c", expires_at=NOW + 5))
    stored(database, approval("d", expires_at=NOW + 5), approval("e", expires_at=NOW + 5))
    for which in "abc":
        database.write(lambda tx, which=which: approvals.request(tx, f"apr-{which}", NOW))
    database.write(lambda tx: approvals.vote(tx, vote("a")))
    database.write(lambda tx: approvals.vote(tx, vote("b")))
    database.write(lambda tx: approvals.discard(tx, NOW + 5, digest("d")))
    assert database.read(lambda tx: approvals.get(tx, "apr-d")) is None
    database.write(lambda tx: approvals.discard(tx, NOW + 5))
    assert database.read(lambda tx: approvals.get(tx, "apr-e")) is None
    only = database.write(lambda tx: approvals.lapse(tx, NOW + 5, digest("c")))
    assert [one.id for one in only] == ["apr-c"]
    lapsed = race(MANY, lambda i: database.write(lambda tx: approvals.lapse(tx, NOW + 5)))
    assert [one.id for found in lapsed for one in found] == ["apr-a"]
    assert held(database).state is State.EXPIRED and held(database, "apr-b").state is State.REQUESTED
    database.write(lambda tx: approvals.sweep(tx, NOW + 4))
    assert held(database).state is State.EXPIRED
    database.write(lambda tx: approvals.sweep(tx, NOW + 5))
    assert database.read(lambda tx: approvals.get(tx, "apr-a")) is None
    assert database.read(lambda tx: approvals.votes(tx, "apr-a")) == []
    assert database.read(lambda tx: approvals.votes(tx, "apr-b")) == [vote("b")]


def test_a_person_votes_once(database: Database) -> None:
    stored(database, approval("a"))
    results = race(MANY, lambda i: database.write(lambda tx: approvals.vote(tx, vote("a", user="bob"))))
    assert results.count(True) == 1
    assert database.write(lambda tx: approvals.vote(tx, vote("a", user="zoe")))
    assert {one.user_id for one in database.read(lambda tx: approvals.votes(tx, "apr-a"))} == {"bob", "zoe"}


def test_what_a_client_asks_for_somebody_at_a_resource_is_counted(database: Database) -> None:
    elsewhere = replace(approval("c").question, resource_id="files")
    stored(database, approval("a"), replace(approval("b"), created_at=NOW + 5))
    stored(database, replace(approval("c"), question=elsewhere), replace(approval("d"), subject="other"))
    of = ("client-shared", "user-shared", "tickets")
    assert database.read(lambda tx: approvals.recent(tx, *of, NOW - 1)) == (2, NOW)
    assert database.read(lambda tx: approvals.recent(tx, *of, NOW)) == (1, NOW + 5)
    assert database.read(lambda tx: approvals.pending(tx, *of, NOW)) == (2, LATER)
    for other in (("x", *of[1:]), (of[0], "x", of[2]), (*of[:2], "x")):
        assert database.read(lambda tx, other=other: approvals.recent(tx, *other, 0)) == (0, None)
        assert database.read(lambda tx, other=other: approvals.pending(tx, *other, NOW)) == (0, None)
    database.write(lambda tx: approvals.close(tx, "apr-b", State.DENIED, None, None, NOW))
    assert database.read(lambda tx: approvals.pending(tx, *of, NOW)) == (1, LATER)


def test_letters_are_tried_by_one_and_dropped(database: Database) -> None:
    one, later = letter("a"), letter("b", next_at=NOW + 5)
    database.write(lambda tx: [letters.add(tx, each) for each in (one, later)])
    assert database.read(lambda tx: letters.due(tx, NOW, 10)) == [one]
    assert race(MANY, lambda i: database.write(lambda tx: letters.attempt(tx, one, NOW + 9))).count(True) == 1
    assert database.read(lambda tx: letters.due(tx, NOW + 5, 10)) == [later]
    database.write(lambda tx: letters.put_off(tx, "user-b", NOW + 5, NOW + 7))
    assert database.read(lambda tx: letters.due(tx, NOW + 6, 10)) == []
    assert database.read(lambda tx: letters.due(tx, NOW + 9, 10)) == [
        replace(later, next_at=NOW + 7),
        replace(one, next_at=NOW + 9, attempts=1),
    ]
    assert race(MANY, lambda i: database.write(lambda tx: letters.drop(tx, "ltr-a"))).count(True) == 1


def test_members_are_found_by_a_role_as_it_is_written(database: Database) -> None:
    odd = 'a%_~\\"ü'
    for name, held_roles in (("a", ("approver", odd)), ("b", ("approvers",)), ("c", ("member", "approver"))):
        user = User(name, name, None, (Membership("acme", held_roles),))
        database.write(lambda tx, user=user: users.put(tx, user))
    assert database.read(lambda tx: users.holding(tx, "acme", "approver", 9)) == ["a", "c"]
    assert database.read(lambda tx: users.holding(tx, "acme", "approver", 1)) == ["a"]
    assert database.read(lambda tx: users.holding(tx, "acme", odd, 9)) == ["a"]
    assert database.read(lambda tx: users.holding(tx, "acme", "appro%", 9)) == []
    assert database.read(lambda tx: users.holding(tx, "globex", "approver", 9)) == []
    for who, groups in (("a", ["it", "finance"]), ("c", "finance")):
        here = Membership("acme", ("approver",), {"groups": groups})
        database.write(lambda tx, who=who, here=here: users.place(tx, who, here))
    assert database.read(lambda tx: users.holding(tx, "acme", "group:finance", 9)) == ["a", "c"]
    assert database.read(lambda tx: users.holding(tx, "acme", "group:fin%", 9)) == []
    assert database.read(lambda tx: users.holding(tx, "acme", "finance", 9)) == []


def test_accounts_linked_to_the_same_somebody_are_found(database: Database) -> None:
    mine, own = link("a", None), link("b", "acme")
    same = replace(own, issuer=mine.issuer, subject=mine.subject)
    database.write(lambda tx: [federation.link(tx, one) for one in (mine, same)])
    both = sorted([mine.user_id, same.user_id])
    for tenant in ("acme", "globex", None):
        for one in both:
            found = database.read(lambda tx, one=one: federation.same(tx, one), tenant)
            assert sorted(found) == both, "behind whichever wall"
    assert database.read(lambda tx: federation.same(tx, "nobody")) == []
    assert not database.write(lambda tx: federation.unlink(tx, same.id, same.user_id), "globex")
    assert database.write(lambda tx: federation.unlink(tx, same.id, same.user_id))
    assert database.read(lambda tx: federation.same(tx, mine.user_id)) == [mine.user_id]
