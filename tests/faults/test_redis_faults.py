"""Redis killed, emptied, hung, full or answering for others, under load: limits suffer for a while, nothing else."""

import os
import re
import signal
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from urllib.parse import unquote, urlsplit

import httpx2
import pytest
import redis as client

from broker.admin.journal import read
from broker.app import Broker
from broker.cli.invariants import examined
from broker.runtime.ephemeral.redis import REST_SECONDS, TIMEOUT_SECONDS, Redis
from tests import lab as labs
from tests import services
from tests.engines import Engine
from tests.faults.crowd import MANY, Crowd, statuses
from tests.faults.load import Client, Journal, Worker, under_load
from tests.faults.proxy import Mode, Proxy
from tests.faults.site import Site
from tests.faults.test_approval_races import approve, asking, decisions
from tests.lab import ISSUER, START, Lab, race
from tests.live import ScriptedBrowser
from tests.proofs import Holder

ROUNDS, WORKERS, QUOTA = 4, 4, 3
COUNTED = rb"broker:[a-z0-9-]+:[0-9a-f]{64}"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def server() -> Iterator[services.RedisServer]:
    with services.own_redis() as running:
        yield running


@pytest.fixture
def operator(server: services.RedisServer) -> Iterator[client.Redis]:
    with client.Redis.from_url(server.url) as connected:
        yield connected


def path_of(server: services.RedisServer) -> str:
    return unquote(urlsplit(server.url).path)


def sound(broker: Broker, journal: Journal) -> None:
    """The invariants program finds nothing."""
    with journal.path.open(encoding="utf-8") as lines:
        found = examined(broker, read(lines))
    assert [f"{judged.id}: {row}" for judged in found for row in judged.violations] == []


@contextmanager
def wrecked(server: services.RedisServer) -> Iterator[list[int]]:
    """While inside, Redis is emptied, killed and started again without end; how often. Afterwards it runs."""
    over, rounds = threading.Event(), [0]

    def wreck() -> None:
        while not over.is_set():
            with client.Redis.from_url(server.url) as operator:
                operator.flushall()
            over.wait(0.05)
            server.kill()
            over.wait(0.05)
            server.start()
            rounds[0] += 1

    thread = threading.Thread(target=wreck)
    thread.start()
    try:
        yield rounds
    finally:
        over.set()
        thread.join()


@pytest.mark.attack("FAULT-17")
def test_a_redis_that_comes_and_goes_lets_nothing_be_used_twice(
    either: Engine, request: pytest.FixtureRequest, server: services.RedisServer, tmp_path: Path
) -> None:
    replicas = 2 if request.node.callspec.params["either"] == "postgresql" else 1
    with Crowd(either, tmp_path, replicas, redis_url=server.url) as many:
        key = Holder()
        with wrecked(server) as rounds:
            held = many.ask("redeem", many.ask("code")).body["refresh_token"]
            for _ in range(ROUNDS):
                answers = many.race(("redeem", (many.ask("code"),), {}))
                assert statuses(answers) == {200: 1, 400: MANY - 1}
                answers = many.race(("refresh", (held,), {}))
                assert statuses(answers) == {200: MANY}
                (held,) = {answer.body["refresh_token"] for answer in answers}
                proof = key.proof(f"{ISSUER}/token", time.time())
                answers = many.race(("client_credentials", (), {"dpop": proof}))
                assert statuses(answers) == {200: 1, 400: MANY - 1}
                code = many.ask("code", user="bob")
                many.ask("switch", "user", "bob")
                assert many.ask("redeem", code).status == 400
                many.ask("lift", "user", "bob")
        assert rounds[0] >= ROUNDS and sum(many.each("failures")) > 0
        lab = many.lab()
        sound(lab.broker, many.journal)
        lab.broker.close()


@pytest.mark.attack("FAULT-17")
def test_an_approval_is_used_once_while_redis_comes_and_goes(
    either: Engine, request: pytest.FixtureRequest, server: services.RedisServer, tmp_path: Path
) -> None:
    replicas = 2 if request.node.callspec.params["either"] == "postgresql" else 1
    knobs = {"redis_url": server.url, "approval_factor": False, "repeats_per_txn": 1000}
    with Crowd(either, tmp_path, replicas, **knobs) as many:
        lab = many.lab()
        asking(lab)
        browser = lab.browser()
        browser.sign_in(browser.get("/account"), "bob")
        with wrecked(server):
            for user in ("alice", "both"):
                token = many.ask("tokens", user=user)["access_token"]
                assert decisions(many, token) == {"approval_required": MANY}
                approval = approve(lab, browser)
                assert decisions(many, token)["permit"] == 1
                waits = lab.broker.approvals.asking
                (left,) = lab.broker.world.database.read(lambda tx: waits.listed(tx, 9, only_open=True))
                assert left.id != approval
                lab.broker.world.database.write(lambda tx: waits.withdraw(tx, left.id, None, None, None))
        sound(lab.broker, many.journal)
        lab.broker.close()


@pytest.mark.attack("FAULT-17")
def test_limits_are_each_process_s_own_while_redis_is_lost_and_common_when_it_is_back(
    postgres_engine: Engine, server: services.RedisServer, operator: client.Redis, tmp_path: Path
) -> None:
    with Crowd(postgres_engine, tmp_path, 2, redis_url=server.url, registration_per_hour=QUOTA) as many:

        def made(source: str) -> int:
            counted = statuses(many.race(("register", (), {"source": source})))
            assert set(counted) <= {201, 429}
            return counted[201]

        before = made("198.51.100.1")
        server.kill()
        during = made("198.51.100.1")
        assert QUOTA <= before + during <= 2 * QUOTA, "a loss gives nobody a new quota"
        assert made("198.51.100.2") == 2 * QUOTA
        server.start()
        assert made("198.51.100.1") == made("198.51.100.2") == 0, "the processes remember what Redis does not"
        for number in range(40):  # until both have tried it again, and neither found it slow
            if made(f"198.51.101.{number}") == QUOTA:
                break
        else:
            pytest.fail("they never count together again")
        assert operator.keys("broker:registration:*")


def measured(took: list[float]) -> httpx2.Client:
    """A client that notes how long each answer took."""

    def begin(request: httpx2.Request) -> None:
        request.extensions["began"] = time.monotonic()

    def end(response: httpx2.Response) -> None:
        took.append(time.monotonic() - response.request.extensions["began"])

    return httpx2.Client(trust_env=False, timeout=30, event_hooks={"request": [begin], "response": [end]})


@pytest.mark.attack("FAULT-18")
def test_a_redis_that_hangs_costs_no_request_more_than_a_moment(
    sqlite_engine: Engine, server: services.RedisServer, operator: client.Redis, tmp_path: Path
) -> None:
    site, journal, took = Site(sqlite_engine, tmp_path), Journal(tmp_path / "journal"), list[float]()
    workers = [
        Worker(
            Client(site.issuer, journal, measured(took), ScriptedBrowser(http=measured(took))), Random(number)
        )
        for number in range(WORKERS)
    ]
    tries = [0]

    def count(way: str, _: bytes) -> None:
        tries[0] += way == "up"

    def work(requests: int) -> tuple[int, float]:
        """So much more of the load; how often Redis was asked meanwhile, and in how many seconds."""
        asked, ends, began = tries[0], len(took) + requests, time.monotonic()
        while len(took) < ends and not over.wait(0.01):
            pass
        return tries[0] - asked, time.monotonic() - began

    process = int(operator.info("server")["process_id"])
    with Proxy(path_of(server)) as proxy:
        proxy.watch = count
        url = f"redis://127.0.0.1:{proxy.port}"
        with site.served(redis_url=url), under_load(workers) as over:
            assert work(60)[0] >= 30, "asked all the time"
            os.kill(process, signal.SIGSTOP)
            try:
                hung = work(200)
            finally:
                os.kill(process, signal.SIGCONT)
            while work(20)[0] < 10:
                pass
            with proxy.during(Mode.DROP):
                silent = work(200)
            while work(20)[0] < 10:
                pass
    for asked, seconds in (hung, silent):
        # One when a rest is over, and at the beginning whoever was on the way.
        assert 1 <= asked <= WORKERS + 1 + seconds / REST_SECONDS, (asked, seconds)
    assert max(took) < 2, sorted(took)[-5:]
    assert {entry["status"] for entry in journal.entries()} <= {200, 201, 400}
    with site.opened() as broker:
        sound(broker, journal)


@pytest.mark.attack("FAULT-18")
def test_one_call_to_a_redis_that_hangs_ends_in_time_and_the_next_are_not_made(
    server: services.RedisServer, operator: client.Redis
) -> None:
    assert TIMEOUT_SECONDS <= 0.2
    store, process = Redis(server.url, b"s" * 32), int(operator.info("server")["process_id"])
    assert store.hit("b", "k", 60, START).count == 1 and store.failures == 0
    os.kill(process, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert store.hit("b", "k", 60, START).count == 2
        assert TIMEOUT_SECONDS <= time.monotonic() - began < 1
        assert [store.hit("b", "k", 60, START).count for _ in range(100)] == [*range(3, 103)]
        assert store.failures == 1 and time.monotonic() - began < 1.5, "nobody waits for it again"
    finally:
        os.kill(process, signal.SIGCONT)
        store.close()


def flood(operator: client.Redis, until: Callable[[], object] | None = None) -> None:
    """Fill Redis with what is not ours until `until`; without one, until it refuses."""
    for number in range(100_000):
        if until is not None and until():
            return
        try:
            operator.set(f"junk:{number}", b"x" * 500)
        except client.exceptions.OutOfMemoryError:
            if until is None:
                return
    pytest.fail("in vain")


def tighten(operator: client.Redis, policy: str) -> None:
    """It has 1 MB, or a little more than it takes for itself and its clients."""
    operator.config_set("maxmemory-policy", policy)
    operator.config_set("maxmemory", max(2**20, int(operator.info("memory")["used_memory"]) + 200_000))


def evicted(operator: client.Redis) -> int:
    return int(operator.info("stats")["evicted_keys"])


@pytest.mark.attack("FAULT-20")
def test_a_full_redis_breaks_no_promise_whether_it_evicts_or_refuses(
    sqlite_engine: Engine, server: services.RedisServer, operator: client.Redis, tmp_path: Path
) -> None:
    site, journal = Site(sqlite_engine, tmp_path), Journal(tmp_path / "journal")
    workers = [Worker(Client(site.issuer, journal), Random(number)) for number in range(WORKERS)]

    def answered(more: int) -> None:
        enough = len(journal) + more
        while len(journal) < enough and not over.wait(0.01):
            pass

    with site.served(redis_url=server.url), under_load(workers) as over:
        answered(40)
        found = [*operator.scan_iter("*")]
        assert found and all(re.fullmatch(COUNTED, name) for name in found), "counts for limits, nothing else"
        kinds = {name: operator.type(name) for name in found}
        counts = [name for name in found if kinds[name] == b"hash"]
        assert {field for name in counts for field in operator.hkeys(name)} == {b"ends", b"count"}
        assert set(kinds.values()) <= {b"hash", b"string", b"zset", b"none"}, "counts, rates and places"
        tighten(operator, "allkeys-random")
        for more in range(1, 5):
            flood(operator, lambda more=more: evicted(operator) >= more * 200)
            answered(10)
        tighten(operator, "noeviction")
        flood(operator)
        answered(40)
    assert {entry["status"] for entry in journal.entries()} <= {200, 201, 400}
    with site.opened() as broker:
        sound(broker, journal)


@pytest.fixture
def limited(
    sqlite_engine: Engine, server: services.RedisServer, tmp_path: Path
) -> Iterator[Callable[..., Lab]]:
    """A broker with that Redis, or with one at another address, which has time to answer."""
    made: list[Lab] = []

    def make(url: str = server.url) -> Lab:
        made.append(
            labs.make(
                tmp_path,
                sqlite_engine,
                redis_url=url,
                registration_per_hour=QUOTA,
                account_failures_per_minute=QUOTA,
            )
        )
        return made[-1]

    yield make
    for lab in made:
        lab.broker.close()


def registers(lab: Lab, source: str) -> int:
    """The status, and Redis was asked: whatever rest it had is over."""
    lab.clock.advance(REST_SECONDS)
    return int(lab.register(source=source).status_code)


@pytest.mark.attack("FAULT-20")
def test_a_limit_holds_where_redis_evicts_its_count_or_refuses_to_count(
    limited: Callable[..., Lab], operator: client.Redis
) -> None:
    lab, (one, other) = limited(), ("198.51.100.1", "198.51.100.2")
    assert [registers(lab, one) for _ in range(QUOTA + 1)] == [201] * QUOTA + [429]
    tighten(operator, "allkeys-random")
    for _ in range(3):
        flood(operator, lambda: not operator.keys("broker:registration:*"))
        assert registers(lab, one) == 429, "evicted, and not forgotten"
    tighten(operator, "noeviction")
    flood(operator)
    failures = lab.broker.world.ephemeral.failures
    assert [registers(lab, other) for _ in range(QUOTA + 1)] == [201] * QUOTA + [429]
    assert lab.broker.world.ephemeral.failures > failures, "it did refuse"
    assert registers(lab, one) == 429
    operator.flushall()
    assert [registers(lab, one), registers(lab, other)] == [429, 429]
    assert registers(lab, "198.51.100.3") == 201


@contextmanager
def swapping(server: services.RedisServer, limit: str) -> Iterator[tuple[str, threading.Event, list[bytes]]]:
    """A proxy that, once told to, answers what was last answered for another key of `limit`; and for which it did."""
    on, swapped, lock = threading.Event(), list[bytes](), threading.Lock()
    counted = re.compile(rf"broker:{limit}:[0-9a-f]{{64}}".encode())
    last: dict[bytes, bytes] = {}

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as redis:
                redis.connect(path_of(server))
                while asked := self.request.recv(65_536):
                    redis.sendall(asked)
                    answer = redis.recv(65_536)
                    named = counted.search(asked)
                    if named is not None and answer.startswith(b"*"):
                        answer = self.another(named[0], answer)
                    self.request.sendall(answer)

        def another(self, key: bytes, answer: bytes) -> bytes:
            with lock:
                last.pop(key, None)
                others = [*last.values()]
                last[key] = answer
                if not on.is_set() or not others:
                    return answer
                swapped.append(key)
                return others[-1]

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"redis://127.0.0.1:{proxy.server_address[1]}", on, swapped
        finally:
            proxy.shutdown()


@pytest.mark.attack("FAULT-21")
def test_an_answer_for_another_key_is_a_miss(
    limited: Callable[..., Lab], server: services.RedisServer
) -> None:
    with swapping(server, "registration") as (url, on, swapped):
        lab = limited(url)
        spent, fresh = "198.51.100.1", "198.51.100.2"
        assert [registers(lab, spent) for _ in range(QUOTA + 2)] == [201] * QUOTA + [429] * 2
        assert lab.broker.world.ephemeral.failures == 0
        on.set()
        told = [(registers(lab, fresh), registers(lab, spent)) for _ in range(QUOTA + 1)]
        assert told == [(201, 429)] * QUOTA + [(429, 429)], "each by its own count"
        assert len(set(swapped)) == 2
        assert lab.broker.world.ephemeral.failures >= 2 * QUOTA, "and each swap was seen"


@pytest.mark.attack("FAULT-21")
def test_an_answer_for_a_user_of_another_tenant_is_a_miss(
    limited: Callable[..., Lab], server: services.RedisServer
) -> None:
    with swapping(server, "sign-in") as (url, on, swapped):
        lab = limited(url)

        def signs_in(user: str, tenant: str, source: str, password: str = labs.PASSWORD) -> bool:
            lab.clock.advance(REST_SECONDS)
            browser = lab.browser(source)
            uri = {"acme": labs.TICKETS, "globex": "https://globex.example/mcp"}[tenant]
            scope = {"acme": "tickets:read", "globex": "g:read"}[tenant]
            page = browser.get(lab.authorize_url(door=f"/t/{tenant}", resource=uri, scope=scope))
            return b'name="password"' not in browser.sign_in(page, user, password).data

        for _ in range(QUOTA):
            assert not signs_in("alice", "acme", "198.51.100.1", "wrong")
        assert signs_in("vera", "globex", "198.51.100.2")
        on.set()
        for _ in range(QUOTA + 1):
            assert not signs_in("alice", "acme", "198.51.100.1"), "she has to wait"
            assert signs_in("vera", "globex", "198.51.100.2"), "and nobody else has"
        assert len(swapped) > QUOTA


@pytest.mark.attack("FAULT-21")
def test_limits_hold_exactly_when_answers_are_swapped_under_load(
    limited: Callable[..., Lab], server: services.RedisServer
) -> None:
    with swapping(server, "registration") as (url, on, swapped):
        lab = limited(url)
        on.set()

        def register(number: int) -> list[tuple[str, int]]:
            told = []
            for turn in range(8):
                lab.clock.advance(0.05)  # less in all than by which clocks may differ
                source = f"198.51.100.{(number + turn) % 4}"
                told.append((source, int(lab.register(source=source).status_code)))
            return told

        told = [one for many in race(4, register) for one in many]  # type: ignore[attr-defined]
        for turn in range(4):
            assert sorted(status for source, status in told if source == f"198.51.100.{turn}") == (
                [201] * QUOTA + [429] * (8 - QUOTA)
            )
        assert swapped
