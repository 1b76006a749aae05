"""Sites to serve, on SQLite or for several processes on PostgreSQL; and what is logged."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from broker.runtime import log
from tests.engines import Postgres, Sqlite
from tests.serve.sites import Site, site_on


@pytest.fixture
def site(template: Path, tmp_path: Path) -> Site:
    """On SQLite."""
    return site_on(Sqlite(template), tmp_path / "site")


@pytest.fixture(scope="session")
def postgres(postgres_url: str) -> Iterator[Postgres]:
    made = Postgres(postgres_url)
    yield made
    made.close()


@pytest.fixture
def shared_site(postgres: Postgres, tmp_path: Path) -> Iterator[Site]:
    """On PostgreSQL, which several processes may use."""
    site = site_on(postgres, tmp_path / "shared")
    yield site
    postgres.drop(site.database)


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """All that is logged, at the level that tells most."""
    before, root = structlog.get_config(), logging.getLogger().handlers[:]
    log.configure("debug")
    structlog.configure(cache_logger_on_first_use=False)
    said: list[str] = []

    def read() -> str:
        captured = capsys.readouterr()
        said.append(captured.out + captured.err)
        return "".join(said)

    yield read
    structlog.configure(**before)
    logging.getLogger().handlers[:] = root
