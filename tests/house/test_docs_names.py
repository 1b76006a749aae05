"""README's map of the house is the house: every room is on it, and nothing that is not there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LINE = re.compile(r"^( *)([\w.]+)(/?) {2,}\S")


def mapped() -> set[str]:
    """The paths in the map, from the block after its heading; two spaces of indent are one level."""
    text = (ROOT / "README.md").read_text("utf-8")
    block = text.split("## The house", 1)[1].split("```", 2)[1]
    found: set[str] = set()
    above: list[str] = []
    for line in block.splitlines()[1:]:
        match = _LINE.match(line)
        if match:
            above = [*above[: len(match[1]) // 2], match[2]]
            found.add("/".join(above))
    return found


def rooms() -> set[str]:
    return {
        str(charter.parent.relative_to(ROOT))
        for package in ("broker", "keys", "wellknown")
        for charter in (ROOT / package).rglob("__init__.py")
    }


def test_every_room_is_on_the_map() -> None:
    assert rooms() - mapped() == set()


def test_everything_on_the_map_is_there() -> None:
    assert {name for name in mapped() if not (ROOT / name).exists()} == set()


def test_every_decision_is_listed_with_its_number_once() -> None:
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [file.name[:4] for file in files] == [f"{number:04d}" for number in range(1, len(files) + 1)]
    for file in files:
        text = file.read_text("utf-8")
        assert re.match(rf"# {file.name[:4]} \S", text), file.name
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"], file.name
        assert len(text.splitlines()) <= 60, f"{file.name} is longer than a page"
