"""`broker budget set` and `spent`, beside what every noun of the estate has."""

from pathlib import Path

import click

from broker.admin.estate_file import parse_one
from broker.admin.load import judged
from broker.cli.estate import show
from broker.cli.local import Place, apply_of, local, opened, origin_of, reported
from broker.cli.output import output, rows
from broker.control.budgets.model import Level


@click.command("set")
@click.argument("level", type=click.Choice([level.value for level in Level]))
@click.argument("identifier", metavar="ID")
@click.option("--tenant", help="In this tenant alone; without it, in each of them.")
@click.option("--per-minute", type=int, help="Calls in a minute.")
@click.option("--concurrent", type=int, help="Calls at once.")
@click.option("--calls-per-day", type=int, help="Calls in a day (UTC).")
@click.option("--budget-per-day", type=float, help="Cost in a day (UTC); a tool without a cost takes 1.")
@local
@output
def set_command(
    level: str,
    identifier: str,
    tenant: str | None,
    per_minute: int | None,
    concurrent: int | None,
    calls_per_day: int | None,
    budget_per_day: float | None,
    data: Path | None,
    database: str | None,
    output: str,
) -> None:
    """Bound what ID may do, and no more than that: what is not given is not bounded.

    ID is `*` for each tenant, user or client, and RESOURCE/NAME for a family or tool.
    """
    given = {
        "level": level,
        "id": identifier,
        "tenant": tenant,
        "per_minute": per_minute,
        "concurrent": concurrent,
        "calls_per_day": calls_per_day,
        "budget_per_day": budget_per_day,
    }
    with opened(Place(data, database)) as broker:
        with reported():
            wanted = judged(parse_one("budget", given), Path())
        show(apply_of(broker).apply(wanted, origin_of(broker)), output)


@click.command("spent")
@local
@output
def spent(data: Path | None, database: str | None, output: str) -> None:
    """What today (UTC) spent of every daily budget, those of the estate and of classes too."""
    with opened(Place(data, database)) as broker:
        found: list[dict[str, object]] = [
            {
                "tenant": one.tenant,
                "level": one.level,
                "id": one.id,
                "calls": one.calls,
                "cost": one.cost,
            }
            for one in broker.budgets.configured.spent_today()
        ]
    rows(found, ("tenant", "level", "id", "calls", "cost"), output)
