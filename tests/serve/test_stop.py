"""The end of a server, asked for or not: what is under way finishes, nothing hangs, nobody is left behind."""

import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.serve.sites import Site, until


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """While inside, units of work wait for the database, begun and not done."""
    with sqlite3.connect(site.folder / "broker.db", timeout=10, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def stored(site: Site, fact: str) -> int:
    with sqlite3.connect(site.folder / "broker.db", timeout=10) as database:
        found = database.execute("SELECT count(*) FROM audit_record WHERE fact = ?", (fact,)).fetchone()
    return int(found[0])


def test_requests_under_way_finish_and_new_ones_are_refused_meanwhile(site: Site) -> None:
    with site.served() as running, ThreadPoolExecutor(4) as pool:
        with locked(site):
            waiting = [pool.submit(running.token) for _ in range(4)]
            until(lambda: running.metrics()["broker_requests_under_way"] == 4, "four requests under way")
            running.process.send_signal(signal.SIGTERM)
            until(lambda: not accepts(site.port), "closed to new connections")
            assert not running.ended()
        assert [answer.result(30).status_code for answer in waiting] == [200] * 4
        assert running.process.wait(30) == 0
    assert stored(site, "token.issued") == 4
    levels = {line["level"] for line in site.lines()}
    assert "error" not in levels, site.log()


def test_told_to_stop_while_it_starts_it_stops_soon(site: Site) -> None:
    with site.started("serve") as running:
        until(lambda: accepts(site.metrics_port), "the private port, open before workers are")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) in (0, -signal.SIGTERM)


def test_a_client_that_never_finishes_does_not_hold_the_server_for_ever(site: Site) -> None:
    with site.served(BROKER_STOP_TIMEOUT="1") as running:
        with socket.create_connection(("127.0.0.1", site.port), 10) as idle:
            idle.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab")
            running.token()
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(15) == 0


def test_a_worker_that_dies_is_replaced_and_what_it_counted_stays(site: Site) -> None:
    issued = "broker_tokens_issued_total grant_type=client_credentials"
    with site.served() as running:
        assert running.token().status_code == 200
        [worker] = running.workers()
        os.kill(worker, signal.SIGKILL)
        until(lambda: running.workers() not in ([], [worker]), "another worker")
        until(lambda: running.status("/readyz") == 200, "ready again")
        assert running.token().status_code == 200
        assert running.metrics()[issued] == 2
        assert running.stop() == 0


def test_workers_whose_parent_is_killed_leave_too(site: Site) -> None:
    with site.served() as running:
        running.process.kill()
        running.process.wait()
        until(lambda: not accepts(site.port), "the port free again", 15)
        until(lambda: not accepts(site.metrics_port), "the private port free again", 15)


def test_a_port_that_is_taken_is_said_not_shared(site: Site) -> None:
    with site.served():
        found = site.run("serve", BROKER_METRICS_PORT="0")
        assert found.returncode == 1 and f"127.0.0.1:{site.port}" in found.stderr
        found = site.run("serve", BROKER_PORT="8499", BROKER_ISSUER="http://127.0.0.1:8499")
        assert found.returncode == 1 and "metrics_port" in found.stderr
