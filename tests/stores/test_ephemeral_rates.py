"""Rates and places: the same in memory and in Redis, exact in a crowd, and bounded when Redis is lost."""

import random
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
import redis as client

from broker.runtime.ephemeral.memory import Memory
from broker.runtime.ephemeral.model import Bucket, Ephemeral
from broker.runtime.ephemeral.redis import REST_SECONDS, Redis
from tests import services
from tests.lab import START, race

SECRET = b"s" * 32
SLOW = Bucket("rate-user", "alice", 6.0, 10)  # ten a minute
FAST = Bucket("rate-resource", "tickets", 0.5, 120)


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid4().hex}:"


@pytest.fixture
def shared(redis_url: str, prefix: str) -> Iterator[Redis]:
    """Redis with time to answer: a busy machine is not a lost server."""
    store = Redis(redis_url, SECRET, prefix, timeout=20)
    yield store
    assert store.failures == 0
    store.close()


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Ephemeral:
    return Memory() if request.param == "memory" else request.getfixturevalue("shared")


def passes(store: Ephemeral, bucket: Bucket, now: float, tries: int = 200) -> int:
    return [store.take([bucket], now) for _ in range(tries)].count(None)


@pytest.mark.parametrize("per_minute", [1, 7, 10, 30, 60, 120, 1000])
def test_a_rate_lets_its_burst_pass_and_then_one_at_a_time(store: Ephemeral, per_minute: int) -> None:
    bucket = Bucket("b", "k", 60 / per_minute, per_minute)
    assert passes(store, bucket, START, per_minute + 3) == per_minute
    denied = store.take([bucket], START)
    assert denied is not None and denied.bucket == bucket
    assert denied.seconds == pytest.approx(60 / per_minute, abs=0.001)
    assert passes(store, bucket, START + 60 / per_minute - 0.01, 2) == 0
    assert passes(store, bucket, START + 60 / per_minute, 2) == 1
    assert passes(store, bucket, START + 200, per_minute + 3) == per_minute, "a rest fills it, and no more"


def test_all_of_several_are_taken_or_none(store: Ephemeral) -> None:
    for _ in range(10):
        assert store.take([SLOW, FAST], START) is None
    denied = store.take([FAST, SLOW], START)
    assert denied is not None and denied.bucket == SLOW and denied.seconds == pytest.approx(6)
    assert passes(store, FAST, START) == 110, "what was refused took nothing of the other"


def test_of_several_that_are_used_up_the_one_that_takes_longest_is_named(store: Ephemeral) -> None:
    day = Bucket("b", "long", 60.0, 1)
    assert store.take([SLOW, day, FAST], START) is None
    assert passes(store, SLOW, START) == 9
    denied = store.take([SLOW, day, FAST], START)
    assert denied is not None and denied.bucket == day and denied.seconds == pytest.approx(60)


def test_what_is_given_back_can_be_taken_again(store: Ephemeral) -> None:
    assert passes(store, SLOW, START) == 10
    store.give_back([SLOW, FAST])
    assert passes(store, SLOW, START) == 1
    assert passes(store, FAST, START) == 120, "nothing is given back in advance"


def test_a_take_may_cost_more_than_one(store: Ephemeral) -> None:
    three = replace(SLOW, cost=3)
    assert passes(store, three, START) == 3 and passes(store, SLOW, START) == 1
    assert store.take([replace(SLOW, cost=11)], START + 1000) is not None, "more than there ever is"


def test_a_rate_of_none_never_comes(store: Ephemeral) -> None:
    none = Bucket("b", "k", 60.0, 0)
    assert passes(store, none, START) == passes(store, none, START + 1e6) == 0


def test_a_clock_that_goes_back_and_a_rate_that_becomes_lower_lock_nobody_out(store: Ephemeral) -> None:
    assert passes(store, SLOW, START) == 10
    assert passes(store, SLOW, START - 0.9) == 0, "a little behind is no other time"
    assert passes(store, SLOW, START - 5000) == 10, "as at first"
    assert passes(store, SLOW, START) == 10
    lower = Bucket(SLOW.bucket, SLOW.key, 10.0, 2)
    assert passes(store, lower, START) == 2 and passes(store, lower, START + 10) == 1


@pytest.mark.parametrize("other", [Bucket("rate-user", "bob", 6.0, 10), Bucket("rate", "alice", 6.0, 10)])
def test_buckets_and_keys_are_apart(store: Ephemeral, other: Bucket) -> None:
    assert passes(store, SLOW, START) == passes(store, other, START) == 10


def test_of_64_at_once_exactly_ten_pass(store: Ephemeral) -> None:
    found = race(64, lambda _: store.take([SLOW, FAST], START))
    assert found.count(None) == 10
    assert passes(store, FAST, START) == 110


@pytest.mark.parametrize("seed", range(3))
def test_redis_and_memory_tell_the_same_of_rates_to_the_last_bit(shared: Redis, seed: int) -> None:
    chance, memory, now = random.Random(seed), Memory(), START
    kinds = [Bucket("b", key, 60 / rate, rate) for key in "ab" for rate in (7, 10)]
    for step in range(300):
        now += chance.choice((0.0, chance.random(), 10 * chance.random(), 45.1, -chance.random(), -500.0))
        chosen = [
            replace(one, cost=chance.choice((1, 1, 3))) for one in (kinds[chance.randrange(2)], kinds[2])
        ]
        if chance.random() < 0.2:
            memory.give_back(chosen)
            shared.give_back(chosen)
        else:
            assert memory.take(chosen, now) == shared.take(chosen, now), (seed, step)


def held(store: Ephemeral, holders: str, now: float = START, most: int = 3) -> str:
    """Who of them got a place, each for 30 seconds."""
    return "".join(who for who in holders if store.lease("places", "tickets", who, most, 30, now))


def test_so_many_places_are_held_and_no_more(store: Ephemeral) -> None:
    assert held(store, "abcde") == "abc"
    store.release("places", "tickets", "b")
    store.release("places", "tickets", "b")
    store.release("places", "tickets", "nobody")
    assert held(store, "de") == "d", "a place is free once"


def test_a_place_that_is_not_given_up_ends_by_itself(store: Ephemeral) -> None:
    assert held(store, "abc") == "abc" and held(store, "d", START + 29.9) == ""
    assert held(store, "def", START + 30) == "def"


def test_who_holds_a_place_holds_it_anew(store: Ephemeral) -> None:
    assert held(store, "abc") == "abc" and held(store, "a", START + 20) == "a"
    assert held(store, "def", START + 30) == "de", "a's is until 50"
    assert held(store, "f", START + 50) == "f"


def test_no_place_is_none(store: Ephemeral) -> None:
    assert held(store, "a", most=0) == ""


def test_of_64_at_once_exactly_ten_hold_a_place(store: Ephemeral) -> None:
    found = race(64, lambda n: store.lease("places", "k", f"d{n}", 10, 30, START))
    assert found.count(True) == 10 and found.count(False) == 54


def test_two_processes_share_rates_and_places(shared: Redis, redis_url: str, prefix: str) -> None:
    other = Redis(redis_url, SECRET, prefix, timeout=20)
    both = (shared, other)
    assert race(64, lambda n: both[n % 2].take([SLOW], START)).count(None) == 10
    assert race(64, lambda n: both[n % 2].lease("p", "k", f"d{n}", 10, 30, START)).count(True) == 10
    other.give_back([SLOW])
    assert passes(shared, SLOW, START, 5) == 1
    other.close()


def test_nothing_of_whom_a_rate_counts_is_in_redis_and_nothing_stays(
    shared: Redis, redis_url: str, prefix: str
) -> None:
    shared.take([Bucket("rate-user", "canary", 6.0, 10), Bucket("rate-user", "b", 6.0, 10)], START)
    shared.give_back([Bucket("rate-user", "canary", 6.0, 10)])
    shared.lease("places-user", "canary", "dec_1", 3, 30, START)
    with client.Redis.from_url(redis_url) as raw:
        names = list(raw.scan_iter(f"{prefix}*"))
        assert len(names) == 3 and not any(b"canary" in name for name in names)
        assert all(0 < raw.pttl(name) <= 31_000 for name in names)


def test_a_lost_redis_leaves_rates_and_places_of_each_process_and_never_none(prefix: str) -> None:
    with services.own_redis() as server:
        one, other = (Redis(server.url, SECRET, prefix, timeout=5) for _ in range(2))
        assert passes(one, SLOW, START, 4) == 4 and held(one, "ab") == "ab"
        server.kill()
        assert passes(one, SLOW, START) == 6, "what it took before is not forgotten"
        assert passes(other, SLOW, START) == 10, "and the other has no more than the whole"
        assert held(one, "cdef") == "c" and held(other, "uvwxyz") == "uvw"
        assert one.failures == other.failures == 1 and not one.healthy()
        one.release("places", "tickets", "a")
        assert held(one, "gh") == "g"
        server.start()
        now = START + REST_SECONDS
        assert passes(one, SLOW, now, 5) == passes(other, SLOW, now, 5) == 0, "Redis forgot, they did not"
        assert held(one, "i", now) == held(other, "i", now) == ""
        assert (
            passes(one, replace(SLOW, key="new"), now, 5)
            == 5
            == passes(other, replace(SLOW, key="new"), now, 20)
        )
        for each in (one, other):
            each.close()


def test_what_redis_forgets_of_rates_this_process_remembers(
    shared: Redis, redis_url: str, prefix: str
) -> None:
    assert passes(shared, SLOW, START) == 10 and held(shared, "abc") == "abc"
    with client.Redis.from_url(redis_url) as operator:
        operator.delete(*operator.scan_iter(f"{prefix}*"))
    assert passes(shared, SLOW, START) == 0 and held(shared, "d") == ""


def test_rates_and_places_in_memory_are_bounded() -> None:
    memory = Memory(capacity=5)
    assert passes(memory, SLOW, START) == 10
    for number in range(50):
        memory.take([Bucket("b", f"k{number}", 1.0, 5)], START)
        memory.lease("p", f"k{number}", "d", 1, 30, START)
    assert len(memory._rates) <= 5 and len(memory._places) == 5
    assert passes(memory, SLOW, START) == 0, "what is used most is kept longest"
    assert not memory.lease("p", "one more", "d", 1, 30, START), "no place is taken from who holds it"
    memory.sweep(START + 100)
    assert not memory._rates and not memory._places
    assert memory.lease("p", "one more", "d", 1, 30, START + 100)
