"""`broker worker`: the background duties alone, without HTTP; of all that run on a database, one does each."""

import signal
import time
from pathlib import Path

import click

from broker import app
from broker.cli.local import Failed, Place, local, settings_for
from broker.cli.serve import address_of, broker_of, release, require_safe
from broker.runtime import log
from broker.runtime.exposition import alone, expose


@click.command("worker")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="A private port for this process's metrics; 0 for none.",
)
@local
def worker(metrics_port: int, data: Path | None, database: str | None) -> None:
    """Turn keys and drop what expired, until told to stop."""
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopped.append(number))

    def over(seconds: float) -> bool:
        time.sleep(seconds)
        return bool(stopped)

    settings = settings_for(Place(data, database))
    require_safe(settings)
    log.configure(settings.log_level)
    broker = broker_of(settings)
    try:
        if metrics_port:
            try:
                expose(
                    address_of(settings.metrics_host), metrics_port, alone(broker.metrics.registry, release())
                )
            except OSError as error:
                raise Failed(f"--metrics-port: {metrics_port} cannot be had: {error.strerror}.") from None
        app.tend(broker, over, leased=True)
    finally:
        broker.close()
