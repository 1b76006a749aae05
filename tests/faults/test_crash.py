"""Laws 1, 2 and 6 under `kill -9`: a server dies at each fail point under load, and what it promised holds."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from broker.admin.journal import read
from broker.audit import trace
from broker.cli.invariants import examined
from broker.runtime.failpoints import POINTS
from tests.engines import Engine
from tests.faults.load import Client, Journal, NoAnswer, Worker, under_load
from tests.faults.site import Site
from tests.lab import claims

ROUNDS, WORKERS, SEED = 20, 5, 20_27
BROKER = str(Path(sys.executable).with_name("broker"))


def violations(site: Site, journal: Journal) -> list[str]:
    """What the invariants program finds, in this process."""
    with site.opened() as broker, journal.path.open(encoding="utf-8") as lines:
        return [f"{j.id}: {row}" for j in examined(broker, read(lines)) for row in j.violations]


@pytest.mark.attack("FAULT-01", "FAULT-03")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", POINTS)
def test_a_server_killed_at_a_fail_point_under_load_breaks_no_promise(
    either: Engine, tmp_path: Path, point: str
) -> None:
    site, chance = Site(either, tmp_path), random.Random(SEED)
    journal = Journal(tmp_path / "journal")
    workers = [
        Worker(Client(site.issuer, journal), random.Random(SEED + number)) for number in range(WORKERS)
    ]
    turns = point.startswith("keys.")
    for number in range(ROUNDS):
        armed = f"{point}=kill:{chance.randint(1, 2) if turns else chance.randint(1, 12)}"
        with site.served(fail_point=armed) as child, under_load(workers) as over:
            if turns:
                site.turn_keys()
            child.join(30)
            over.set()
            assert child.exitcode == -signal.SIGKILL, (number, armed, child.exitcode, site.log())
        found = violations(site, journal)
        assert not found, (number, armed, found)
    lost = _finish(site, journal, workers)
    if point in ("token.after_commit", "token.before_answer"):
        assert lost, "some died between commit and answer"
    with site.opened() as broker:
        made = {
            record.members["decision"]
            for record in trace.query(broker.world.database, fact="decision.made", most=100_000)
        }
    permitted = [decision for worker in workers for decision in worker.client.permitted]
    assert permitted and made.issuperset(permitted), "a call went ahead of which nothing is known"
    assert site.active_keys() == 1
    assert site.log() == ""


def _finish(site: Site, journal: Journal, workers: list[Worker]) -> list[str]:
    """Serve once more, let everybody try again what broke off, and run the program as operators do.

    What it lists as made and received by nobody.
    """
    with site.served(), under_load(workers) as over:
        before = len(journal)
        while len(journal) < before + 60:
            over.wait(0.05)
    done = subprocess.run(
        (BROKER, "invariants", "--journal", str(journal.path), "--skew", "0", "-o", "json"),
        cwd=site.folder,
        env=site.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == "ok" and {item["status"] for item in told["invariants"]} == {"ok"}
    entries = journal.entries()
    answered = {str(entry["asked"]) for entry in entries if entry["status"] in (200, 201)}
    assert len(answered) == 6 and any(entry["status"] is None for entry in entries)
    notes: list[str] = next(item for item in told["invariants"] if item["id"] == "I4")["notes"]
    return notes


@contextmanager
def dev(site: Site, fail_point: str) -> Iterator[None]:
    """`broker dev`, which replaces a worker that dies; all of it is killed at the end."""
    with (site.folder / "dev.log").open("ab") as log:
        process = subprocess.Popen(
            (BROKER, "dev", "--data", str(site.folder), "--port", str(site.port)),
            cwd=site.folder,
            env=site.environment() | {"BROKER_FAIL_POINT": fail_point},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        site.wait(lambda: process.poll() is None)
        yield
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def patiently(act: Callable[[], httpx2.Response]) -> httpx2.Response:
    """As clients do it: again, until there is an answer."""
    ends = time.monotonic() + 40
    while True:
        try:
            return act()
        except NoAnswer:
            assert time.monotonic() < ends, "nobody answers any more"
            time.sleep(0.1)


@pytest.mark.attack("FAULT-01", "FAULT-02")
def test_what_a_killed_server_did_and_did_not_do_is_known_afterwards(either: Engine, tmp_path: Path) -> None:
    site, journal = Site(either, tmp_path), Journal(tmp_path / "journal")
    client = Client(site.issuer, journal)
    with site.served():
        early, late = client.code(), client.code()
    with dev(site, "token.before_commit=kill"), pytest.raises(NoAnswer):
        client.redeem(early)
    with dev(site, "token.after_commit=kill:2"):
        assert client.redeem(early).status_code == 200, "it was not spent"
        with pytest.raises(NoAnswer):
            client.redeem(late)
        again = patiently(lambda: client.redeem(late))  # by the worker that took the dead one's place
    assert again.status_code == 400 and again.json()["error"] == "invalid_grant"
    with site.opened() as broker, journal.path.open(encoding="utf-8") as lines:
        found = examined(broker, read(lines))
        assert [row for judged in found for row in judged.violations] == []
        (lost,) = next(judged.notes for judged in found if judged.id == "I4")
    assert "delivery unknown, revocable by gra_" in lost


@pytest.mark.attack("FAULT-02")
def test_a_refresh_whose_answer_was_lost_gets_the_same_successor(either: Engine, tmp_path: Path) -> None:
    site, journal = Site(either, tmp_path), Journal(tmp_path / "journal")
    client = Client(site.issuer, journal)
    with site.served(fail_point="token.after_commit=kill:2"):
        held = client.redeem(client.code()).json()
        with pytest.raises(NoAnswer):
            client.refresh(held["refresh_token"])
    with site.served():
        second = client.refresh(held["refresh_token"])
        assert second.status_code == 200
        assert client.refresh(second.json()["refresh_token"]).status_code == 200
        assert client.revoke(second.json()["access_token"]).status_code == 200
    with site.opened() as broker, journal.path.open(encoding="utf-8") as lines:
        found = examined(broker, read(lines))
        assert [row for judged in found for row in judged.violations] == []
        grant = str(claims(held["access_token"])["grant_id"])
        rotated = trace.query(broker.world.database, fact="refresh.rotated")
        assert [record.members["grant_id"] for record in rotated] == [grant, grant], "one line, three tokens"
        repeated = trace.query(broker.world.database, fact="refresh.repeated")
        assert len(repeated) == 1
