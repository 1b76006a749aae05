"""`broker key`: the signing keys of every door."""

from pathlib import Path

import click

from broker.cli.local import NotFound, Place, local, opened
from broker.cli.output import done, moment, output, rows
from broker.protocol.names import SIGNING_ALGORITHMS


@click.group("key")
def key() -> None:
    """The signing keys behind each door."""


@key.command("list")
@click.option("--door", metavar="ISSUER", help="Only this door.")
@local
@output
def list_command(door: str | None, data: Path | None, database: str | None, output: str) -> None:
    """Every published key: active, retiring and pending."""
    with opened(Place(data, database)) as broker:
        ring = broker.door_keys.refresh()
        doors = sorted({name.door for name in ring.names()})
        found: list[dict[str, object]] = [
            {
                "door": record.door,
                "alg": record.alg,
                "purpose": record.purpose,
                "state": record.state.value,
                "kid": record.kid,
                "created": moment(record.created_at),
                "activated": moment(record.activated_at),
                "retiring": moment(record.retiring_at),
            }
            for which in doors
            if door in (None, which)
            for record in ring.published(which)
        ]
    rows(found, ("door", "alg", "state", "kid", "created", "activated"), output)


@key.command("rotate")
@click.option("--door", metavar="ISSUER", help="The door; the root door by default.")
@click.option("--alg", type=click.Choice(list(SIGNING_ALGORITHMS)), default="ES256", show_default=True)
@local
@output
def rotate(door: str | None, alg: str, data: Path | None, database: str | None, output: str) -> None:
    """Begin a rotation: a new key is published now and signs once every verifier can know it."""
    with opened(Place(data, database)) as broker:
        issuer = door or broker.settings.issuer
        if broker.estate().doors.by_issuer(issuer) is None:
            raise NotFound(f"There is no door {issuer}.")
        changes = broker.door_keys.rotate(issuer, alg)
        found = [{"change": type(change).__name__.lower(), "kid": change.kid} for change in changes]
    said = ", ".join(f"{item['change']} {item['kid']}" for item in found)
    done(
        said or "A key is pending already: it signs once it was published long enough.", output, changes=found
    )
