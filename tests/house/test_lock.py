"""The locked requirements are whole: hashed, without a host, and what `pyproject.toml` asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUN = ("server", "demo", "build")
FILES = {"requirements.txt": RUN, "requirements-dev.txt": (*RUN, "dev")}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(file: str) -> dict[str, tuple[str, int]]:
    """Package to (version, number of hashes)."""
    found: dict[str, tuple[str, int]] = {}
    text = re.sub(r"\\\n", " ", (ROOT / file).read_text("utf-8"))
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            pin = _PIN.match(line)
            assert pin, f"{file}: not a pinned package: {line[:80]}"
            found[canonicalize_name(pin[1])] = (pin[2], len(_HASH.findall(line)))
    return found


def asked(extras: tuple[str, ...]) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = (project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras))
    return [Requirement(text) for texts in lists for text in texts]


@pytest.mark.parametrize("file", FILES)
def test_every_package_is_pinned_and_hashed(file: str) -> None:
    found = entries(file)
    assert len(found) > 20
    assert [name for name, (_, hashes) in found.items() if hashes == 0] == []


@pytest.mark.parametrize("file", FILES)
def test_no_host_is_named(file: str) -> None:
    lines = (line.strip() for line in (ROOT / file).read_text("utf-8").splitlines())
    code = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in code if "://" in line] == []
    assert [line for line in code if line.startswith("-") and not line.startswith("--hash=")] == []


@pytest.mark.parametrize(("file", "extras"), FILES.items())
def test_what_the_project_asks_for_is_locked_within_its_bounds(file: str, extras: tuple[str, ...]) -> None:
    found = entries(file)
    for wanted in asked(extras):
        assert canonicalize_name(wanted.name) in found, wanted.name
        assert wanted.specifier.contains(found[canonicalize_name(wanted.name)][0]), str(wanted)


def test_tests_run_on_the_versions_that_the_server_runs_on() -> None:
    tests = entries("requirements-dev.txt")
    for name, (version, _) in entries("requirements.txt").items():
        assert tests[name][0] == version, name


def test_every_extra_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(project["optional-dependencies"]) == set(FILES["requirements-dev.txt"])
