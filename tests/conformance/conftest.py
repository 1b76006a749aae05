from collections.abc import Iterator

import pytest

from tests import live


@pytest.fixture(scope="session")
def live_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.LiveBroker]:
    with live.serve(tmp_path_factory.mktemp("live"), live.ESTATE.read_text(encoding="utf-8")) as broker:
        yield broker
