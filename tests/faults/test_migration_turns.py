"""Who migrates waits briefly for its turn and holds nobody up; of several that would migrate, one does."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic import command

from broker import app as composition
from broker import schema
from broker.admin.estate_file import parse, read_yaml
from broker.admin.load import judged
from broker.cli.invariants import examined
from broker.cli.local import apply_of, origin_of
from broker.runtime.database import Unavailable
from broker.runtime.postgres import PostgresDatabase
from broker.settings import Settings
from keys.sealed import create_key_file
from tests.engines import Postgres
from tests.faults.releases import EXPAND, emptied, later_release, migrated, revisions, shape
from tests.faults.rig import lab_over, sound
from tests.live import free_port
from tests.serve import sites
from tests.serve.sites import until


@contextmanager
def reading(engine: Postgres, url: str) -> Iterator[psycopg.Connection]:
    """Somebody reads from a table that the expansion changes, and takes very long."""
    with psycopg.connect(engine.owner(url)) as connection:
        connection.execute("LOCK TABLE refresh_token IN ACCESS SHARE MODE")
        yield connection


@pytest.mark.attack("FAULT-30")
def test_a_migration_waits_for_its_turn_briefly_and_holds_nobody_up(
    postgres_engine: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_ATTEMPTS", 4)
    url = postgres_engine.fresh(tmp_path)
    lab = lab_over(PostgresDatabase(url), url, tmp_path, postgres_engine)
    grown, before = later_release(tmp_path / "grown", EXPAND), shape(postgres_engine.owner(url))
    held, outcome = lab.tokens(scope="tickets:read offline_access"), []

    def migrate() -> None:
        try:
            outcome.append(migrated(postgres_engine, url, grown))
        except Unavailable as error:
            outcome.append(error)

    with reading(postgres_engine, url) as reader:
        migrating = threading.Thread(target=migrate)
        migrating.start()
        served = 0
        while migrating.is_alive():
            answer = lab.refresh(held["refresh_token"])
            assert answer.status_code == 200
            held, served = answer.json, served + 1
        assert isinstance(outcome.pop(), Unavailable) and served >= 4
        assert shape(postgres_engine.owner(url)) == before
        migrating = threading.Thread(target=migrate)
        migrating.start()
        until(lambda: waiting(postgres_engine, url, "relation"), "waiting for its turn")
        reader.rollback()
    migrating.join()
    assert outcome == [None] and shape(postgres_engine.owner(url)) != before
    assert lab.refresh(held["refresh_token"]).status_code == 200
    sound(lab)
    lab.broker.close()
    postgres_engine.drop(url)


def waiting(engine: Postgres, url: str, kind: str) -> int:
    """How many sessions of that database wait for a lock of this kind."""
    statement = (
        "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = ? AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return engine.behind(url, statement, (kind,))


@pytest.mark.attack("CONC-26")
def test_two_replicas_that_start_on_an_old_schema_migrate_once_and_both_serve(
    postgres_engine: Postgres, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    folder.mkdir(mode=0o700)
    url = emptied(postgres_engine, folder)
    owning = postgres_engine.owner(url)
    command.upgrade(schema._config(owning), revisions()[-2])
    one, other = (sites.Site(folder, url, free_port(), free_port()) for _ in range(2))
    create_key_file(folder / "kek")
    given = {"BROKER_ISSUER": one.issuer, "BROKER_MIGRATION_DATABASE_URL": owning}
    with ThreadPoolExecutor() as pool, psycopg.connect(owning) as gate:
        gate.execute("SELECT pg_advisory_xact_lock(%s)", (schema._LOCK,))  # until both are there
        runs = [pool.submit(one.run, "migrate", **given) for _ in range(2)]
        until(lambda: waiting(postgres_engine, url, "advisory") == 2, "both wait")
        assert schema.pending(owning)
        gate.rollback()
        done = [run.result() for run in runs]
    assert [run.returncode for run in done] == [0, 0], [run.stderr for run in done]
    assert schema.drifted(owning) == []
    broker = composition.compose(Settings(issuer=one.issuer, data=folder, database_url=url))
    apply_of(broker).apply(judged(parse(read_yaml(sites.ESTATE)), folder), origin_of(broker))
    with one.started("serve", **given) as first, other.started("serve", **given) as second:
        for replica in (first, second):
            until(lambda replica=replica: replica.ended() or replica.status("/readyz") == 200, "ready")
            assert replica.token().status_code == 200, replica.site.log()
    assert [f"{j.id}: {row}" for j in examined(broker, None) for row in j.violations] == []
    broker.close()
    postgres_engine.drop(url)
