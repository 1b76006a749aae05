"""The project stands alone: nothing in it names a package registry's host or a place of one machine."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In pieces, so that this file does not contain what it looks for.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("deb", "debian", "org"),
        ("proxy", "golang", "org"),
    )
]
PLACES = [
    "/" + "work/",
    "/" + "root/",
    "/" + "home/",
    "/tmp/" + "brief",
    ".." + "/shared",
    "issues" + " show",
    "CONT" + "RACT",
    "ARCHI" + "TECTURE",
    "--" + "index-url",
    "--" + "extra-index-url",
    "--" + "trusted-host",
]
# A place is one where nothing stands before it that would make it a part of another path.
FORBIDDEN = re.compile(
    "|".join([*map(re.escape, HOSTS), *(r"(?<![\w./}])" + re.escape(text) for text in PLACES)])
)


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file that is, or would be, under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in sorted(set(listed.stdout.decode().split("\0")) - {""}):
        file = ROOT / name
        if file.is_file() and file.suffix != ".LICENSE":  # words of others, kept as they are
            content = file.read_bytes()
            if b"\0" not in content[:8192]:
                yield file.relative_to(ROOT), content.decode("utf-8", "replace")


def found_in(text: str) -> list[str]:
    return [line.strip()[:120] for line in text.splitlines() if FORBIDDEN.search(line)]


def test_no_file_names_a_registry_or_a_place_of_one_machine() -> None:
    wrong = [f"{file}: {line}" for file, text in texts() for line in found_in(text)]
    assert wrong == []


@pytest.mark.parametrize("text", [*HOSTS, *PLACES, f"https://{HOSTS[0]}/simple", f"see {PLACES[0]}x"])
def test_what_is_looked_for_would_be_found(text: str) -> None:
    assert found_in(f"a line\n{text}\n") or found_in(f"a line\nx = '{text}'\n")


@pytest.mark.parametrize("text", ["framework/x", "https://example.com/homework/", "mypypi", "{root}/home"])
def test_what_only_looks_alike_is_not(text: str) -> None:
    assert found_in(text) == []
