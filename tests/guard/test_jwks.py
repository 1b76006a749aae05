import gzip
import threading
from collections.abc import Callable

import httpx2
import pytest

from broker.guard.fetch import LARGEST, Answer, Http, RequestFailed
from broker.guard.jwks import KeysUnavailable, RemoteJwks
from broker.guard.verifier import TokenRefused, Verifier
from broker.protocol.jws import ALGORITHMS

NOW = 1_800_000_000.0
ISSUER = "https://as.example"
RESOURCE = "https://mcp.example/mcp"


class Server:
    """Answers for an issuer and counts how often it was asked."""

    def __init__(self, body: bytes, cache_control: str | None = "public, max-age=300") -> None:
        self.body = body
        self.headers = {"cache-control": cache_control} if cache_control else {}
        self.status = 200
        self.down = False
        self.asked: list[str] = []

    def fetch(self, url: str) -> Answer:
        self.asked.append(url)
        if self.down:
            raise RequestFailed("down")
        return Answer(self.status, self.headers, self.body)


class Later:
    """Holds background work until it is run."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self.work.append(work)

    def run(self) -> None:
        while self.work:
            self.work.pop()()


@pytest.fixture
def server(issuer) -> Server:
    return Server(issuer.jwks())


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def source(server, clock, later) -> RemoteJwks:
    return RemoteJwks(server.fetch, clock, background=later)


def test_keys_are_fetched_once_while_fresh(source, server, clock) -> None:
    assert list(source.keys(ISSUER)) == ["k1"]
    clock.now += 299
    assert list(source.keys(ISSUER)) == ["k1"]
    assert server.asked == ["https://as.example/jwks"]


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("max-age=1", 60),
        ("max-age=99999", 3600),
        ("max-age=120, public", 120),
        (None, 300),
        ("no-store", 300),
        ("s-maxage=900", 300),
    ],
)
def test_freshness_follows_max_age_within_bounds(
    issuer, clock, later, cache_control: str | None, seconds: int
) -> None:
    server = Server(issuer.jwks(), cache_control)
    source = RemoteJwks(server.fetch, clock, background=later)
    source.keys(ISSUER)
    clock.now += seconds - 1
    source.keys(ISSUER)
    assert later.work == []
    clock.now += 1
    source.keys(ISSUER)
    assert len(later.work) == 1


def test_stale_keys_are_served_while_one_background_fetch_replaces_them(
    source, server, clock, later, issuer
) -> None:
    source.keys(ISSUER)
    server.body = type(issuer)("k2").jwks()
    clock.now += 301
    for _ in range(5):
        assert list(source.keys(ISSUER)) == ["k1"]
    assert len(later.work) == 1
    later.run()
    assert list(source.keys(ISSUER)) == ["k2"]
    assert len(server.asked) == 2


@pytest.mark.attack("JOSE-19")
@pytest.mark.parametrize("trouble", ["down", "status", "junk", "empty", "not json"])
def test_an_error_keeps_the_last_good_set_for_an_hour_and_no_longer(
    source, server, clock, later, trouble: str
) -> None:
    source.keys(ISSUER)
    server.down = trouble == "down"
    server.status = 500 if trouble == "status" else 200
    if trouble in ("junk", "empty", "not json"):
        server.body = {"junk": b"[1]", "empty": b'{"keys":[]}', "not json": b"<html>\xff"}[trouble]
    clock.now += 301
    assert source.keys(ISSUER)
    later.run()
    clock.now += 3500
    assert list(source.keys(ISSUER)) == ["k1"]
    clock.now += 100
    with pytest.raises(KeysUnavailable):
        source.keys(ISSUER)


def test_failing_background_fetches_are_spaced_by_the_interval(source, server, clock, later) -> None:
    source.keys(ISSUER)
    server.down = True
    clock.now += 301
    for _ in range(10):
        source.keys(ISSUER)
        later.run()
        clock.now += 5
    assert len(server.asked) == 1 + 2


def test_the_first_fetch_may_fail_and_is_soon_tried_again(source, server, clock) -> None:
    server.down = True
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            source.keys(ISSUER)
    assert len(server.asked) == 1
    server.down = False
    clock.now += 1
    assert list(source.keys(ISSUER)) == ["k1"]


@pytest.mark.attack("KEYS-11")
def test_unknown_kids_cost_one_fetch_per_interval(source, server, clock, issuer) -> None:
    verifier = Verifier({ISSUER: "*"}, RESOURCE, ALGORITHMS, source, clock)
    assert verifier.verify(issuer.token())
    stranger = type(issuer)("unknown")
    for number in range(50):
        with pytest.raises(TokenRefused, match="unknown_key"):
            verifier.verify(stranger.token(jti=str(number)))
        clock.now += 0.5
    assert len(server.asked) == 2
    clock.now += 5
    with pytest.raises(TokenRefused):
        verifier.verify(stranger.token())
    assert len(server.asked) == 3


def test_a_new_key_is_found_by_its_first_token(source, server, clock, issuer) -> None:
    verifier = Verifier({ISSUER: "*"}, RESOURCE, ALGORITHMS, source, clock)
    verifier.verify(issuer.token())
    fresh = type(issuer)("k2")
    server.body = fresh.jwks()
    assert verifier.verify(fresh.token())
    assert len(server.asked) == 2


@pytest.mark.attack("KEYS-11")
@pytest.mark.parametrize("ask", ["keys", "refetched"])
def test_callers_at_the_same_time_share_one_fetch(clock, issuer, ask: str) -> None:
    inside, go_on = threading.Event(), threading.Event()
    asked: list[str] = []

    def fetch(url: str) -> Answer:
        asked.append(url)
        inside.set()
        assert go_on.wait(10)
        return Answer(200, {}, issuer.jwks())

    source = RemoteJwks(fetch, clock)
    found: list[list[str]] = []
    callers = [
        threading.Thread(target=lambda: found.append(list(getattr(source, ask)(ISSUER)))) for _ in range(8)
    ]
    for caller in callers:
        caller.start()
    assert inside.wait(10)
    go_on.set()
    for caller in callers:
        caller.join(10)
    assert found == [["k1"]] * 8
    assert len(asked) == 1


def test_issuers_do_not_share_keys(clock, issuer, later) -> None:
    other = type(issuer)("o1")
    bodies = {"https://as.example/jwks": issuer.jwks(), "https://as.example/t/acme/jwks": other.jwks()}
    source = RemoteJwks(lambda url: Answer(200, {}, bodies[url]), clock, background=later)
    assert list(source.keys(ISSUER)) == ["k1"]
    assert list(source.keys(f"{ISSUER}/t/acme")) == ["o1"]


def http(clock, handler: Callable[[httpx2.Request], httpx2.Response]) -> Http:
    return Http(clock, httpx2.Client(transport=httpx2.MockTransport(handler)))


@pytest.mark.attack("JOSE-19")
def test_a_redirect_is_not_followed(clock) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/jwks"
        return httpx2.Response(302, headers={"Location": "https://evil.example/"})

    with pytest.raises(RequestFailed, match="redirect"):
        http(clock, handler).get("https://as.example/jwks")


@pytest.mark.attack("JOSE-19")
def test_an_answer_is_read_up_to_256_kib(clock) -> None:
    sizes = iter([LARGEST, LARGEST + 1])
    client = http(clock, lambda request: httpx2.Response(200, content=b"x" * next(sizes)))
    assert len(client.get("https://as.example/jwks").body) == LARGEST
    with pytest.raises(RequestFailed, match="large"):
        client.get("https://as.example/jwks")


@pytest.mark.attack("JOSE-19")
def test_a_compressed_answer_is_not_unpacked(clock) -> None:
    packed = gzip.compress(b"x" * 10_000_000)
    with pytest.raises(RequestFailed, match="compressed"):
        http(
            clock,
            lambda _: httpx2.Response(200, content=iter([packed]), headers={"Content-Encoding": "gzip"}),
        ).get("https://as.example/jwks")


@pytest.mark.attack("JOSE-19")
def test_an_answer_that_trickles_is_given_up(clock) -> None:
    def trickle():
        for _ in range(10):
            clock.now += 1
            yield b"x"

    with pytest.raises(RequestFailed, match="slow"):
        http(clock, lambda request: httpx2.Response(200, content=trickle())).get("https://as.example/jwks")


@pytest.mark.parametrize(
    "url", ["http://as.example/jwks", "http://localhost.example/jwks", "file:///etc/passwd", "ftp://x/"]
)
def test_only_https_is_asked(clock, url: str) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError("asked")

    with pytest.raises(RequestFailed, match="https"):
        http(clock, handler).get(url)


@pytest.mark.parametrize(
    "url", ["https://as.example/jwks", "http://127.0.0.1:8400/jwks", "http://localhost/jwks"]
)
def test_loopback_may_be_asked_in_the_clear(clock, url: str) -> None:
    assert http(clock, lambda request: httpx2.Response(200, content=b"{}")).get(url).status == 200


def test_a_network_error_is_a_failed_request(clock) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no route")

    with pytest.raises(RequestFailed):
        http(clock, handler).get("https://as.example/jwks")


def test_keys_are_at_hand_from_the_first_fetch_until_they_are_too_old_to_serve(source, clock) -> None:
    assert not source.at_hand(ISSUER)
    source.keys(ISSUER)
    assert source.at_hand(ISSUER)
    clock.now += 3600
    assert source.at_hand(ISSUER)
    clock.now += 301
    assert not source.at_hand(ISSUER)
