"""`broker decision`: calls that were let through, and what became of them."""

from pathlib import Path

import click

from broker.cli.local import NotFound, Place, local, opened
from broker.cli.output import moment, one, output, rows
from broker.control.idempotency.model import Permit


@click.group("decision")
def decision() -> None:
    """Calls that were let through."""


@decision.command("list")
@click.option(
    "--open", "only_open", is_flag=True, help="Only those of which nobody said what became of them."
)
@click.option("--resource", help="Only this resource's.")
@click.option("--most", type=click.IntRange(1, 10_000), default=100, show_default=True)
@local
@output
def list_command(
    only_open: bool, resource: str | None, most: int, data: Path | None, database: str | None, output: str
) -> None:
    """The newest first."""
    with opened(Place(data, database)) as broker:
        found = broker.world.database.read(
            lambda tx: broker.decisions.keys.listed(tx, only_open=only_open, resource=resource, most=most)
        )
        if not found and resource is not None and resource not in broker.estate().resources:
            raise NotFound(f"There is no resource {resource}.")
    rows([_row(permit) for permit in found], ("id", "made", "resource", "tool", "user", "status"), output)


@decision.command("show")
@click.argument("identifier", metavar="ID")
@local
@output
def show(identifier: str, data: Path | None, database: str | None, output: str) -> None:
    """One of them, with what its server said of it."""
    with opened(Place(data, database)) as broker:
        permit = broker.world.database.read(lambda tx: broker.decisions.keys.find(tx, identifier))
    if permit is None:
        raise NotFound(f"There is no decision {identifier} that let a call through, or it was forgotten.")
    one({**_row(permit), "outcome": permit.outcome, "reported": moment(permit.reported_at)}, output)


def _row(permit: Permit) -> dict[str, object]:
    return {
        "id": permit.id,
        "made": moment(permit.made_at),
        "tenant": permit.tenant,
        "resource": permit.resource,
        "tool": permit.tool,
        "user": permit.subject,
        "client": permit.client_id,
        "keyed": permit.keyed,
        "txn": permit.txn,
        "status": "open" if permit.outcome is None else permit.outcome.get("status"),
    }
