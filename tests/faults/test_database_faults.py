"""Laws 1, 2 and 6 while PostgreSQL is cut off or silent: 503 in bounded time, nothing done twice, healed by itself."""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from broker import app as composition
from broker.runtime.database import Unavailable, Unknown, bump, stamps
from broker.runtime.postgres import PostgresDatabase
from broker.settings import Settings
from tests.engines import Postgres
from tests.faults.load import Client, Journal, Worker, under_load
from tests.faults.proxy import Mode, Proxy, Way
from tests.faults.rig import PATIENCE, lab_over, sound
from tests.faults.site import Site, _Quiet
from tests.faults.test_crash import violations
from tests.lab import Lab, assert_refused
from tests.serve.sites import until

COMMITTED = b"COMMIT\0Z"  # the tag of the answer (PostgreSQL: CommandComplete, ReadyForQuery)


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[Proxy]:
    """In front of the run's server."""
    server = psycopg.conninfo.conninfo_to_dict(postgres_url)
    host, port = str(server.get("host") or "127.0.0.1"), int(str(server.get("port") or 5432))
    with Proxy(*((f"{host}/.s.PGSQL.{port}",) if host.startswith("/") else (host, port))) as made:
        yield made


def by_way_of(proxy: Proxy, url: str) -> str:
    there = make_url(url).set(host="127.0.0.1", port=proxy.port, query={})
    return there.render_as_string(hide_password=False)


@pytest.fixture
def far(proxy: Proxy, postgres_engine: Postgres, tmp_path: Path) -> Iterator[Lab]:
    """A broker whose way to PostgreSQL leads through the proxy."""
    url = by_way_of(proxy, postgres_engine.fresh(tmp_path))
    lab = lab_over(PostgresDatabase(url, patience=PATIENCE), url, tmp_path, postgres_engine)
    yield lab
    proxy.set(Mode.PASS)
    sound(lab)
    lab.broker.close()
    postgres_engine.drop(url)


@contextmanager
def cutting(proxy: Proxy, sign: bytes, way: Way, *, for_good: bool = False) -> Iterator[list[bytes]]:
    """Break off the first connection that carries `sign`, just before it arrives; `for_good`: keep it like that."""
    cut: list[bytes] = []

    def watch(going: Way, data: bytes) -> None:
        if going == way and sign in data and not cut:
            cut.append(data)
            if for_good:
                proxy.set(Mode.CUT)
            else:
                proxy.cut()

    proxy.watch = watch
    yield cut
    proxy.watch = lambda *_: None
    proxy.set(Mode.PASS)


def acts(lab: Lab) -> dict[str, tuple[Callable[[], TestResponse], str]]:
    """Everything that changes something over HTTP, once each, and the fact that says that it happened."""
    held = lab.tokens(scope="tickets:read offline_access")
    code = lab.code()
    return {
        "authorization_code": (lambda: lab.redeem(code), "code.consumed"),
        "refresh_token": (lambda: lab.refresh(held["refresh_token"]), "refresh.rotated"),
        "exchange": (lambda: lab.exchange(held["access_token"]), "exchange.granted"),
        "register": (lab.register, "client.registered"),
        "revoke": (lambda: lab.revoke(held["access_token"]), "grant.revoked"),
    }


@pytest.mark.attack("FAULT-06")
def test_a_commit_whose_answer_is_cut_off_is_looked_up_and_answered(far: Lab, proxy: Proxy) -> None:
    for name, (act, fact) in acts(far).items():
        before = len(far.facts(fact))
        with cutting(proxy, COMMITTED, "down") as cut:
            answer = act()
        assert cut and answer.status_code in (200, 201), (name, answer.status_code, answer.data)
        assert len(far.facts(fact)) == before + 1, name


@pytest.mark.attack("FAULT-06")
def test_a_commit_that_did_not_arrive_did_nothing_and_the_same_request_works_after(
    far: Lab, proxy: Proxy
) -> None:
    for name, (act, fact) in acts(far).items():
        state, before = far.state(), len(far.facts(fact))
        with cutting(proxy, b"COMMIT", "up") as cut:
            assert_refused(act(), 503, "temporarily_unavailable")
        assert cut and far.state() == state and len(far.facts(fact)) == before, name
        assert act().status_code in (200, 201), name
        assert len(far.facts(fact)) == before + 1, name


@pytest.mark.attack("FAULT-06")
def test_a_commit_that_nobody_can_look_up_is_not_done_again_as_new(far: Lab, proxy: Proxy) -> None:
    held, code = far.tokens(scope="tickets:read offline_access"), far.code()
    minted = len(far.facts("token.issued"))
    with cutting(proxy, COMMITTED, "down", for_good=True) as cut:
        assert_refused(far.refresh(held["refresh_token"]), 503, "temporarily_unavailable")
    again, once_more = far.refresh(held["refresh_token"]), far.refresh(held["refresh_token"])
    assert cut and again.json["refresh_token"] == once_more.json["refresh_token"]
    assert len(far.facts("refresh.rotated")) == 1
    with cutting(proxy, COMMITTED, "down", for_good=True):
        assert_refused(far.redeem(code), 503, "temporarily_unavailable")
    assert far.facts("token.issued")[minted + 3 :] == [far.last("token.issued")], (
        "the one that nobody received"
    )
    lost = far.last("token.issued")["grant_id"]
    assert_refused(far.redeem(code), 400, "invalid_grant")
    assert len(far.facts("token.issued")) == minted + 4
    assert far.last("grant.revoked")["grant_id"] == lost


def test_an_outcome_that_is_unknown_is_told_from_one_that_is_not(
    far: Lab, proxy: Proxy, postgres_url: str
) -> None:
    database = far.broker.world.database

    def refused() -> Unavailable:
        with pytest.raises(Unavailable) as found:
            database.write(lambda tx: bump(tx, "estate"))
        return found.value

    def end_the_session(way: Way, data: bytes) -> None:
        if way == "up" and b"COMMIT" in data:
            proxy.watch = lambda *_: None
            with psycopg.connect(postgres_url) as root:
                root.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE state = 'idle in transaction' AND datname = %s",
                    (make_url(far.broker.settings.database).database,),
                )

    before = database.read(lambda tx: stamps(tx).get("estate", 0))
    with proxy.during(Mode.CUT):
        assert not isinstance(refused(), Unknown), "it did not even begin"
    proxy.watch = end_the_session
    assert not isinstance(refused(), Unknown), "its session ended before its commit came"
    assert database.read(lambda tx: stamps(tx).get("estate", 0)) == before
    with cutting(proxy, COMMITTED, "down", for_good=True):
        assert isinstance(refused(), Unknown)
    assert database.read(lambda tx: stamps(tx).get("estate", 0)) == before + 1


@pytest.fixture
def silent(proxy: Proxy, postgres_engine: Postgres, tmp_path: Path) -> Iterator["Site"]:
    """A site whose broker, in this process, reaches PostgreSQL through the proxy and has little patience."""
    site = Site(postgres_engine, tmp_path)
    database = PostgresDatabase(by_way_of(proxy, site.database), patience=PATIENCE / 2)
    broker = composition.compose(Settings(**site.values), database=database)
    server = make_server(
        "127.0.0.1", site.port, composition.create_app(broker), threaded=True, request_handler=_Quiet
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield site
    proxy.set(Mode.PASS)
    server.shutdown()
    thread.join()
    server.server_close()
    broker.close()
    postgres_engine.drop(site.database)


class Steady(Worker):
    """Whom a page refuses comes again later."""

    def _family(self) -> None:
        try:
            super()._family()
        except (AssertionError, KeyError):
            return


PARTITIONS: dict[str, tuple[Mode, tuple[Way, ...]]] = {
    "both ways, and then all arrives": (Mode.STALL, ()),
    "to the database": (Mode.DROP, ("up",)),
    "from the database": (Mode.DROP, ("down",)),
}


@pytest.mark.attack("FAULT-25")
def test_a_partition_from_the_database_is_503_for_a_while_and_heals_by_itself(
    silent: Site, proxy: Proxy
) -> None:
    journal = Journal(silent.folder / "journal")
    workers = [Steady(Client(silent.issuer, journal), random.Random(number)) for number in range(6)]

    def seen(status: int, since: float, count: int) -> Callable[[], bool]:
        return lambda: sum(e["status"] == status and e["began"] > since for e in journal.entries()) >= count

    with under_load(workers):
        until(seen(200, 0, 20), "working")
        for name, (mode, ways) in PARTITIONS.items():
            with proxy.during(mode, *ways):
                parted = time.time()
                until(seen(503, parted, 20), f"refusing: {name}")
                until(seen(503, parted + 2, 1), f"refusing after all that it waits for has ended: {name}")
            healed = time.time()
            until(seen(200, healed, 20), f"working again: {name}", 10)
    took = [entry["ended"] - entry["began"] for entry in journal.entries()]
    assert max(took) < 5 and sorted(took)[len(took) // 2] < 1
    assert violations(silent, journal) == []


def test_the_kernel_too_gives_a_dead_peer_up(far: Lab) -> None:
    def options(tx: object) -> list[int]:
        there = socket.socket(fileno=tx.connection.connection.driver_connection.fileno())
        try:
            return [
                there.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                there.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                there.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            ]
        finally:
            there.detach()

    assert far.broker.world.database.read(options) == [1, 10, 1200]
