"""A broker with a scripted provider beside it, and a person's way through both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import Authority
from tests.federation.steps import Setting, setting
from tests.lab import Lab


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def fed(lab: Lab, authority: Authority) -> Iterator[Setting]:
    """The broker of the lab, `corp` as a provider of the server, and `acme-idp` as one of acme alone."""
    with setting(lab, authority) as found:
        yield found
