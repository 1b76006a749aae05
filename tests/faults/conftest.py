"""Both engines, whatever engine the rest of the run is on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import lab as labs
from tests.engines import Engine, Postgres, Sqlite
from tests.lab import Lab


@pytest.fixture(scope="session")
def sqlite_engine(template: Path) -> Sqlite:
    return Sqlite(template)


@pytest.fixture(scope="session")
def postgres_engine(postgres_url: str) -> Iterator[Postgres]:
    made = Postgres(postgres_url)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.getfixturevalue(
        "sqlite_engine" if request.param == "sqlite" else "postgres_engine"
    )
    return engine


@pytest.fixture
def crowded(postgres_engine: Postgres, tmp_path: Path) -> Iterator[Lab]:
    """A broker on PostgreSQL, where units of work run side by side."""
    made = labs.make(tmp_path, postgres_engine)
    yield made
    made.broker.close()
    postgres_engine.drop(made.broker.settings.database)
