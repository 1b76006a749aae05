"""A crowd: threads in one process or more, released by one barrier at one database, on the real clock."""

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from broker import app as composition
from broker.runtime import log
from broker.runtime.clock import SystemClock
from broker.settings import Settings
from tests import lab as labs
from tests.engines import Engine
from tests.faults.load import Journal

MANY = 64
Call = tuple[str, tuple[object, ...], dict[str, object]]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.crowd"])


@dataclass(frozen=True)
class Answer:
    """What one of the crowd received."""

    status: int
    body: dict[str, object]
    began: float
    ended: float


def _values(folder: Path, database: str, more: dict[str, object]) -> dict[str, object]:
    return {
        "issuer": labs.ISSUER,
        "data": folder,
        "database_url": database,
        "development": True,
        "argon2_memory_kib": 8,
        "argon2_iterations": 1,
        "registration_per_hour": 1_000_000,
        "registration_door_per_hour": 1_000_000,
        "interactions_per_minute": 1_000_000,
        "log_level": "error",
        **more,
    }


def lab_on(values: dict[str, object], folder: Path, engine: object = None) -> labs.Lab:
    return labs.Lab(composition.compose(Settings(**values), kek=labs.KEK), SystemClock(), folder, engine)


def _replica(values: dict[str, object], folder: Path, barrier: object, pipe: Connection) -> None:
    """In the child: a broker of its own; does what it is told, in as many threads as there are calls."""
    log.configure("error")
    lab = lab_on(values, folder)
    pipe.send("ready")
    while (calls := pipe.recv()) is not None:
        answers: list[object] = [None] * len(calls)
        lab.broker.world.snapshots.refresh()  # what the test changed beside it counts now, not in 250 ms

        def one(index: int, calls: list[Call] = calls, answers: list[object] = answers) -> None:
            verb, arguments, options = calls[index]
            if len(calls) > 1:
                barrier.wait(30)
            began = time.time()
            try:
                of = lab.broker.world.ephemeral if verb == "failures" else lab
                given = getattr(of, verb)
                given = given(*arguments, **options) if callable(given) else given
                if hasattr(given, "status_code"):
                    given = Answer(given.status_code, given.get_json(silent=True) or {}, began, time.time())
                answers[index] = given
            except Exception as error:
                answers[index] = RuntimeError(repr(error))

        threads = [threading.Thread(target=one, args=(index,)) for index in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pipe.send(answers)
    lab.broker.close()


class Crowd:
    """`replicas` processes over a new database; everything asked and received is in the journal."""

    def __init__(self, engine: Engine, folder: Path, replicas: int, **settings: object) -> None:
        self.engine, self._folder = engine, folder
        self.journal = Journal(folder / "journal")
        self._values = _values(folder, engine.fresh(folder), settings)
        self._replicas = replicas
        self._pipes: list[Connection] = []
        self._children: list[BaseProcess] = []

    def __enter__(self) -> "Crowd":
        lab = self.lab()
        lab.change(lambda tx: labs.populate(tx, lab.broker))
        lab.broker.close()
        barrier = _context.Barrier(MANY)
        for _ in range(self._replicas):
            ours, theirs = _context.Pipe()
            child = _context.Process(target=_replica, args=(self._values, self._folder, barrier, theirs))
            child.start()
            self._pipes.append(ours)
            self._children.append(child)
        for pipe in self._pipes:
            assert pipe.recv() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as ending:
            ending.callback(self.engine.drop, str(self._values["database_url"]))
            for pipe, child in zip(self._pipes, self._children, strict=True):
                pipe.send(None)
                child.join(20)
                child.kill()

    def lab(self) -> labs.Lab:
        """A broker in this process; close it."""
        return lab_on(self._values, self._folder, self.engine)

    def ask(self, verb: str, *arguments: object, **options: object) -> object:
        """One call, by the first process."""
        (found,) = self._told([[(verb, arguments, options)]])
        return self._kept(verb, arguments, found) if isinstance(found, Answer) else found

    def each(self, verb: str) -> list[int]:
        """One call by every process."""
        return [int(str(found)) for found in self._told([[(verb, (), {})] for _ in self._pipes])]

    def race(self, *calls: Call) -> list[Answer]:
        """All calls at once, spread over the processes; a short list is repeated until there are `MANY`."""
        full = [calls[index % len(calls)] for index in range(MANY)]
        # In pairs, so that of two kinds of call every process has both.
        shares = [
            [
                call
                for place, call in enumerate(full)
                if place // min(len(calls), 2) % self._replicas == number
            ]
            for number in range(self._replicas)
        ]
        answers = self._told(shares)
        told = [call for share in shares for call in share]
        for (verb, arguments, _), answer in zip(told, answers, strict=True):
            assert answer is None or isinstance(answer, Answer), answer
            if answer is not None:
                self._kept(verb, arguments, answer)
        return [answer for answer in answers if isinstance(answer, Answer)]

    def _told(self, shares: Sequence[list[Call]]) -> list[object]:
        for pipe, share in zip(self._pipes, shares, strict=False):
            pipe.send(share)
        return [answer for pipe, _ in zip(self._pipes, shares, strict=False) for answer in pipe.recv()]

    def _kept(self, verb: str, arguments: tuple[object, ...], answer: Answer) -> Answer:
        asked = {"redeem": "authorization_code", "refresh": "refresh_token", "poll": labs.DEVICE}.get(
            verb, verb
        )
        client = {"exchange": "tickets-server", "poll": "tv-app"}.get(verb, "desk-app")
        if verb in ("redeem", "poll", "refresh", "exchange", "revoke", "register"):
            self.journal.write(
                asked=asked,
                client=client,
                presented=str(arguments[0]) if arguments and verb != "register" else None,
                began=answer.began,
                ended=answer.ended,
                status=answer.status,
                retry_after=False,
                answer=answer.body,
            )
        return answer


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)
