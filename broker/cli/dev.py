"""`broker dev`: the embedded broker, from nothing to serving with one command."""

from pathlib import Path

import click

from broker import app
from broker.admin.load import load
from broker.cli.estate import FILE, show
from broker.cli.local import (
    Failed,
    Place,
    apply_of,
    composed,
    note_development,
    origin_of,
    reported,
    settings_for,
)
from broker.cli.output import TABLE
from broker.cli.serve import serve, taken
from broker.settings import LOOPBACK_HOSTS, Settings
from keys.sealed import create_key_file

_WELL_KNOWN = ("oauth-authorization-server", "openid-configuration")


@click.command("dev")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The data folder (.broker).")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(1, 65535), default=8400, show_default=True)
@click.option("--estate", type=FILE, help="An estate file to apply at start.")
def dev(data: Path | None, host: str, port: int, estate: Path | None) -> None:
    """Run the broker on embedded defaults, for development only."""
    if host in LOOPBACK_HOSTS and taken(host, port):
        raise Failed(f"Somebody listens on {host}:{port} already: stop them, or choose another --port.")
    settings = prepare(data, host, port)
    broker = composed(settings)
    try:
        if estate is not None:
            with reported():
                show(apply_of(broker).apply(load(estate), origin_of(broker)), TABLE)
        issuers = [door.issuer for door in broker.estate_snapshot.refresh().doors.all()]
    finally:
        broker.close()
    _announce(settings, issuers)
    serve(settings)


def prepare(data: Path | None, host: str, port: int) -> Settings:
    """The data folder, its sealing key and its schema, made where they are missing."""
    if host not in LOOPBACK_HOSTS:
        raise click.UsageError("`broker dev` listens on loopback only: 127.0.0.1, ::1 or localhost.")
    settings = settings_for(Place(data, None), **_here(host, port))
    if "metrics_port" not in settings.model_fields_set:
        settings = settings.model_copy(update={"metrics_port": 0})  # several of these run side by side
    if "approval_factor" not in settings.model_fields_set:
        settings = settings.model_copy(update={"approval_factor": False})
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if settings.key_encryption_key is None and settings.key_encryption_key_file is None:
            key_file = settings.data / "kek"
            if not key_file.exists():
                create_key_file(key_file)
        note_development(settings)
    except OSError as error:
        raise Failed(f"The data folder {settings.data} cannot be used: {error.strerror}.") from None
    app.migrate(settings.database)
    return settings


def _here(host: str, port: int) -> dict[str, object]:
    name = f"[{host}]" if ":" in host else host
    authority = name if port == 80 else f"{name}:{port}"
    return {"issuer": f"http://{authority}", "host": host, "port": port, "development": True}


def _announce(settings: Settings, issuers: list[str]) -> None:
    click.echo("broker dev is for development: do not use it in production.")
    click.echo(f"data    {settings.data.resolve()}")
    for issuer in issuers:
        path = issuer.removeprefix(settings.issuer)
        click.echo(f"issuer  {issuer}")
        for name in _WELL_KNOWN:
            click.echo(f"        {settings.issuer}/.well-known/{name}{path}")
