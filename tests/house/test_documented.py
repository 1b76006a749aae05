"""What the documentation lists is what the code has: settings, endpoints, errors, reasons, audit facts."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import click
import pytest

from broker.admin import estate_file, rules
from broker.cli.main import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
_COMMAND = re.compile(r"(?:`|^)broker ([a-z]+)(?: ([a-z][a-z-]*))?", re.MULTILINE)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_documentation_are_those_of_the_code(
    generate: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "table"),
    [
        ("settings", "settings"),
        ("endpoints", "endpoints"),
        ("errors", "errors"),
        ("errors", "reasons"),
        ("audit", "facts"),
        ("tokens", "exchange"),
        ("control", "classes"),
        ("policy", "policies"),
        ("policy", "policy_schema"),
    ],
)
def test_every_table_stands_in_its_document(generate: ModuleType, file: str, table: str) -> None:
    text = (ROOT / "docs" / f"{file}.md").read_text("utf-8")
    assert text.count(f"<!-- table: {table} -->") == 1
    assert generate.rendered(text) == text


def test_a_table_that_lags_behind_the_code_is_brought_up_to_it(generate: ModuleType) -> None:
    rows = "| `invalid_grant` | 200 | Kept sentence. |\n| `gone` | 400 | Old. |\n"
    stale = f"<!-- table: errors -->\n{rows}<!-- end -->"
    fresh = generate.rendered(stale)
    assert "| `invalid_grant` | 400 | Kept sentence. |" in fresh
    assert "gone" not in fresh and f"| `invalid_request` | 400 | {generate.UNWRITTEN} |" in fresh


def test_every_endpoint_is_reached_through_the_door_it_is_listed_at(generate: ModuleType) -> None:
    routes = generate.routes()
    assert routes["/token"] == ({"POST"}, {True, False})
    assert routes["/.well-known/oauth-authorization-server"] == ({"GET"}, {True, False})


def test_the_example_of_the_estate_document_is_an_estate_file() -> None:
    text = (ROOT / "docs" / "estate.md").read_text("utf-8")
    example = text.split("```yaml", 1)[1].split("```", 1)[0]
    file = estate_file.parse(estate_file.read_yaml(example))
    assert rules.check(file) == []
    assert len(file.resources) == 2 and len(file.edges) == 1


def test_every_command_that_a_document_names_exists() -> None:
    for document in DOCUMENTS:
        for words in _COMMAND.findall(document.read_text("utf-8")):
            command = main.commands.get(words[0])
            assert command is not None, f"{document.name}: broker {words[0]}"
            if isinstance(command, click.Group):
                assert words[1] in ("", *command.commands), f"{document.name}: broker {' '.join(words)}"


def test_every_target_that_a_document_names_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for document in DOCUMENTS:
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text("utf-8"), re.MULTILINE):
            assert target in targets, f"{document.name}: make {target}"


def test_links_between_documents_lead_somewhere() -> None:
    for file in DOCUMENTS:
        for link in _links(file.read_text("utf-8")):
            assert (file.parent / link).exists(), f"{file.relative_to(ROOT)} links to {link}"


def _links(text: str) -> list[str]:
    targets = [part.split(")")[0] for part in text.split("](")[1:]]
    return [target.split("#")[0] for target in targets if target.split("#")[0] and "://" not in target]
