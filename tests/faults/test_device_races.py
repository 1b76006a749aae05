"""RFC 8628 section 3.5: 64 polls at once, ten times, in one process on SQLite and in two on PostgreSQL."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults.crowd import MANY, Crowd, statuses
from tests.faults.test_races_many import FEW, counted, sound
from tests.faults.test_races_many import crowd as crowd

ROUNDS = 10
pytestmark = pytest.mark.timeout(240)


def errors(answers: list[object]) -> Counter[object]:
    return Counter(answer.body.get("error") for answer in answers)


def test_of_64_polls_of_one_answered_code_one_gets_tokens(crowd: Callable[..., Crowd]) -> None:
    many = crowd()
    for _ in range(ROUNDS):
        answers = many.race(("poll", (many.ask("connected"),), {}))
        assert statuses(answers) == {200: 1, 400: MANY - 1}
        assert errors(answers) == {None: 1, "invalid_grant": MANY - 1}
    facts = sound(many)
    for fact in ("device.approved", "device.redeemed", "token.issued", "grant.revoked"):
        assert list(counted(facts, fact, "grant_id").values()) == [1] * ROUNDS, fact
    assert set(counted(facts, "device.replayed", "grant_id").values()) == {MANY - 1}


def test_of_64_polls_of_one_waiting_code_one_is_in_time(crowd: Callable[..., Crowd]) -> None:
    many = crowd()
    for _ in range(FEW):
        begun = many.ask("device")
        code = str(begun.body["device_code"])
        answers = many.race(("poll", (code,), {}))
        assert errors(answers) == {"authorization_pending": 1, "slow_down": MANY - 1}
    assert counted(sound(many), "token.issued") == {}


def test_polls_and_the_answer_at_once_give_one_set_of_tokens_or_none_yet(crowd: Callable[..., Crowd]) -> None:
    many = crowd()
    for _ in range(FEW):
        begun = many.ask("device")
        code, typed = str(begun.body["device_code"]), str(begun.body["user_code"])
        answers = many.race(("answer", (typed,), {}), *[("poll", (code,), {})] * (MANY - 1))
        polls = [answer for answer in answers if answer.status != 200 or "access_token" in answer.body]
        told = errors(polls)
        assert told[None] <= 1 and set(told) <= {None, "authorization_pending", "slow_down", "invalid_grant"}
        if told[None] == 0:
            assert many.ask("poll", code).status == 200
    facts = sound(many)
    assert list(counted(facts, "device.redeemed", "grant_id").values()) == [1] * FEW
