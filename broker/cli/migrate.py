"""`broker migrate`: the schema of this release."""

from pathlib import Path

import click

from broker import app
from broker.cli.local import Place, Unhealthy, local, reported, settings_for, sqlite_file


@click.command("migrate")
@click.option("--check", is_flag=True, help="Only say whether something is to do; exit code 5 when it is.")
@local
def migrate(check: bool, data: Path | None, database: str | None) -> None:
    """Bring the database to this release's schema."""
    settings = settings_for(Place(data, database))
    url = settings.database
    path = sqlite_file(url)
    if check:
        if (path is not None and not path.exists()) or app.migrations_pending(url):
            raise Unhealthy("The database is behind this release: run `broker migrate`.")
        click.echo("The database is up to date.")
        return
    with reported():
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = settings.migration_database_url
        app.migrate(owner.get_secret_value() if owner else url, url)
    click.echo("The database is up to date.")
