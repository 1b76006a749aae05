"""`broker session`: who is signed in."""

from pathlib import Path

import click

from broker.cli.local import NotFound, Place, local, opened
from broker.cli.output import done, moment, output, rows


@click.group("session")
def session() -> None:
    """Browser sessions."""


@session.command("list")
@click.option("--user", help="Only this user's.")
@local
@output
def list_command(user: str | None, data: Path | None, database: str | None, output: str) -> None:
    """Sessions that were not ended."""
    with opened(Place(data, database)) as broker:
        found: list[dict[str, object]] = [
            {
                "id": item.id,
                "user": item.user_id,
                "since": moment(item.auth_time),
                "seen": moment(seen),
                "amr": list(item.amr),
                "acr": item.acr,
            }
            for item, seen in broker.sessions.open()
            if user in (None, item.user_id)
        ]
    rows(found, ("id", "user", "since", "seen", "amr"), output)


@session.command("end")
@click.argument("identifier", metavar="ID")
@local
@output
def end(identifier: str, data: Path | None, database: str | None, output: str) -> None:
    """Sign a browser out."""
    with opened(Place(data, database)) as broker:
        if not broker.sessions.end_by_id(identifier):
            raise NotFound(f"There is no open session {identifier}.")
    done(f"Session {identifier} ended.", output, session=identifier)
