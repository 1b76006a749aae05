"""A key-encryption key and a database file for the tests of the key rings."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from keys import store
from keys.sealed import KeyEncryptionKey


@pytest.fixture
def kek() -> KeyEncryptionKey:
    return KeyEncryptionKey(bytes(range(32)))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "keys.db"


@pytest.fixture
def engine(database: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{database}")
    store.metadata.create_all(engine)
    yield engine
    engine.dispose()
