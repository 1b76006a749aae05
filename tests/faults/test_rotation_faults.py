"""Keys turn 20 times under load in two processes, one of which is killed in the middle: no caching verifier notices."""

import multiprocessing
import random
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import pytest

from broker import app as composition
from broker.cli.invariants import examined
from broker.protocol import jws
from broker.runtime import log
from broker.settings import Settings
from tests import lab as labs
from tests.engines import Engine
from tests.lab import ISSUER, Lab, race
from tests.tokens.test_rotation import CachingVerifier

ROTATIONS, KILLED_AT, MINTS, SEED = 20, 7, 8, 28
pytestmark = pytest.mark.timeout(180)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.crowd"])


@dataclass
class Clock:
    """One clock for all processes."""

    time: "Synchronized[float]"

    def now(self) -> float:
        return self.time.value


def lab_of(values: dict[str, object], time: "Synchronized[float]", engine: Engine | None = None) -> Lab:
    clock = Clock(time)
    broker = composition.compose(Settings(**values), clock=clock, kek=labs.KEK)
    return Lab(broker, clock, Path(str(values["data"])), engine)


def _replica(values: dict[str, object], time: "Synchronized[float]", pipe: Connection) -> None:
    """In the child: a broker that does what it is told, all at once."""
    log.configure("error")
    lab = lab_of(values, time)

    def do(verb: str) -> object:
        if verb == "tend":
            return [type(change).__name__ for change in lab.broker.door_keys.tend()]
        if verb == "jwks":
            answer = lab.get("/jwks")
            return dict(answer.headers), answer.json
        answer = lab.client_credentials()
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.json["access_token"]

    pipe.send("ready")
    while (verbs := pipe.recv()) is not None:
        pipe.send(
            [
                repr(one) if isinstance(one, Exception) else one
                for one in race(len(verbs), lambda i, v=verbs: do(v[i]))
            ]
        )
    lab.broker.close()


class Replica:
    """A process of its own; a verifier may fetch from it."""

    def __init__(self, values: dict[str, object], clock: Clock) -> None:
        self.clock = clock
        self._pipe, theirs = _context.Pipe()
        self.process = _context.Process(target=_replica, args=(values, clock.time, theirs))
        self.process.start()
        theirs.close()
        assert self._pipe.recv() == "ready"

    def begin(self, *verbs: str) -> None:
        self._pipe.send(verbs)

    def done(self) -> Sequence[object]:
        """What became of each; EOFError if it died over them."""
        return self._pipe.recv()

    def get(self, path: str) -> "Fetched":
        self.begin(path.removeprefix("/"))
        (answer,) = self.done()
        return Fetched(*answer)

    def end(self) -> None:
        if self.process.is_alive():
            self._pipe.send(None)
        self.process.join(20)
        self.process.kill()


@dataclass
class Fetched:
    headers: dict[str, str]
    json: dict[str, object]


@dataclass
class Fleet:
    """Two replicas, whichever stand in their places now."""

    values: dict[str, object]
    clock: Clock
    places: list[Replica]

    def replace(self, place: int, **more: object) -> None:
        self.places[place].end()
        self.places[place] = Replica({**self.values, **more}, self.clock)

    def work(self, *tending: int) -> list[str]:
        """Mint in both, while the replicas in these places tend; the tokens of whoever lived."""
        tokens: list[str] = []
        for place, replica in enumerate(self.places):
            replica.begin(*["tend"] * (place in tending), *["mint"] * MINTS)
        for place, replica in enumerate(self.places):
            try:
                answers = replica.done()[place in tending :]
            except EOFError:
                continue
            assert all(isinstance(answer, str) and answer.startswith("ey") for answer in answers), answers
            tokens += [str(answer) for answer in answers]
        return tokens


@dataclass
class Place:
    """What a verifier fetches from: an address, whoever answers there."""

    fleet: Fleet
    number: int

    @property
    def clock(self) -> Clock:
        return self.fleet.clock

    def get(self, path: str) -> Fetched:
        return self.fleet.places[self.number].get(path)


@pytest.mark.attack("FAULT-28")
def test_keys_turn_under_load_though_a_process_is_killed_in_the_middle(
    postgres_engine: Engine, tmp_path: Path
) -> None:
    values: dict[str, object] = {
        "issuer": ISSUER,
        "data": tmp_path,
        "database_url": postgres_engine.fresh(tmp_path),
        "development": True,
        "key_publish_before": 600,
        "key_retire_after": 900,
        "argon2_memory_kib": 8,
        "argon2_iterations": 1,
    }
    clock, chance = Clock(_context.Value("d", labs.START)), random.Random(SEED)
    lab = lab_of(values, clock.time, postgres_engine)
    lab.change(lambda tx: labs.populate(tx, lab.broker))
    fleet = Fleet(values, clock, [Replica(values, clock), Replica(values, clock)])
    verifiers = [CachingVerifier(Place(fleet, number), clock.now() + number * 100) for number in range(2)]
    kept: list[str] = []

    def ring() -> list[tuple[str, str]]:
        """The keys of the ring that turns; every ring has exactly one that signs."""
        published = lab.broker.door_keys.refresh().published(ISSUER)
        active = Counter(record.alg for record in published if record.state.value == "active")
        assert set(active.values()) == {1} and active["ES256"] == 1
        return [(record.kid, record.state.value) for record in published if record.alg == "ES256"]

    def verify(tokens: list[str]) -> None:
        kept[:] = [one for one in (*kept, *tokens) if jws.peek_claims(one)["exp"] > clock.now()]
        for token in kept:
            for verifier in verifiers:
                verifier.verify(token)

    try:
        turned = 0
        while turned < ROTATIONS:
            assert lab.broker.door_keys.rotate(ISSUER, "ES256"), "one begins"
            before = ring()
            if turned == KILLED_AT:
                lab.broker.door_keys.tend()
                fleet.replace(0, fail_point="keys.after_change=kill:1")
                clock.time.value += 601
                tokens = fleet.work(0)  # the key that signed is retired, the next one is not active yet
                fleet.places[0].process.join(20)
                assert fleet.places[0].process.exitcode == -signal.SIGKILL
                assert ring() == before, "nothing of it happened"
                fleet.replace(0)
                verify(tokens)
            while ("pending" in (state for _, state in before)) and ring()[0] == before[0]:
                clock.time.value += chance.uniform(120, 280)
                verify(fleet.work(0, 1))
            fleet.places[1].begin("tend", "tend")
            assert list(fleet.places[1].done()) == [[], []], "what is done is not done again"
            turned += 1
    finally:
        for replica in fleet.places:
            replica.end()
    for fact, least in (
        ("key.activated", ROTATIONS),
        ("key.retiring", ROTATIONS),
        ("key.retired", ROTATIONS - 3),
    ):
        kids = [
            str(record["change"]["kid"])
            for record in lab.facts(fact)
            if record["change"]["alg"] == "ES256" and record["issuer"] == ISSUER
        ]
        assert len(kids) == len(set(kids)) >= least, fact
    assert [row for judged in examined(lab.broker, None) for row in judged.violations] == []
    lab.broker.close()
    postgres_engine.drop(str(values["database_url"]))
