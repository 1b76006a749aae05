"""Documents of others: fetched once for all who ask, kept as long as they say within bounds, errors never."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from broker.runtime.egress import Answer, EgressFailed, EgressRefused, EgressUnacceptable
from broker.runtime.fetcher import Bounds, Fetched, Fetcher, Unusable
from tests.lab import Clock, race

URL = "https://a.example/x"
BOUNDS = Bounds(largest=100, seconds=5.0, shortest=60.0, longest=1000.0, stale=500.0, pause=30.0)


class Hosts:
    """In place of the network: answers in turn, the last again and again; an exception is raised."""

    def __init__(self, *turns: Answer | Exception) -> None:
        self.turns, self.asked = list(turns), []
        self.bounds: list[tuple[int, float]] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def get(
        self, url: str, headers: Mapping[str, str] | None = None, *, largest: int = 0, seconds: float = 0.0
    ) -> Answer:
        self.asked.append(url)
        self.bounds.append((largest, seconds))
        self.meanwhile()
        turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        if isinstance(turn, Exception):
            raise turn
        return turn


def good(body: bytes = b"1", **headers: str) -> Answer:
    return Answer(200, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def read(url: str, answer: Answer) -> int:
    if answer.status != 200:
        raise Unusable(f"status {answer.status}")
    return int(answer.body)


def fetcher(hosts: Hosts, clock: Clock, bounds: Bounds = BOUNDS) -> Fetcher[int]:
    return Fetcher(hosts, clock, bounds, read)


def test_what_is_fresh_is_not_asked_for_again() -> None:
    clock, hosts = Clock(), Hosts(good(b"1"), good(b"2"))
    found = fetcher(hosts, clock)
    assert found.get(URL) == Fetched(1, clock.time, clock.time + 60, clock.time)
    clock.advance(59.9)
    assert found.get(URL).value == 1 and len(hosts.asked) == 1
    clock.advance(0.2)
    assert found.get(URL).value == 2 and len(hosts.asked) == 2
    assert hosts.bounds == [(100, 5.0)] * 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60),
        ({"cache_control": "max-age=300"}, 300),
        ({"cache_control": "public, max-age=300"}, 300),
        ({"cache_control": 'max-age="300"'}, 300),
        ({"cache_control": "max-age=300", "age": "100"}, 200),
        ({"cache_control": "max-age=300", "age": "old"}, 300),
        ({"cache_control": "max-age=1"}, 60),
        ({"cache_control": "max-age=99999999"}, 1000),
        ({"cache_control": "no-store, max-age=300"}, 60),
        ({"cache_control": "no-cache"}, 60),
        ({"cache_control": "max-age=-5"}, 60),
        ({"cache_control": "s-maxage=300"}, 60),
        ({"expires": format_datetime(datetime.fromtimestamp(Clock().time + 400, UTC), usegmt=True)}, 400),
        ({"expires": "0"}, 60),
        ({"expires": format_datetime(datetime.fromtimestamp(Clock().time - 400, UTC), usegmt=True)}, 60),
    ],
)
def test_an_answer_is_kept_as_long_as_it_says_within_bounds(headers: dict[str, str], seconds: float) -> None:
    clock = Clock()
    found = fetcher(Hosts(good(**headers)), clock).get(URL)
    assert found.fresh_until == clock.time + seconds


@pytest.mark.parametrize(
    "error",
    [
        EgressFailed("away"),
        EgressRefused("internal"),
        EgressUnacceptable("a redirect"),
        Answer(404, {}, b""),
        Answer(503, {}, b""),
    ],
)
def test_an_error_is_never_kept(error: Exception | Answer) -> None:
    clock, hosts = Clock(), Hosts(error, error, good())
    found = fetcher(hosts, clock)
    for _ in range(2):
        with pytest.raises((EgressFailed, EgressRefused, Unusable)):
            found.get(URL)
    assert found.get(URL).value == 1 and len(hosts.asked) == 3


@pytest.mark.parametrize("away", [EgressFailed("away"), Answer(500, {}, b""), Answer(503, {}, b"")])
def test_a_stale_value_is_used_while_its_host_is_away_and_no_longer(away: Exception | Answer) -> None:
    clock, hosts = Clock(), Hosts(good(), away)
    found = fetcher(hosts, clock)
    found.get(URL)
    clock.advance(60 + 499)
    assert found.get(URL).value == 1
    clock.advance(30)
    with pytest.raises(EgressFailed):
        found.get(URL)


@pytest.mark.parametrize(
    "answer",
    [Answer(404, {}, b""), Answer(410, {}, b""), EgressUnacceptable("a redirect"), EgressRefused("internal")],
)
def test_a_stale_value_is_not_used_when_the_host_says_something_else(answer: Exception | Answer) -> None:
    clock, hosts = Clock(), Hosts(good(), answer)
    found = fetcher(hosts, clock)
    found.get(URL)
    clock.advance(61)
    with pytest.raises((Unusable, EgressRefused)):
        found.get(URL)


def test_a_host_that_is_away_is_not_asked_by_everybody_who_gets_the_stale_value() -> None:
    clock, hosts = Clock(), Hosts(good(), EgressFailed("away"), good(b"2"))
    found = fetcher(hosts, clock)
    found.get(URL)
    clock.advance(61)
    assert found.get(URL).value == found.get(URL).value == 1 and len(hosts.asked) == 2
    assert found.fresh(URL) is not None
    clock.advance(30)
    assert found.fresh(URL) is None
    assert found.get(URL).value == 2


def test_a_newer_value_is_asked_for_once_in_a_pause() -> None:
    clock, hosts = Clock(), Hosts(good(), EgressFailed("away"), Answer(404, {}, b""), good(b"2"))
    found = fetcher(hosts, clock)
    assert found.newer(URL).value == 1
    assert found.newer(URL).value == 1 and len(hosts.asked) == 1
    for asked in (2, 3):
        clock.advance(30 if asked == 2 else 29.9)
        assert found.newer(URL).value == 1, "in vain"
        assert found.newer(URL).value == 1
        if asked == 2:
            assert len(hosts.asked) == 2
    assert len(hosts.asked) == 2
    clock.advance(1)
    with pytest.raises(Unusable):  # no longer fresh, and it is not there any more
        found.newer(URL)
    assert found.newer(URL).value == 2


def test_a_host_that_could_not_be_reached_rests_where_that_is_asked_for() -> None:
    clock, hosts = Clock(), Hosts(EgressFailed("away"), good())
    found = fetcher(hosts, clock, Bounds(100, 5.0, 60.0, 1000.0, 500.0, 30.0, rest=10.0))
    for _ in range(3):
        with pytest.raises(EgressFailed):
            found.get(URL)
        clock.advance(3)
    assert len(hosts.asked) == 1
    clock.advance(1)
    assert found.get(URL).value == 1


def test_what_another_process_fetched_is_good_for_the_shortest_time() -> None:
    clock, hosts = Clock(), Hosts(good(b"7"))
    found = fetcher(hosts, clock)
    found.seed(URL, 5, clock.time - 59)
    assert found.get(URL).value == 5 and hosts.asked == []
    clock.advance(1)
    assert found.get(URL).value == 7
    found.seed(URL, 6, clock.time - 1)
    assert found.get(URL).value == 7, "ours is newer"
    clock.advance(1)
    found.seed(URL, 7, clock.time)
    assert found.fresh(URL) == Fetched(7, clock.time - 1, clock.time + 59, clock.time - 1), "the same"
    found.seed(URL, 8, clock.time)
    assert found.get(URL).value == 8


@pytest.mark.parametrize("turn", [good(b"9"), EgressFailed("away")])
def test_all_who_ask_at_once_share_one_fetch(turn: Answer | Exception) -> None:
    hosts = Hosts(turn)
    found = fetcher(hosts, Clock())
    waiting = threading.Semaphore(0)

    class Waiters(dict[str, object]):
        def get(self, *key: object) -> object:
            value = super().get(*key)
            if value is not None:
                waiting.release()
            return value

    found._under_way = Waiters()
    hosts.meanwhile = lambda: [waiting.acquire(timeout=20) for _ in range(7)]
    results = race(8, lambda _: found.get(URL).value)
    assert len(hosts.asked) == 1
    assert all(one == 9 or isinstance(one, EgressFailed) for one in results)
    assert len({type(one) for one in results}) == 1
    assert found._under_way == {}


def test_only_so_many_fetches_are_under_way() -> None:
    inside, go = threading.Semaphore(0), threading.Event()
    hosts = Hosts(good())

    def wait() -> None:
        inside.release()
        go.wait(20)

    hosts.meanwhile = wait
    found = fetcher(hosts, Clock(), Bounds(100, 5.0, 60.0, 1000.0, 500.0, 30.0, at_once=2))
    threads = [threading.Thread(target=found.get, args=(f"{URL}{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
        inside.acquire(timeout=20)
    with pytest.raises(EgressFailed, match="too many"):
        found.get(URL)
    go.set()
    for thread in threads:
        thread.join()
    assert found.get(URL).value == 1


def test_one_source_leaves_room_for_the_others() -> None:
    inside, go = threading.Semaphore(0), threading.Event()
    hosts = Hosts(good())

    def wait() -> None:
        inside.release()
        go.wait(20)

    hosts.meanwhile = wait
    found = fetcher(hosts, Clock(), Bounds(100, 5.0, 60.0, 1000.0, 500.0, 30.0, at_once=3, of_one=2))
    threads = [
        threading.Thread(target=found.get, args=(f"{URL}{n}", source))
        for n, source in enumerate(("greedy", "greedy", "another"))
    ]
    for thread in threads[:2]:
        thread.start()
        inside.acquire(timeout=20)
    for url in (URL, f"{URL}0"):
        with pytest.raises(EgressFailed, match="of one source"):
            found.get(url, "greedy")
    threads[2].start()
    assert inside.acquire(timeout=20), "another source is served beside the two"
    go.set()
    for thread in threads:
        thread.join()
    assert found.get(URL, "greedy").value == 1 and not found._inside


def test_who_is_not_let_in_has_asked_nobody() -> None:
    inside, go, clock = threading.Semaphore(0), threading.Event(), Clock()
    hosts = Hosts(good())
    found = fetcher(hosts, clock, Bounds(100, 5.0, 60.0, 1000.0, 500.0, 30.0, at_once=1))
    asked_at = found.get(URL).asked_at

    def wait() -> None:
        inside.release()
        go.wait(20)

    hosts.meanwhile = wait
    clock.time += 61
    thread = threading.Thread(target=found.get, args=(f"{URL}0",))
    thread.start()
    inside.acquire(timeout=20)
    assert found.newer(URL, "greedy").asked_at == found.get(URL).asked_at == asked_at
    go.set()
    thread.join()
    assert found.newer(URL).asked_at == clock.time


def test_only_so_many_threads_wait_for_one_fetch() -> None:
    inside, go = threading.Semaphore(0), threading.Event()
    hosts = Hosts(good())

    def wait() -> None:
        inside.release()
        go.wait(20)

    hosts.meanwhile = wait
    found = fetcher(hosts, Clock(), Bounds(100, 5.0, 60.0, 1000.0, 500.0, 30.0, at_once=1))
    thread = threading.Thread(target=found.get, args=(URL,))
    thread.start()
    inside.acquire(timeout=20)
    with pytest.raises(EgressFailed, match="too many"):
        found.get(URL)
    go.set()
    thread.join()
    assert found.get(URL).value == 1


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.runtime.fetcher._MOST", 2)
    hosts = Hosts(good())
    found = fetcher(hosts, Clock())
    for name in "abc":
        found.get(name)
    assert found.fresh("a") is None and found.fresh("b") and found.fresh("c")
