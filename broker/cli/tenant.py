"""`broker tenant suspend` and `resume`: everything of a tenant off at once, and on again."""

from pathlib import Path

import click

from broker.cli.local import NotFound, Place, local, opened, origin_of
from broker.cli.nouns import require
from broker.cli.output import done, output
from broker.denials.model import Kind, Target


@click.command("suspend")
@click.argument("identifier", metavar="ID")
@click.option("--why", required=True, help="The reason, for the record.")
@local
@output
def suspend(identifier: str, why: str, data: Path | None, database: str | None, output: str) -> None:
    """Stop everything of a tenant: its door, its tokens, sign-in, consent, exchange. Nothing is deleted."""
    with opened(Place(data, database)) as broker:
        require(broker, ("tenant", identifier))
        broker.switches.throw(Target(Kind.TENANT, identifier), why, origin_of(broker))
    done(f"Tenant {identifier} is suspended.", output, tenant=identifier, suspended=True)


@click.command("resume")
@click.argument("identifier", metavar="ID")
@click.option("--why", required=True, help="The reason, for the record.")
@local
@output
def resume(identifier: str, why: str, data: Path | None, database: str | None, output: str) -> None:
    """Let a suspended tenant go on as it was."""
    with opened(Place(data, database)) as broker:
        if not broker.switches.lift(Target(Kind.TENANT, identifier), why, origin_of(broker)):
            raise NotFound(f"Tenant {identifier} is not suspended.")
    done(f"Tenant {identifier} goes on.", output, tenant=identifier, suspended=False)
