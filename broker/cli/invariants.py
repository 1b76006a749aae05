"""`broker invariants`: whether the promises of docs/laws.md hold in this database, and in what clients saw of it."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from broker import app
from broker.admin import journal as journals
from broker.admin.books import Books
from broker.admin.invariants import Judged, check, verifying
from broker.admin.journal import Entry
from broker.audit.whole import whole
from broker.cli.local import Failed, Place, Unhealthy, local, opened
from broker.cli.output import JSON, output
from broker.denials.model import Target
from broker.runtime.database import Transaction


@click.command("invariants")
@click.option(
    "--journal",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What clients asked and received, as JSON lines.",
)
@click.option(
    "--skew",
    type=click.FloatRange(0, 60),
    default=1.0,
    show_default=True,
    help="Seconds by which the clocks of replicas may differ.",
)
@local
@output
def invariants(
    journal: Path | None, skew: float, data: Path | None, database: str | None, output: str
) -> None:
    """Check the promises that every fault must leave whole, while nobody writes.

    Exit code 5 when one is broken. Without a journal, only what the database alone can tell.
    """
    entries = None if journal is None else _read(journal)
    with opened(Place(data, database)) as broker:
        found = examined(broker, entries, skew)
    show(found, output)
    broken = sum(not judged.ok for judged in found)
    if broken:
        raise Unhealthy(f"{broken} of {len(found)} invariants are violated.")


def examined(broker: app.Broker, entries: Sequence[Entry] | None, skew: float = 0.0) -> list[Judged]:
    """All invariants of this broker's database; Failed when the journal makes no sense."""
    issuers = {name.door for name in broker.door_keys.refresh().names()}
    verifies = verifying(issuers, broker.door_keys, broker.world.clock.now)
    try:
        return check(books_of(broker), entries, verifies, skew)
    except ValueError as error:
        raise Failed(str(error)) from None


def books_of(broker: app.Broker) -> Books:
    """Everything that is looked at, in one view of the database."""
    denied = frozenset(Target(denial.kind, denial.id) for denial in broker.switches.list())

    def read(tx: Transaction) -> Books:
        return Books(whole(tx), broker.families.every(tx), denied, broker.world.clock.now())

    return broker.world.database.read(read)


def show(found: Sequence[Judged], form: str) -> None:
    """One line each, with what breaks it and what is worth knowing; or a JSON object."""
    if form == JSON:
        members = [
            {
                "id": judged.id,
                "title": judged.title,
                "status": _status(judged),
                "violations": judged.violations,
                "notes": judged.notes,
            }
            for judged in found
        ]
        status = "violated" if any(not judged.ok for judged in found) else "ok"
        click.echo(json.dumps({"status": status, "invariants": members}, ensure_ascii=False, indent=2))
        return
    for judged in found:
        click.echo(f"{judged.id:4}{_status(judged):14}{judged.title}")
        for row in (*judged.violations, *judged.notes):
            click.echo(f"      {row}")


def _status(judged: Judged) -> str:
    """`needs journal` is what cannot be known without one."""
    if not judged.checked:
        return "needs journal"
    return "ok" if judged.ok else "violated"


def _read(journal: Path) -> list[Entry]:
    try:
        with journal.open(encoding="utf-8") as lines:
            return journals.read(lines)
    except (OSError, ValueError) as error:
        raise Failed(str(error)) from None
