"""Where the keys of a trusted issuer come from: written down, an address, or its metadata; asked for within bounds."""

import json
import threading

import pytest

from broker.identity.federation.trusted.keys import IssuerKeys
from broker.identity.federation.trusted.model import TrustedIssuer, Use
from broker.identity.federation.upstream import Unavailable
from broker.runtime.egress import Answer, EgressRefused
from tests.lab import Clock

ISSUER = "https://idp.example/realms/a"
OPENID = f"{ISSUER}/.well-known/openid-configuration"
OAUTH = "https://idp.example/.well-known/oauth-authorization-server/realms/a"
KEYS = "https://keys.example/a"
FIRST, SECOND = {"keys": [{"kid": "1"}]}, {"keys": [{"kid": "2"}]}


class Net:
    """Stands where egress stands: `pages` by address, `asked` in order."""

    def __init__(self, **pages: object) -> None:
        self.pages: dict[str, object] = {}
        self.asked: list[str] = []

    def get(self, url: str, *, largest: int, seconds: float) -> Answer:
        self.asked.append(url)
        if not url.startswith("https://"):
            raise EgressRefused("not https")
        found = self.pages.get(url)
        return Answer(404 if found is None else 200, {}, json.dumps(found).encode())


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(net: Net, clock: Clock) -> IssuerKeys:
    return IssuerKeys(net, clock)


def entry(name: str = "idp", **members: object) -> TrustedIssuer:
    return TrustedIssuer(name, ISSUER, None, ("acme",), (Use.WORKLOAD,), **members)


@pytest.mark.requirement("EXT-WIF-04")
def test_keys_are_found_by_the_issuers_metadata_of_openid_or_else_of_oauth(
    net: Net, keys: IssuerKeys
) -> None:
    net.pages = {OAUTH: {"issuer": ISSUER, "jwks_uri": KEYS}, KEYS: FIRST}
    assert keys.of(entry()) == FIRST and net.asked == [OPENID, OAUTH, KEYS]
    assert keys.of(entry()) == FIRST and net.asked.count(KEYS) == 1


@pytest.mark.requirement("EXT-WIF-04")
@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": f"{ISSUER}/", "jwks_uri": KEYS},
        {"issuer": "https://evil.example", "jwks_uri": KEYS},
        {"issuer": ISSUER, "jwks_uri": "http://keys.example/a"},
        {"issuer": ISSUER, "jwks_uri": "https://user@keys.example/a"},
        {"issuer": ISSUER},
        [],
    ],
)
def test_metadata_of_another_or_with_keys_in_clear_is_not_followed(
    net: Net, keys: IssuerKeys, metadata: object
) -> None:
    net.pages = {OPENID: metadata, KEYS: FIRST}
    with pytest.raises(Unavailable):
        keys.of(entry())
    assert KEYS not in net.asked


def test_what_is_written_down_is_never_asked_for(net: Net, keys: IssuerKeys) -> None:
    assert keys.of(entry(jwks=json.dumps(FIRST)), newer=True) == FIRST
    net.pages = {KEYS: SECOND}
    assert keys.of(entry(jwks_uri=KEYS)) == SECOND and net.asked == [KEYS]


def test_tokens_with_keys_that_are_not_there_ask_for_them_once_in_a_while(
    net: Net, keys: IssuerKeys, clock: Clock
) -> None:
    net.pages, there = {KEYS: FIRST}, entry(jwks_uri=KEYS)
    keys.of(there)
    net.pages = {KEYS: SECOND}
    for _ in range(5):
        keys.of(there, newer=True)
    assert net.asked == [KEYS]
    clock.advance(31)
    assert [keys.of(there, newer=True) for _ in range(5)] == [SECOND] * 5 and net.asked == [KEYS, KEYS]


def test_keys_of_an_issuer_that_is_away_are_used_for_an_hour_and_no_longer(
    net: Net, keys: IssuerKeys, clock: Clock
) -> None:
    net.pages, there = {KEYS: FIRST}, entry(jwks_uri=KEYS)
    keys.of(there)

    def away(*_: object, **__: object) -> Answer:
        return Answer(503, {}, b"")

    net.get = away  # type: ignore[method-assign]
    clock.advance(1800)
    assert keys.of(there) == FIRST
    clock.advance(3600)
    with pytest.raises(Unavailable):
        keys.of(there)


@pytest.mark.parametrize("newer", [False, True])
def test_a_slow_issuer_takes_the_keys_of_no_other(net: Net, keys: IssuerKeys, newer: bool) -> None:
    inside, go, get = threading.Semaphore(0), threading.Event(), net.get
    net.pages = {KEYS: FIRST, f"{KEYS}1": FIRST, f"{KEYS}2": FIRST, f"{KEYS}3": FIRST}

    def slow(url: str, **bounds: int) -> Answer:
        if url != KEYS:
            inside.release()
            go.wait(20)
        return get(url, **bounds)

    net.get = slow  # type: ignore[method-assign]
    threads = [
        threading.Thread(
            target=keys.of, args=(entry("slow", jwks_uri=f"{KEYS}{n}"),), kwargs={"newer": newer}
        )
        for n in "12"
    ]
    for thread in threads:
        thread.start()
        assert inside.acquire(timeout=20)
    with pytest.raises(Unavailable, match="of one source"):
        keys.of(entry("slow", jwks_uri=f"{KEYS}3"), newer=newer)
    assert keys.of(entry(jwks_uri=KEYS), newer=newer) == FIRST
    go.set()
    for thread in threads:
        thread.join()
