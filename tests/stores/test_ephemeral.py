"""Counters in fixed windows: the same, bit by bit, in memory and in Redis; and what happens when Redis is lost."""

import hashlib
import random
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import redis as client
from pydantic import ValidationError

from broker.runtime.ephemeral.memory import Memory
from broker.runtime.ephemeral.model import Ephemeral, Hits
from broker.runtime.ephemeral.redis import REST_SECONDS, Redis
from broker.settings import Settings
from tests import services
from tests.lab import START, Lab, race

SECRET = b"s" * 32


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


def test_a_window_counts_and_ends(store: Ephemeral) -> None:
    assert [store.hit("b", "k", 60, 1000 + i).count for i in range(3)] == [1, 2, 3]
    assert store.seen("b", "k", 60, 1059.9).count == 3
    assert store.seen("b", "k", 60, 1030) == Hits(3, 30)
    assert store.seen("b", "k", 60, 1060) == Hits(0, 60)
    assert store.hit("b", "k", 60, 1060) == Hits(1, 60)


def test_looking_does_not_count(store: Ephemeral) -> None:
    assert store.seen("b", "k", 60, 0).count == 0
    store.hit("b", "k", 60, 0)
    assert [store.seen("b", "k", 60, 1).count for _ in range(3)] == [1, 1, 1]


def test_what_is_forgiven_is_not_counted_and_a_window_with_nothing_in_it_is_over(store: Ephemeral) -> None:
    for _ in range(2):
        store.hit("b", "k", 60, 0)
    store.forgive("b", "k")
    assert store.seen("b", "k", 60, 30) == Hits(1, 30)
    store.forgive("b", "k")
    assert store.hit("b", "k", 60, 30) == Hits(1, 60)


def test_nothing_is_forgiven_in_advance(store: Ephemeral) -> None:
    store.forgive("b", "k")
    store.hit("b", "k", 60, 0)
    for _ in range(3):
        store.forgive("b", "k")
    assert store.hit("b", "k", 60, 0).count == 1


@pytest.mark.parametrize("other", [("b", "other"), ("other", "k"), ("b:k", ""), ("b", "K")])
def test_buckets_and_keys_are_counted_apart(store: Ephemeral, other: tuple[str, str]) -> None:
    store.hit("b", "k", 60, 0)
    assert store.hit(*other, 60, 0).count == 1
    assert store.hit("b", "k", 60, 0).count == 2


@pytest.mark.parametrize("key", ["", "ünï 鍵", "a\x00b", "lone \ud800", "2001:db8::/64|alice", "k" * 100_000])
def test_any_text_is_a_key(store: Ephemeral, key: str) -> None:
    assert [store.hit("b", key, 60, 0).count for _ in range(2)] == [1, 2]


def test_callers_whose_clocks_differ_a_little_share_a_window(store: Ephemeral) -> None:
    """Threads that read the clock before another began the window, and replicas with a clock of their own."""
    assert [store.hit("b", "k", 60, 1000 - late).count for late in (0, 0.001, 0.9, 0)] == [1, 2, 3, 4]
    assert store.seen("b", "k", 60, 999.5).count == 4
    assert store.seen("b", "k", 60, 1059.9).count == 4
    assert store.seen("b", "k", 60, 1060).count == 0


def test_a_clock_that_goes_far_back_does_not_lock_anybody_out(store: Ephemeral) -> None:
    for _ in range(5):
        store.hit("b", "k", 60, 10_000)
    assert store.seen("b", "k", 60, 9_990).count == 0
    assert store.seen("b", "k", 60, 1_000).count == 0
    assert 0 < store.hit("b", "k", 60, 1_000).ends_in <= 60


def test_a_sweep_leaves_windows_that_run(store: Ephemeral) -> None:
    store.hit("b", "runs", 60, 0)
    store.hit("b", "ended", 10, 0)
    store.sweep(20)
    assert store.seen("b", "runs", 60, 20).count == 1
    assert store.seen("b", "ended", 10, 20).count == 0


def test_64_threads_that_hit_one_key_at_once_are_counted_exactly(store: Ephemeral) -> None:
    counts = race(64, lambda _: store.hit("b", "k", 60, 0).count)
    assert sorted(counts) == list(range(1, 65))  # type: ignore[type-var]  # an error among them fails too
    assert store.seen("b", "k", 60, 0).count == 64


def test_a_store_that_works_is_well(store: Ephemeral) -> None:
    assert store.healthy() and store.failures == 0


@pytest.mark.parametrize("seed", range(5))
def test_redis_and_memory_tell_the_same_to_the_last_bit(shared: Redis, seed: int) -> None:
    chance, memory, now = random.Random(seed), Memory(), START
    for step in range(300):
        now += chance.choice((0.0, chance.random(), 10 * chance.random(), 45.1, -chance.random(), -500.0))
        window = chance.choice((30, 60.0, 33.3, 3600.0))
        verb, key = chance.choice(("hit", "hit", "seen", "forgive")), chance.choice("ab")
        if verb == "forgive":
            memory.forgive("b", key)
            shared.forgive("b", key)
        else:
            told = [getattr(store, verb)("b", key, window, now) for store in (memory, shared)]
            assert told[0] == told[1], (seed, step)


def test_two_processes_count_together(shared: Redis, redis_url: str, prefix: str) -> None:
    other = Redis(redis_url, SECRET, prefix, timeout=20)
    race(8, lambda i: [(shared, other)[i % 2].hit("b", "k", 60, 0) for _ in range(25)])
    assert shared.seen("b", "k", 60, 0) == other.seen("b", "k", 60, 0) == Hits(200, 60)
    other.close()


def test_two_brokers_in_one_redis_count_apart(shared: Redis, redis_url: str, prefix: str) -> None:
    shared.hit("b", "k", 60, 0)
    for other in (Redis(redis_url, SECRET, prefix + "other:"), Redis(redis_url, b"t" * 32, prefix)):
        assert other.seen("b", "k", 60, 0).count == 0
        other.close()


def test_nothing_of_a_callers_key_is_in_redis_and_nothing_stays(
    shared: Redis, redis_url: str, prefix: str
) -> None:
    key = "198.51.100.7|canary@people.example|mcpb_cs_canary"
    shared.hit("sign-in", key, 60, START)
    shared.forgive("sign-in", key)
    shared.hit("sign-in", key, 59.5, START + 90)
    with client.Redis.from_url(redis_url) as raw:
        names = list(raw.scan_iter(f"{prefix}*"))
        assert len(names) == 1
        kept = b"".join((names[0], raw.dump(names[0]) or b"", repr(raw.hgetall(names[0])).encode()))
        assert raw.pttl(names[0]) in range(1, 60_501)
    for word in (*key.split("|"), "canary", hashlib.sha256(key.encode()).hexdigest()):
        assert word.encode() not in kept


def test_a_killed_redis_leaves_local_limits_and_is_used_again_when_it_is_back(prefix: str) -> None:
    with services.own_redis() as server:
        store, now = Redis(server.url, SECRET, prefix, timeout=5), START
        assert [store.hit("b", "k", 60, now).count for _ in range(3)] == [1, 2, 3]
        server.kill()
        assert [store.hit("b", "k", 60, now).count for _ in range(3)] == [4, 5, 6], "counting goes on here"
        assert store.hit("b", "new", 60, now).count == 1
        store.forgive("b", "k")
        assert store.seen("b", "k", 60, now).count == 5
        assert store.failures == 1 and not store.healthy()
        server.start()
        failures = store.failures
        now += REST_SECONDS - 0.01
        assert store.hit("b", "k", 60, now).count == 6, "Redis is still left alone"
        other = Redis(server.url, SECRET, prefix, timeout=5)
        assert [other.hit("b", "new", 60, now).count for _ in range(4)] == [1, 2, 3, 4]
        now += 0.01
        assert store.hit("b", "new", 60, now).count == 5, "of both processes, in Redis again"
        assert store.hit("b", "k", 60, now).count == 7, "which knows nothing of before: this process does"
        assert other.hit("b", "k", 60, now).count == 2
        assert store.healthy() and store.failures == failures
        assert store.hit("b", "k", 60, START + 61) == Hits(1, 60)
        for each in (store, other):
            each.close()


def test_what_redis_forgets_this_process_remembers_until_the_window_ends(
    shared: Redis, redis_url: str, prefix: str
) -> None:
    """Emptied, or full and evicting: a limit that was reached stays reached."""
    with client.Redis.from_url(redis_url) as operator:
        for count in range(1, 4):
            assert shared.hit("b", "k", 60, START).count == count
            assert operator.delete(*operator.scan_iter(f"{prefix}*")) == 1
            assert shared.seen("b", "k", 60, START).count == count
    shared.forgive("b", "k")
    assert shared.seen("b", "k", 60, START + 59).count == 2
    assert shared.seen("b", "k", 60, START + 60).count == 0


def test_asking_how_redis_is_ends_the_rest_early(prefix: str) -> None:
    with services.own_redis() as server:
        store, other = (Redis(server.url, SECRET, prefix, timeout=5) for _ in range(2))
        server.kill()
        assert store.hit("b", "k", 60, START).count == 1 and not store.healthy()
        server.start()
        assert [other.hit("b", "k", 60, START).count for _ in range(2)] == [1, 2]
        assert store.seen("b", "k", 60, START).count == 1
        assert store.healthy()
        assert store.hit("b", "k", 60, START).count == 3
        for each in (store, other):
            each.close()


def test_a_replica_that_only_reads_is_not_counted_in_and_one_that_became_primary_is(prefix: str) -> None:
    with services.own_redis() as server, client.Redis.from_url(server.url) as operator:
        store = Redis(server.url, SECRET, prefix, timeout=5)
        assert store.hit("b", "k", 60, START).count == 1
        operator.execute_command("REPLICAOF", "127.0.0.1", "1")
        assert store.hit("b", "k", 60, START).count == 2 and store.failures == 1
        assert not store.healthy()
        operator.execute_command("REPLICAOF", "NO", "ONE")
        assert store.hit("b", "other", 60, START + REST_SECONDS).count == 1 and store.healthy()
        assert len(operator.keys(f"{prefix}b:*")) == 2, "counted there"
        store.close()


@contextmanager
def answering(line: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that says `line` to whatever it is told (None: nothing; empty: it hangs up), and what it was told."""
    told: list[bytes] = []
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(65_536):
                told.append(data)
                if line is None:
                    over.wait(30)
                if not line:
                    return
                self.request.sendall(line)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}", told
        finally:
            over.set()
            server.shutdown()


@pytest.mark.parametrize(
    "line",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-NOPERM this user has no permissions to run the 'evalsha' command\r\n",
        b"-MISCONF Redis is configured to save RDB snapshots\r\n",
        b"what is this\r\n",
        b":1\r\n",
        b"*1\r\n:1\r\n",
        b"*3\r\n$7\r\nanother\r\n$1\r\n9\r\n:9\r\n",
        b"",
        None,
    ],
    ids=lambda line: "silence" if line is None else (line.decode().split() or ["hang-up"])[0].strip("-"),
)
def test_a_redis_that_does_not_count_is_counted_for_here(line: bytes | None) -> None:
    with answering(line) as (url, told):
        store = Redis(url, SECRET, timeout=0.1)
        assert [store.hit("b", "k", 60, START).count for _ in range(3)] == [1, 2, 3]
        store.forgive("b", "k")
        assert store.seen("b", "k", 60, START).count == 2
        assert store.failures == 1 and len(told) <= 1, "once asked, it is left alone"
        assert not store.healthy()
        store.close()


def test_when_the_rest_is_over_one_caller_tries_and_the_others_go_on_here() -> None:
    with answering(None) as (url, told):
        store = Redis(url, SECRET, timeout=0.1)
        store.hit("b", "k", 60, START)
        counts = race(16, lambda _: store.hit("b", "k", 60, START + REST_SECONDS).count)
        assert sorted(counts) == list(range(2, 18))  # type: ignore[type-var]  # an error among them fails too
        assert store.failures == 2 and len(told) <= 2
        store.hit("b", "k", 60, START - 5)
        assert store.failures == 3, "a clock that went back does not prolong the rest"
        store.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:6379", "127.0.0.1:6379", ""])
def test_an_address_that_is_not_of_redis_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"redis_url": url})
    assert "redis_url: use" in str(refused.value) and (not url or url not in str(refused.value))
    for scheme in ("redis", "rediss", "unix"):
        accepted = Settings.model_validate({"redis_url": f"{scheme}://:canary@x/0"})
        assert accepted.redis_url is not None and "canary" not in repr(accepted)


def test_the_limits_of_brokers_with_one_redis_hold_for_all_together(
    make_lab: Callable[..., Lab], redis_url: str, prefix: str
) -> None:
    settings = {"redis_url": redis_url, "redis_prefix": prefix, "registration_per_hour": 2}
    labs = [make_lab(**settings), make_lab(**settings)]
    alone = make_lab(registration_per_hour=2)
    answers = [lab.register().status_code for lab in (*labs, labs[0], alone)]
    assert answers == [201, 201, 429, 201]
