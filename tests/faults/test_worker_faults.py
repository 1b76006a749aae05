"""A worker of `broker serve` without files or memory, under load: it dies and is replaced, and nothing is half done."""

import os
import random
import resource
import signal
import sys
from pathlib import Path

import pytest

from broker.admin.journal import read
from broker.cli import serve
from broker.cli.invariants import examined
from broker.cli.local import Place, opened
from tests.engines import Engine
from tests.faults.load import Client, Journal, Worker, under_load
from tests.faults.site import ESTATE
from tests.serve.sites import Site, site_on, until

WORKERS, SEED = 6, 38
PLENTY = {"BROKER_INTERACTIONS_PER_MINUTE": "1000000", "BROKER_REGISTRATION_PER_HOUR": "1000000"}
LIMITS = {"files": resource.RLIMIT_NOFILE, "memory": resource.RLIMIT_AS}
TOKEN = {"access_token", "token_type", "expires_in", "scope"}
pytestmark = pytest.mark.timeout(180)


def starve(process: int, what: str) -> None:
    """From now on it gets no file or no memory more than it has."""
    if what == "files":
        most = len(os.listdir(f"/proc/{process}/fd")) // 2
    else:
        most = int(Path(f"/proc/{process}/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.prlimit(process, LIMITS[what])
    resource.prlimit(process, LIMITS[what], (most, hard))


def sound(site: Site, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The invariants program finds nothing."""
    for name, value in site.environment().items():
        if name.startswith("BROKER_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(site.folder)
    with opened(Place(None, None)) as broker, journal.path.open(encoding="utf-8") as lines:
        found = examined(broker, read(lines))
    assert [f"{judged.id}: {row}" for judged in found for row in judged.violations] == []


@pytest.mark.attack("FAULT-38")
@pytest.mark.parametrize("what", LIMITS)
def test_a_worker_that_can_have_no_more_dies_and_is_replaced(
    postgres_engine: Engine, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, journal = site_on(postgres_engine, tmp_path / "site", ESTATE), Journal(tmp_path / "journal")
    load = [Worker(Client(site.issuer, journal), random.Random(SEED + number)) for number in range(WORKERS)]

    def answered(more: int) -> None:
        enough = journal.path.read_bytes().count(b"\n") + more
        until(lambda: journal.path.read_bytes().count(b"\n") >= enough, f"{more} more answers")

    with site.served("--workers", "2", **PLENTY) as running:
        until(lambda: len(running.workers()) == 2, "two workers")
        starved, other = running.workers()
        with under_load(load[:1]):
            answered(10)
            starve(starved, what)
            with under_load(load[1:]):  # more than it has threads for
                until(lambda: starved not in running.workers(), "its death")
                until(lambda: len(running.workers()) == 2, "another one")
                answered(60)
        assert other in running.workers(), "the other one lives"
        assert running.status("/readyz") == 200
        assert running.stop() == 0
    for entry in journal.entries():
        assert entry["status"] in (200, 201, 400, 503, None), entry
        if entry["status"] == 200 and entry["asked"] != "revoke":
            assert TOKEN <= set(dict(entry["answer"])), "whole, if there is one"
    sound(site, journal, monkeypatch)


@pytest.mark.parametrize("what", LIMITS)
def test_a_worker_bears_a_short_want(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd of connections that passes, or a worker that dies again within seconds, would end the whole server."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *given: killed.append(given))
    spare = serve._Spare()
    for short in (serve._SPARE_ROUNDS - 1, serve._SPARE_ROUNDS - 1, serve._SPARE_ROUNDS):
        assert killed == []
        with monkeypatch.context() as want:
            if what == "files":
                want.setattr(os, "devnull", "/nothing/here")
            else:
                want.setattr(serve, "_SPARE_BYTES", sys.maxsize)
            for _ in range(short):
                spare()
        spare()
    assert killed == [(os.getpid(), signal.SIGKILL)]
