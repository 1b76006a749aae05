"""Fixtures: a broker of its own for each test, on a copy of one migrated database."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker import schema
from tests import lab as labs
from tests import services
from tests.engines import Engine, Postgres, Sqlite


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated SQLite file, with its log folded in so that the file alone is whole."""
    path = tmp_path_factory.mktemp("template") / "broker.db"
    schema.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """SQLite, or (`BROKER_TEST_ENGINE=postgresql`) PostgreSQL with Redis."""
    if os.environ.get("BROKER_TEST_ENGINE", "sqlite") == "sqlite":
        yield Sqlite(request.getfixturevalue("template"))
        return
    made = Postgres(request.getfixturevalue("postgres_url"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def counters(request: pytest.FixtureRequest, engine: Engine) -> dict[str, object]:
    """Redis beside PostgreSQL, memory beside SQLite."""
    return {"redis_url": request.getfixturevalue("redis_url")} if isinstance(engine, Postgres) else {}


@pytest.fixture
def make_lab(
    engine: Engine, counters: dict[str, object], tmp_path: Path
) -> Iterator[Callable[..., labs.Lab]]:
    """Make a broker with other settings than usual."""
    made: list[labs.Lab] = []

    def make(**settings: object) -> labs.Lab:
        folder = tmp_path / f"broker{len(made)}"
        folder.mkdir()
        mine = (
            {**counters, "redis_prefix": f"t{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}:"}
            if counters
            else {}
        )
        made.append(labs.make(folder, engine, **{**mine, **settings}))
        return made[-1]

    yield make
    for lab in made:
        lab.broker.close()
        engine.drop(lab.broker.settings.database)


@pytest.fixture
def lab(make_lab: Callable[..., labs.Lab]) -> labs.Lab:
    return make_lab()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The PostgreSQL server of this run, as a superuser: tests make databases of their own in it."""
    with services.postgres(services.run_folder(tmp_path_factory)) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Redis of this run: tests keep to prefixes of their own."""
    with services.redis(services.run_folder(tmp_path_factory)) as url:
        yield url
