"""Both engines in one run, whatever engine the rest of the run is on: a new database for each test."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.runtime.database import Database
from broker.runtime.engines import open_database
from tests.engines import Engine, Postgres, Sqlite


@pytest.fixture(scope="session")
def postgres_engine(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """The one engine for PostgreSQL in this process: it names its databases after the process."""
    if os.environ.get("BROKER_TEST_ENGINE", "sqlite") != "sqlite":
        yield request.getfixturevalue("engine")
        return
    made = Postgres(request.getfixturevalue("postgres_url"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def sqlite_engine(template: Path) -> Sqlite:
    return Sqlite(template)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def any_engine(request: pytest.FixtureRequest) -> Engine:
    name = "sqlite_engine" if request.param == "sqlite" else "postgres_engine"
    engine: Engine = request.getfixturevalue(name)
    return engine


@pytest.fixture
def fresh(any_engine: Engine, tmp_path: Path) -> Iterator[Callable[[], tuple[str, Database]]]:
    """Make new, migrated databases: the URL, and the engine opened on it."""
    made: list[tuple[str, Database]] = []

    def make() -> tuple[str, Database]:
        folder = tmp_path / f"database{len(made)}"
        folder.mkdir()
        url = any_engine.fresh(folder)
        made.append((url, open_database(url)))
        return made[-1]

    yield make
    for url, opened in made:
        opened.close()
        any_engine.drop(url)


@pytest.fixture
def url_and_database(fresh: Callable[[], tuple[str, Database]]) -> tuple[str, Database]:
    return fresh()


@pytest.fixture
def database(url_and_database: tuple[str, Database]) -> Database:
    return url_and_database[1]
