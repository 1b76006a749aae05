"""Law 1, law 6: what many do at the same moment. Every race is held at the database until all have arrived."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from werkzeug.test import TestResponse

from broker.runtime.database import Transaction
from tests.lab import Lab, claims, race

MANY = 16


@contextmanager
def held(*labs: Lab, until: int = MANY) -> Iterator[threading.Barrier]:
    """The first `until` units of work wait for each other before any runs; later ones pass."""
    barrier, lock, arrived = threading.Barrier(until, timeout=30), threading.Lock(), [0]

    def holding(write: object) -> object:
        def later(work: object, tenant: str | None = None, **kind: bool) -> object:
            with lock:
                arrived[0] += 1
                waits = arrived[0] <= until
            if waits:
                barrier.wait()
            return write(work, tenant, **kind)

        return later

    for lab in labs:
        lab.broker.world.database.write = holding(lab.broker.world.database.write)
    try:
        yield barrier
        assert arrived[0] >= until, "they did not meet"
    finally:
        for lab in labs:
            del lab.broker.world.database.write


def answers(results: list[object]) -> list[TestResponse]:
    for result in results:
        assert isinstance(result, TestResponse), result
        assert result.status_code < 500, result.get_data(as_text=True)
    return results


def statuses(results: list[TestResponse]) -> Counter[int]:
    return Counter(result.status_code for result in results)


def live_rows(lab: Lab) -> int:
    return lab.broker.world.database.read(
        lambda tx: tx.connection.exec_driver_sql(
            "SELECT count(*) FROM refresh_token WHERE spent_at IS NULL"
        ).scalar_one()
    )


@pytest.mark.parametrize("client", ["desk-app", "web-app"])
def test_of_many_redemptions_of_one_code_exactly_one_wins(lab: Lab, client: str) -> None:
    code = lab.code(client)
    with held(lab):
        results = answers(race(MANY, lambda _: lab.redeem(code, client)))
    assert statuses(results) == {200: 1, 400: MANY - 1}
    assert {r.json["error"] for r in results if r.status_code == 400} == {"invalid_grant"}
    assert lab.rows("refresh_token") == 1 and lab.rows("access_grant") == 1
    assert len(lab.facts("token.issued")) == len(lab.facts("code.consumed")) == 1
    assert len(lab.facts("code.replayed")) == MANY - 1
    assert len(lab.facts("grant.revoked")) == 1 and lab.rows("denial") == 1
    (winner,) = (r.json for r in results if r.status_code == 200)
    assert not lab.active(winner["access_token"]), "the others proved everything: the code is known to two"


def test_of_many_redemptions_by_two_processes_exactly_one_wins(lab: Lab) -> None:
    code, replica = lab.code(), lab.replica()
    with held(lab, replica):
        results = answers(race(MANY, lambda i: (lab, replica)[i % 2].redeem(code)))
    assert statuses(results) == {200: 1, 400: MANY - 1}
    assert lab.rows("refresh_token") == 1 and len(lab.facts("token.issued")) == 1
    assert len(lab.facts("grant.revoked")) == 1
    replica.broker.close()


def test_thieves_with_a_wrong_verifier_never_keep_the_owner_from_the_code(lab: Lab) -> None:
    code = lab.code()
    with held(lab):
        results = answers(
            race(MANY, lambda i: lab.redeem(code) if i == 7 else lab.redeem(code, code_verifier="w" * 43))
        )
    assert results[7].status_code == 200 and statuses(results)[400] == MANY - 1
    assert lab.active(results[7].json["access_token"]) and lab.rows("denial") == 0


@pytest.mark.parametrize("client", ["desk-app", "web-app"])
def test_many_refreshes_at_once_share_one_successor(lab: Lab, client: str) -> None:
    first = lab.tokens(client)["refresh_token"]
    with held(lab):
        results = answers(race(MANY, lambda _: lab.refresh(first, client)))
    assert statuses(results) == {200: MANY}
    assert len({r.json["refresh_token"] for r in results}) == 1
    assert len({claims(r.json["access_token"])["jti"] for r in results}) == MANY
    assert live_rows(lab) == 1 and lab.rows("refresh_token") == 2
    assert (len(lab.facts("refresh.rotated")), len(lab.facts("refresh.repeated"))) == (1, MANY - 1)
    assert len(lab.facts("token.issued")) == MANY + 1 and lab.rows("denial") == 0
    assert lab.refresh(results[0].json["refresh_token"], client).status_code == 200


def test_many_refreshes_in_two_processes_share_one_successor(lab: Lab) -> None:
    first, replica = lab.tokens()["refresh_token"], lab.replica()
    with held(lab, replica):
        results = answers(race(MANY, lambda i: (lab, replica)[i % 2].refresh(first)))
    assert statuses(results) == {200: MANY}
    assert len({r.json["refresh_token"] for r in results}) == 1
    assert live_rows(lab) == 1 and lab.rows("refresh_token") == 2
    replica.broker.close()


def test_refreshes_that_overtake_each_other_do_not_end_their_family(lab: Lab) -> None:
    """Each request reads its own time and then waits its turn; the order of turns is not that of the times."""
    first = lab.tokens()["refresh_token"]
    start, lock, reads = lab.clock.time, threading.Lock(), [0]

    def now() -> float:
        with lock:
            reads[0] += 1
            return start + (reads[0] * 7 % 13) / 1000

    lab.clock.now = now
    with held(lab):
        results = answers(race(MANY, lambda _: lab.refresh(first)))
    assert statuses(results) == {200: MANY}
    assert len({r.json["refresh_token"] for r in results}) == 1
    assert live_rows(lab) == 1 and lab.rows("denial") == 0


def test_an_old_token_and_its_successor_at_once_leave_one_live_branch(lab: Lab) -> None:
    first = lab.tokens()["refresh_token"]
    second = lab.refresh(first).json["refresh_token"]
    with held(lab):
        results = answers(race(MANY, lambda i: lab.refresh((first, second)[i % 2])))
    assert all(r.status_code == 200 for r in results[1::2])
    assert len({r.json["refresh_token"] for r in results[1::2]}) == 1
    assert {r.json.get("refresh_token", second) for r in results[0::2]} == {second}
    assert live_rows(lab) == 1 and lab.rows("refresh_token") == 3 and lab.rows("denial") == 0


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_many_revocations_at_once_have_one_effect(lab: Lab, which: str) -> None:
    given = lab.tokens()
    with held(lab):
        results = answers(race(MANY, lambda _: lab.revoke(given[which])))
    assert statuses(results) == {200: MANY}
    assert len(lab.facts("grant.revoked")) == 1 and lab.rows("denial") == 1
    assert not lab.active(given["access_token"])


def test_many_revocations_in_two_processes_have_one_effect(lab: Lab) -> None:
    given, replica = lab.tokens(), lab.replica()
    with held(lab, replica):
        results = answers(race(MANY, lambda i: (lab, replica)[i % 2].revoke(given["refresh_token"])))
    assert statuses(results) == {200: MANY}
    assert len(lab.facts("grant.revoked")) == 1 and lab.rows("denial") == 1
    replica.broker.close()


def test_nothing_is_live_after_a_revocation_that_raced_with_refreshes(lab: Lab) -> None:
    given = lab.tokens()
    with held(lab):
        results = answers(
            race(
                MANY,
                lambda i: lab.revoke(given["access_token"]) if i % 2 else lab.refresh(given["refresh_token"]),
            )
        )
    assert statuses(results[1::2]) == {200: MANY // 2}
    minted = [r.json for r in results[0::2] if r.status_code == 200]
    assert not any(lab.active(answer["access_token"]) for answer in [given, *minted])
    assert lab.refresh(given["refresh_token"]).status_code == 400


def test_nothing_is_minted_once_a_switch_has_answered(lab: Lab) -> None:
    """Law 6: the order in the database decides; whoever comes after the throw gets nothing."""
    held_by = [lab.tokens()["refresh_token"] for _ in range(MANY - 1)]
    marks: list[int] = []

    def throw_or_refresh(i: int) -> object:
        if i == 0:
            lab.switch("user", "alice")
            marks.append(len(lab.facts("token.issued")))
            return None
        return lab.refresh(held_by[i - 1])

    with held(lab):
        results = race(MANY, throw_or_refresh)
    answers(results[1:])
    assert len(lab.facts("token.issued")) == marks[0]


def test_a_failing_unit_takes_no_other_with_it(lab: Lab) -> None:
    """Units that wait together are committed together, but each in a savepoint of its own."""
    codes_ = [lab.code() for _ in range(MANY - 4)]

    def break_(tx: Transaction) -> None:
        tx.connection.exec_driver_sql("DELETE FROM access_grant")
        tx.connection.exec_driver_sql("SELECT nonsense")

    def work(i: int) -> object:
        if i < len(codes_):
            return lab.redeem(codes_[i])
        return lab.broker.world.database.write(break_)

    with held(lab):
        results = race(MANY, work)
    assert statuses(answers(results[: len(codes_)])) == {200: len(codes_)}
    assert all(isinstance(result, Exception) for result in results[len(codes_) :])
    assert lab.rows("access_grant") == len(codes_)
