"""`broker grant`: what users allowed."""

from pathlib import Path

import click

from broker.cli.local import NotFound, Place, local, opened
from broker.cli.output import done, moment, output, rows
from broker.denials.model import edge_ends


@click.group("grant")
def grant() -> None:
    """Consents in force."""


@grant.command("list")
@click.option("--user", help="Only this user's.")
@local
@output
def list_command(user: str | None, data: Path | None, database: str | None, output: str) -> None:
    """Every grant in force."""
    with opened(Place(data, database)) as broker:
        found: list[dict[str, object]] = [
            {
                "id": item.id,
                "user": item.user_id,
                "client": item.client_id,
                "resource": item.resource_id,
                "tenant": item.tenant,
                "scopes": list(item.scopes),
                "downstream": sorted({edge_ends(along)[1] for along in item.downstream}),
                "offline": item.offline,
                "created": moment(item.created_at),
                "expires": moment(item.expires_at),
            }
            for item in broker.grants.list(user)
        ]
    rows(found, ("id", "user", "client", "resource", "tenant", "scopes", "expires"), output)


@grant.command("revoke")
@click.argument("identifier", metavar="ID")
@click.option(
    "--why", default="revoked by an administrator", show_default=True, help="The reason, for the record."
)
@local
@output
def revoke(identifier: str, why: str, data: Path | None, database: str | None, output: str) -> None:
    """End a grant with everything that was made from it."""
    with opened(Place(data, database)) as broker:
        if not broker.grants.revoke(identifier, why):
            raise NotFound(f"There is no grant {identifier} in force.")
    done(f"Grant {identifier} ended, with everything made from it.", output, grant=identifier)
