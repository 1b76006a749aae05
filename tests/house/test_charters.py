"""Every room says in its `__init__.py` what it owns, offers and never does, and nothing else."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"utils", "helpers", "common", "core", "services", "lib", "misc"}
ROOMS = sorted(
    folder
    for package in ("broker", "keys", "wellknown")
    for folder in (ROOT / package, *(ROOT / package).rglob("*"))
    if folder.is_dir() and any(folder.glob("*.py"))
)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_has_a_charter(room: Path) -> None:
    charter = room / "__init__.py"
    assert charter.exists(), "the room has no __init__.py"
    tree = ast.parse(charter.read_text("utf-8"))
    text = ast.get_docstring(tree)
    assert text is not None and len(tree.body) == 1, "an __init__.py holds the charter and nothing else"
    assert 3 <= len(text.splitlines()) <= 8


def test_rooms_and_modules_are_named_after_what_they_are_about() -> None:
    names = {part.stem for room in ROOMS for part in (room, *room.glob("*.py"))}
    assert names & FORBIDDEN == set()


def test_every_module_begins_with_what_it_is() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in room.glob("*.py")
        if not ast.get_docstring(ast.parse(file.read_text("utf-8")))
    ]
    assert silent == []
