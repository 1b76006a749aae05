"""Answers on standard output: a table for people, JSON for programs."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import click
import yaml

F = TypeVar("F", bound=Callable[..., object])
TABLE, JSON = "table", "json"


def output(command: F) -> F:
    """The option `-o`; the command receives `output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice([TABLE, JSON]),
        default=TABLE,
        show_default=True,
        help="How to answer.",
    )(command)


def rows(found: Sequence[Mapping[str, object]], columns: Sequence[str], form: str) -> None:
    """Several things: one line each under the named columns, or a JSON list of everything known."""
    if form == JSON:
        click.echo(json.dumps([dict(row) for row in found], ensure_ascii=False, indent=2))
    elif not found:
        click.echo("none")
    else:
        table = [
            [column.upper() for column in columns],
            *([text(row.get(c)) for c in columns] for row in found),
        ]
        click.echo(aligned(table))


def one(found: Mapping[str, object], form: str) -> None:
    """One thing, whole: YAML, or a JSON object."""
    if form == JSON:
        click.echo(json.dumps(dict(found), ensure_ascii=False, indent=2))
    else:
        click.echo(yaml.safe_dump(dict(found), sort_keys=False, allow_unicode=True, width=110).rstrip())


def done(message: str, form: str, **facts: object) -> None:
    """What was done: a sentence, or its facts as a JSON object."""
    click.echo(json.dumps(facts, ensure_ascii=False) if form == JSON else message)


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, two spaces between."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def text(value: object) -> str:
    """One cell: printable, on one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(text(item) for item in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {text(item)}" for name, item in value.items()) or "-"
    return "".join(character if character.isprintable() else "�" for character in str(value))


def moment(seconds: float | None) -> str | None:
    """Epoch seconds as RFC 3339."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
