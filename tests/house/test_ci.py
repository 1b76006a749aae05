"""What decides whether a change is good counts a part that was skipped as a failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("given", "seen"), [(None, "true"), ("true", "true"), ("false", "false")])
def test_a_run_that_decides_says_so_to_the_tests(tmp_path: Path, given: str | None, seen: str) -> None:
    folder = tmp_path / "checkout" / ".ci"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", folder)
    for path, text in ((folder / "prepare", ""), (tmp_path / "make", 'echo "$CI $1"')):
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"PATH": f"{tmp_path}{os.pathsep}{environment['PATH']}"} | ({"CI": given} if given else {})
    done = subprocess.run([folder / "run"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{seen} check\n"


@pytest.mark.parametrize(("named", "code"), [(None, 0), ("", 2), ("absent", 2)])
def test_vectors_are_skipped_only_when_nobody_names_them(
    tmp_path: Path, named: str | None, code: int
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "BROKER_TEST_VECTORS"}
    if named is not None:
        environment["BROKER_TEST_VECTORS"] = str(tmp_path / named) if named else ""
    words = (sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/vectors")
    done = subprocess.run(
        words, cwd=ROOT, env={**environment, "CI": "true"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout
    if named is None:
        assert "outside the project" in done.stdout
