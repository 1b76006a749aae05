"""`broker user set-password` and `broker client rotate-secret`."""

from pathlib import Path

import click

from broker.admin.credentials import NoCredential
from broker.cli.hidden import read_hidden
from broker.cli.local import Failed, NotFound, Place, credentials_of, local, opened, origin_of
from broker.cli.output import done, output

LONGEST_OVERLAP = 30 * 86400


@click.command("set-password")
@click.argument("identifier", metavar="ID")
@click.option(
    "--file", type=click.Path(path_type=Path, allow_dash=True), help="Read it here; - is standard input."
)
@local
@output
def set_password(
    identifier: str, file: Path | None, data: Path | None, database: str | None, output: str
) -> None:
    """Give a user a new password, asked for or read from standard input; ends every session of theirs."""
    with opened(Place(data, database)) as broker:
        if broker.people.get(identifier) is None:
            raise NotFound(f"There is no user {identifier}.")
        password = read_hidden(file, "Password", confirm=True)
        try:
            credentials_of(broker).set_password(identifier, password, origin_of(broker))
        except ValueError as error:
            raise Failed(str(error)) from None
    done(f"The password of {identifier} is set; every session of theirs ended.", output, user=identifier)


@click.command("rotate-secret")
@click.argument("identifier", metavar="ID")
@click.option(
    "--overlap",
    type=click.IntRange(0, LONGEST_OVERLAP),
    default=0,
    show_default=True,
    help="Seconds that the secret before it still works.",
)
@local
@output
def rotate_secret(
    identifier: str, overlap: int, data: Path | None, database: str | None, output: str
) -> None:
    """Give a client a new secret, shown now and never again; the old one stops working, or does when told."""
    with opened(Place(data, database)) as broker:
        try:
            secret = credentials_of(broker).rotate_secret(identifier, origin_of(broker), overlap)
        except LookupError:
            raise NotFound(f"There is no client {identifier}.") from None
        except NoCredential as error:
            raise Failed(str(error)) from None
    done(secret, output, client_id=identifier, client_secret=secret)
