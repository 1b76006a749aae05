"""The schema changes while brokers serve: neighbouring versions side by side, on the way up and on the way down."""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx2
import pytest
from alembic import command
from sqlalchemy import Column, String

from broker import schema
from broker.runtime import database as runtime
from tests.engines import Engine
from tests.faults import site as processes
from tests.faults.load import Client, Journal, Worker, under_load
from tests.faults.proxy import Proxy
from tests.faults.releases import (
    EXPAND,
    GROWN,
    SHRINK,
    config_of,
    emptied,
    later_release,
    migrated,
    owner,
    revisions,
    shape,
)
from tests.faults.test_crash import violations
from tests.live import ScriptedBrowser, free_port
from tests.serve.sites import until


@pytest.mark.attack("FAULT-30")
def test_no_migration_takes_away_or_asks_for_what_the_release_before_it_does_not_know(
    either: Engine, tmp_path: Path
) -> None:
    """Whoever contracts the schema one day says here since which release nobody uses what goes."""
    url = emptied(either, tmp_path)
    first, *rest = revisions()
    command.upgrade(schema._config(owner(either, url)), first)
    before = shape(owner(either, url))
    for revision in rest:
        command.upgrade(schema._config(owner(either, url)), revision)
        after = shape(owner(either, url))
        for table, was in before.items():
            now = after[table]
            assert was.columns.items() <= now.columns.items(), (revision, table)
            for name in now.columns.keys() - was.columns.keys():
                _, nullable, default = now.columns[name]
                assert nullable or default is not None, (revision, table, name)
            assert (now.unique, now.keys) == (was.unique, was.keys), (revision, table)
        before = after
    either.drop(url)


def _serve_next(values: dict[str, object], told: str, scripts: str) -> None:
    """In the child: the version to come, which knows the new column, writes it and reads it back."""
    for name in GROWN:
        runtime.metadata.tables[name].append_column(Column("later", String(16), default="said"))
    schema._config = partial(config_of, scripts)
    processes._serve(values, told)


@dataclass
class Fleet:
    """Replicas of several versions behind one address."""

    site: processes.Site
    proxy: Proxy
    running: dict[int, BaseProcess] = field(default_factory=dict)

    def start(self, scripts: str | None = None) -> int:
        """One more, of this version or of the one to come; its port, once it is ready."""
        port = free_port()
        values = ({**self.site.values, "port": port}, str(self.site.folder / "log"))
        child = (
            processes._context.Process(target=processes._serve, args=values)
            if scripts is None
            else processes._context.Process(target=_serve_next, args=(*values, scripts))
        )
        child.start()
        self.running[port] = child
        until(lambda: not child.is_alive() or self._ready(port), "ready")
        assert child.is_alive(), self.site.log()
        return port

    def stop(self, port: int, *instead: int) -> None:
        """New requests go elsewhere; it ends once it has answered those that it has."""
        self.proxy.aim(*instead)
        until(lambda: self.proxy.reaching(port) == 0, "drained")
        self._end(port)

    def end(self) -> None:
        for port in [*self.running]:
            self._end(port)

    def _end(self, port: int) -> None:
        child = self.running.pop(port)
        child.kill()
        child.join()

    def _ready(self, port: int) -> bool:
        try:
            return (
                httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=20).status_code == 200
            )
        except httpx2.TransportError:
            return False


def fleeting() -> httpx2.Client:
    """A connection for each request, so that each may meet another version."""
    return httpx2.Client(trust_env=False, timeout=30, limits=httpx2.Limits(max_keepalive_connections=0))


class Told(Worker):
    """What it did not expect is kept."""

    def run(self, over: threading.Event) -> None:
        try:
            super().run(over)
        except Exception as error:
            self.lines.append(repr(error))


def understand(person: Client, one: Client, other: Client) -> None:
    """What one version made, the other takes, and the other way round."""
    given = one.redeem(person.code()).json()
    second = other.refresh(given["refresh_token"]).json()
    assert other.exchange(given["access_token"]).status_code == 200
    third = one.refresh(second["refresh_token"]).json()
    assert one.exchange(second["access_token"]).status_code == 200
    assert other.revoke(third["refresh_token"]).status_code == 200
    refused = one.refresh(third["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


@pytest.fixture
def fleet(either: Engine, tmp_path: Path) -> Iterator[Fleet]:
    with Proxy("127.0.0.1", 1) as proxy:
        made = Fleet(processes.Site(either, tmp_path, proxy.port), proxy)
        yield made
        made.end()
        either.drop(made.site.database)


@pytest.mark.attack("FAULT-30")
def test_the_schema_grows_and_shrinks_under_load_while_neighbouring_versions_serve(
    fleet: Fleet, tmp_path: Path
) -> None:
    site, proxy, journal = fleet.site, fleet.proxy, Journal(tmp_path / "journal")
    grown = later_release(tmp_path / "grown", EXPAND)
    shrunk = later_release(tmp_path / "shrunk", EXPAND, SHRINK)

    def client(issuer: str) -> Client:
        return Client(issuer, journal, fleeting(), ScriptedBrowser(http=fleeting()))

    workers = [Told(client(site.issuer), random.Random(number)) for number in range(4)]

    def on() -> None:
        """The load goes on."""
        before = len(journal)
        until(lambda: len(journal) > before + 15, "answers")

    old = fleet.start()
    proxy.aim(old)
    with under_load(workers):
        on()
        migrated(site.engine, site.database, grown)
        on()
        new = fleet.start(grown)
        proxy.aim(old, new)
        here, there = (client(f"http://127.0.0.1:{port}") for port in (old, new))
        understand(client(site.issuer), here, there)
        understand(client(site.issuer), there, here)
        on()
        fleet.stop(old, new)
        on()
        back = fleet.start()  # the way down: the version before, over what the version after it wrote
        proxy.aim(new, back)
        on()
        fleet.stop(new, back)
        on()
        assert said(site) == {"said", None}
        migrated(site.engine, site.database, shrunk)
        on()
    assert [line for worker in workers for line in worker.lines] == []
    assert {entry["status"] for entry in journal.entries()} <= {200, 201, 400}
    assert violations(site, journal) == []
    assert schema.drifted(owner(site.engine, site.database)) == [] and site.log() == ""


def said(site: processes.Site) -> set[str | None]:
    """What the column that one of the versions knows holds."""
    with site.opened() as broker:
        return broker.world.database.read(
            lambda tx: set(tx.connection.exec_driver_sql("SELECT later FROM refresh_token").scalars())
        )
