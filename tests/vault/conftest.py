"""A broker with two providers of downstream systems beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import Authority
from tests.lab import Lab
from tests.vault.steps import Setting, setting


@pytest.fixture
def vault(lab: Lab, tmp_path: Path) -> Iterator[Setting]:
    with setting(lab, Authority(tmp_path)) as found:
        yield found
