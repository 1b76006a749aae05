"""`broker apply` and `broker export`: the estate file, idempotent in both directions."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from broker.admin import tool_lint
from broker.admin.doctor import Level
from broker.admin.export import export
from broker.admin.load import load
from broker.admin.model import Change
from broker.cli.local import Place, apply_of, local, opened, origin_of
from broker.cli.output import JSON, output

_SIGNS = {"create": "+", "update": "~", "delete": "-"}
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("apply")
@click.argument("file", type=FILE)
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--prune", is_flag=True, help="Delete what is not in the file.")
@local
@output
def apply_command(
    file: Path, dry_run: bool, prune: bool, data: Path | None, database: str | None, output: str
) -> None:
    """Make the estate what FILE says; prints what changes, and warns of what a model would confuse since then."""
    with opened(Place(data, database)) as broker:
        before = tool_lint.findings([*broker.estate().resources.values()])
        changes = apply_of(broker).apply(load(file), origin_of(broker), dry_run=dry_run, prune=prune)
        after = tool_lint.findings([*broker.estate().resources.values()])
    show(changes, output, dry_run)
    for finding in after:
        if finding.level is Level.WARN and finding not in before:
            click.echo(f"Warning: {finding.what} {finding.fix}", err=True)


@click.command("export")
@local
def export_command(data: Path | None, database: str | None) -> None:
    """Print the estate as a file that `broker apply` takes; without secrets and passwords."""
    with opened(Place(data, database)) as broker:
        click.echo(export(apply_of(broker).holdings()), nl=False)


def show(changes: Sequence[Change], form: str, dry_run: bool = False) -> None:
    """A plan: one line an object and one a member, or JSON."""
    if form == JSON:
        click.echo(json.dumps([_members(change) for change in changes], ensure_ascii=False, indent=2))
        return
    for change in changes:
        click.echo(f"{_SIGNS[change.action]} {change.noun} {change.id}")
        if change.action == "update":
            for item in change.differences:
                click.echo(f"    {item.member}: {_value(item.before)} -> {_value(item.after)}")
    if not changes:
        click.echo("Nothing changes." if dry_run else "Nothing changed.")
    else:
        click.echo(f"{len(changes)} to change." if dry_run else f"{len(changes)} changed.")


def _members(change: Change) -> dict[str, object]:
    return {
        "noun": change.noun,
        "id": change.id,
        "action": change.action,
        "differences": [
            {"member": item.member, "before": item.before, "after": item.after} for item in change.differences
        ],
    }


def _value(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 200 else shown[:199] + "…"
