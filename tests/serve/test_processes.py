"""Several processes on one database: each serves, one tends, and their metrics are one server's."""

import os
import signal
from pathlib import Path

import httpx2
import pytest

from tests.serve.sites import Running, Site, until

HELD = [f"broker_leases_held duty={name}" for name in ("keys", "sweep")]
ISSUED = "broker_tokens_issued_total grant_type=client_credentials"


@pytest.mark.parametrize("where", ["site", "shared_site"])
def test_a_worker_of_its_own_tends_and_stops_when_told(where: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(where)
    with site.started("worker", "--metrics-port", str(site.metrics_port)) as worker:
        until(lambda: worker.ended() or _runs(worker, "sweep") >= 2, "two rounds")
        assert not worker.ended(), site.log()
        assert [worker.metrics()[name] for name in HELD] == [1, 1]
        assert worker.stop() == 0
    assert site.log() == ""


def test_a_server_without_worker_leaves_duties_to_others(site: Site) -> None:
    with site.served("--no-worker") as running:
        until(lambda: "broker_signing_keys state=active" in running.metrics(), "a round of its own duties")
        assert not any(name in running.metrics() for name in HELD)
        assert running.stop() == 0


def test_two_workers_share_the_requests_and_one_of_them_the_duties(shared_site: Site) -> None:
    with shared_site.served("--workers", "2") as running:
        until(lambda: len(running.workers()) == 2, "two workers")
        for _ in range(40):
            assert running.token().status_code == 200
        assert running.metrics()[ISSUED] == 40, "of both, summed"
        until(lambda: running.metrics().get(HELD[0]), "somebody tends")
        assert [running.metrics()[name] for name in HELD] == [1, 1]
        assert running.stop() == 0


def test_a_second_replica_takes_the_duties_over(shared_site: Site, tmp_path: Path) -> None:
    from tests.live import free_port

    other = Site(shared_site.folder, shared_site.database, free_port(), free_port())
    with shared_site.served() as first:
        until(lambda: first.metrics().get(HELD[0]), "the first tends")
        with other.served() as second:
            until(lambda: HELD[0] in second.metrics(), "the second asked")
            assert [second.metrics()[name] for name in HELD] == [0, 0]
            assert first.stop() == 0
            until(lambda: [second.metrics()[name] for name in HELD] == [1, 1], "handed over", 15)
            assert second.stop() == 0


def test_a_worker_killed_among_two_costs_the_others_nothing(shared_site: Site) -> None:
    with shared_site.served("--workers", "2") as running:
        until(lambda: len(running.workers()) == 2, "two workers")
        before = running.workers()
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(running.workers()) == 2 and running.workers() != before, "two again")
        until(lambda: running.status("/readyz") == 200, "ready")
        assert running.token().status_code == 200
        assert running.stop() == 0


def _runs(running: Running, duty: str) -> float:
    try:
        return float(running.metrics().get(f"broker_duty_runs_total duty={duty} outcome=done", 0))
    except httpx2.TransportError:
        return 0.0
