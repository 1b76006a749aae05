"""`broker audit`: the evidence, as records or as a story."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from broker.audit import trace as reading
from broker.audit.model import FACTS, Outcome, Record
from broker.cli.local import NotFound, Place, local, opened
from broker.cli.output import JSON, output
from broker.cli.story import story, tokens


@click.group("audit")
def audit() -> None:
    """What happened."""


@audit.command("query")
@click.option(
    "--fact", type=click.Choice(sorted(FACTS)), metavar="FACT", help="Only this fact, such as token.issued."
)
@click.option("--client", help="Only this client's.")
@click.option("--subject", help="Only this user's or client's own.")
@click.option("--outcome", type=click.Choice([outcome.value for outcome in Outcome]))
@click.option("--since", metavar="TIME", help="Only from this RFC 3339 time on.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@local
@output
def query(
    fact: str | None,
    client: str | None,
    subject: str | None,
    outcome: str | None,
    since: str | None,
    limit: int,
    data: Path | None,
    database: str | None,
    output: str,
) -> None:
    """The newest records that match, oldest first."""
    with opened(Place(data, database)) as broker:
        found = reading.query(
            broker.world.database,
            fact=fact,
            client=client,
            subject=subject,
            outcome=outcome,
            since=_seconds(since),
            most=limit,
        )
    show(found[::-1], output)


@audit.command("tail")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@local
@output
def tail(limit: int, data: Path | None, database: str | None, output: str) -> None:
    """The last records."""
    with opened(Place(data, database)) as broker:
        found = reading.query(broker.world.database, most=limit)
    show(found[::-1], output)


@audit.command("trace")
@click.argument("identifier", metavar="ID")
@local
@output
def trace(identifier: str, data: Path | None, database: str | None, output: str) -> None:
    """The whole chain that ID is part of: a record, request, txn, grant, jti or its hash."""
    with opened(Place(data, database)) as broker:
        found = reading.trace(broker.world.database, identifier)
    if not found:
        raise NotFound(f"Nothing is recorded about {identifier}.")
    show(found, output)
    if output != JSON and (made := tokens([record.members for record in found])):
        click.echo(f"\n{made}")


def show(records: Sequence[Record], form: str) -> None:
    """A story, or JSON lines."""
    if form == JSON:
        for record in records:
            click.echo(json.dumps(record.members, ensure_ascii=False))
    else:
        click.echo(story([record.members for record in records]) or "none")


def _seconds(since: str | None) -> float:
    if since is None:
        return 0.0
    try:
        when = datetime.fromisoformat(since)
    except ValueError:
        raise click.BadParameter(
            "write an RFC 3339 time such as 2030-01-31T12:00:00Z", param_hint="--since"
        ) from None
    if when.tzinfo is None:
        raise click.BadParameter("say the time zone, such as Z", param_hint="--since")
    return when.timestamp()
