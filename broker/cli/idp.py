"""`broker idp test`: what a set of claims would come to, without anybody signing in."""

import json
from pathlib import Path
from typing import IO

import click

from broker.admin import provider_doctor
from broker.cli.local import Failed, NotFound, Place, local, opened
from broker.cli.output import one, output


@click.command("test")
@click.argument("identifier", metavar="ID")
@click.option(
    "--claims",
    type=click.File("r", encoding="utf-8"),
    required=True,
    help="A JSON object with the claims of an id_token; - is standard input.",
)
@local
@output
def test_claims(
    identifier: str, claims: IO[str], data: Path | None, database: str | None, output: str
) -> None:
    """What account, tenants, roles and strength these claims would give; nothing is changed."""
    try:
        found = json.load(claims)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Failed("The claims are not a JSON object.")
    with opened(Place(data, database)) as broker:
        provider = broker.providers.known().get(identifier)
        if provider is None:
            raise NotFound(f"There is no identity provider {identifier}.")
        one(provider_doctor.told(provider, found, broker.estate().doors.tenants), output)
