"""Both engines, whatever engine the rest of the run is on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import Engine, Postgres, Sqlite


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
