import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import live

ESTATE = Path(__file__).parent / "estate.yaml"


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """Where the resource server of a module listens."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


@pytest.fixture(scope="module")
def resource(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"


@pytest.fixture(scope="module")
def live_broker(tmp_path_factory: pytest.TempPathFactory, resource: str) -> Iterator[live.LiveBroker]:
    estate = ESTATE.read_text(encoding="utf-8").replace("http://127.0.0.1:9999/mcp", resource)
    with live.serve(tmp_path_factory.mktemp("live"), estate) as broker:
        yield broker


@pytest.fixture
def browser() -> Iterator[live.ScriptedBrowser]:
    with live.ScriptedBrowser() as found:
        yield found
