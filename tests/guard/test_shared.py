"""RFC 9449 section 11.1: replicas of one server that share the memory of used proofs, over a real Redis."""

import secrets
from collections.abc import Callable, Iterator

import pytest
import redis

from broker.guard.guard import Guard
from broker.guard.possession import PossessionRefused, Sent, TooManyProofs
from broker.guard.shared import Shared
from tests.lab import race
from tests.proofs import Holder

ISSUER = "https://as.example"
RESOURCE = "https://mcp.example/mcp"
KEY = Holder()


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=5) as client:
        yield client


@pytest.fixture
def prefix() -> str:
    return f"t{secrets.token_hex(6)}:"


@pytest.fixture
def replica(issuer, clock) -> Callable[..., Guard]:
    def make(replays: Shared | None) -> Guard:
        return Guard(resource=RESOURCE, issuers={ISSUER: ["acme"]}, keys=issuer, clock=clock, replays=replays)

    return make


@pytest.fixture
def token(issuer) -> str:
    return issuer.token(cnf={"jkt": KEY.jkt})


def sent(proof: str) -> Sent:
    return Sent("GET", RESOURCE, "dpop", (proof,))


def test_a_proof_that_one_replica_took_the_other_refuses(replica, token, clock, store, prefix) -> None:
    one, other = (replica(Shared(store, prefix)) for _ in range(2))
    used, fresh = (sent(KEY.proof(RESOURCE, clock(), "GET", token)) for _ in range(2))
    assert one.verify(token, used).subject
    for guard in (other, one):
        with pytest.raises(PossessionRefused, match="replayed"):
            guard.verify(token, used)
    assert other.verify(token, fresh).subject
    assert replica(None).verify(token, used).subject, "one that shares nothing knows nothing"
    assert replica(Shared(store, prefix + "other:")).verify(token, used).subject


def test_of_many_replicas_that_are_shown_one_proof_at_once_one_takes_it(
    replica, token, clock, store, prefix
) -> None:
    replicas = [replica(Shared(store, prefix)) for _ in range(8)]
    proof = sent(KEY.proof(RESOURCE, clock(), "GET", token))
    results = race(8, lambda n: replicas[n].verify(token, proof))
    assert sum(isinstance(one, PossessionRefused) for one in results) == 7


def test_what_is_remembered_ends_after_the_proof_and_names_nobody(store, prefix) -> None:
    shared = Shared(store, prefix)
    assert shared.use("holder", "jti\ud800", 1000.5, 900.0)
    assert not shared.use("holder", "jti\ud800", 1000.5, 900.0)
    assert shared.use("another", "jti\ud800", 1000.5, 900.0)
    names = list(store.scan_iter(prefix + "*"))
    assert len(names) == 2 and all(101 < store.ttl(name) <= 161 for name in names)
    assert b"holder" not in b"".join(names)


def test_without_its_store_no_proof_is_taken(replica, token, clock) -> None:
    class Away:
        def set(self, name: str, value: str, *, nx: bool, ex: int) -> object:
            raise redis.ConnectionError("away")

    proof = sent(KEY.proof(RESOURCE, clock(), "GET", token))
    with pytest.raises(TooManyProofs):
        replica(Shared(Away())).verify(token, proof)
    assert replica(None).verify(token, proof).subject
