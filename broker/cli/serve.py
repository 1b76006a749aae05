"""`broker serve`: the broker over HTTP (PEP 3333) in one process or several, its metrics in private."""

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Protocol
from wsgiref.types import WSGIApplication

import click
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from broker import app
from broker.cli.local import Failed, Place, composed, local, reported, settings_for
from broker.cli.safety import unsafe
from broker.runtime import log
from broker.runtime.duties import Duty
from broker.runtime.exposition import expose, shared
from broker.runtime.metrics import share
from broker.settings import Settings
from keys.sealed import SealError

THREADS = 32
PACKAGE = "mcp-token-broker"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SPARE_BYTES, _SPARE_ROUNDS = 2**20, 6
_log = log.logger("serve")


class _Server(Protocol):
    """What a server is told: both may be called from any thread, even before it serves."""

    def signal_handler_interrupt(self) -> None: ...
    def signal_handler_reload(self) -> None: ...


@click.command("serve")
@click.option("--workers", type=click.IntRange(1), help="Processes that serve; several need PostgreSQL.")
@click.option("--no-worker", is_flag=True, help="Leave background duties to `broker worker`.")
@local
def serve_command(workers: int | None, no_worker: bool, data: Path | None, database: str | None) -> None:
    """Run the broker in production, with settings from BROKER_* and broker.toml."""
    settings = settings_for(Place(data, database))
    workers = workers or settings.workers
    require_safe(settings, workers)
    if taken(settings.host, settings.port):
        raise Failed(
            f"host, port: somebody listens on {settings.host}:{settings.port} already, or it is not ours."
        )
    broker_of(settings).close()
    serve(settings, workers, leased=not no_worker)


def application() -> WSGIApplication:
    """For another WSGI server: `gunicorn -k gthread --threads 32 'broker.cli.serve:application()'`."""
    settings = settings_for(Place(None, None))
    require_safe(settings)
    log.configure(settings.log_level)
    broker = broker_of(settings)
    app.start_duties(broker)
    return app.create_app(broker)


def require_safe(settings: Settings, workers: int = 1) -> None:
    """Failed with every reason not to start."""
    found = unsafe(settings, workers)
    if found:
        raise Failed("\n  ".join(["The broker does not start like this:", *found]))


def broker_of(settings: Settings) -> app.Broker:
    """The composed broker; Failed or Unhealthy in plain words."""
    with reported():
        try:
            return composed(settings)
        except SealError:
            raise Failed(
                "key_encryption_key: it does not open the keys in this database: give the one that sealed them."
            ) from None


def serve(settings: Settings, workers: int = 1, *, leased: bool = True) -> None:
    """Serve until SIGINT or SIGTERM; the caller has closed every thread and connection of its own."""
    log.configure(settings.log_level)
    with _told_by_signals() as listen, _metrics(settings):
        server = Granian(
            "broker",
            address=address_of(settings.host),
            port=settings.port,
            interface=Interfaces.WSGI,
            workers=workers,
            blocking_threads=THREADS,
            http=HTTPModes.http1,
            log_level=LogLevels.error,
            log_dictconfig=log.RELAYED,
            respawn_failed_workers=True,
            workers_kill_timeout=settings.stop_timeout,
        )
        listen(server)
        server.serve(target_loader=partial(load, settings, os.getpid(), leased), wrap_loader=False)


def load(settings: Settings, parent: int, leased: bool) -> WSGIApplication:
    """In the worker: the faces over a composed broker, its duties begun."""
    log.configure(settings.log_level)
    broker = app.compose(settings)
    follow = Duty("follow", 1.0, partial(_follow, parent), leased=False)
    spare = Duty("spare", 1.0, _Spare(), leased=False)
    app.start_duties(broker, leased=leased, more=(follow, spare))
    return app.create_app(broker)


def address_of(host: str) -> str:
    """The server listens on an address, not a name."""
    return "127.0.0.1" if host == "localhost" else host


def taken(host: str, port: int) -> bool:
    """Whether somebody listens there: the server itself would share the port with them and say nothing."""
    address = address_of(host)
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False


def release() -> str:
    """Which release this is; never said on a public port."""
    return version(PACKAGE)


@contextmanager
def _told_by_signals() -> Iterator[Callable[[_Server], None]]:
    """Signals wait for a thread that does nothing else: one that comes early, or while forking, is not lost.

    Yields what begins to listen for a server. A forked worker is ended by a signal until it sets handlers of its own.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def begin() -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def tell(server: _Server) -> None:
        while True:
            reload = signal.sigwait(_SIGNALS) == signal.SIGHUP
            (server.signal_handler_reload if reload else server.signal_handler_interrupt)()

    os.register_at_fork(after_in_child=begin)
    try:
        yield lambda server: threading.Thread(
            target=tell, args=(server,), name="signals", daemon=True
        ).start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow(parent: int) -> None:
    """A worker whose parent is gone would keep the port, and an old release with it: it stops like any other."""
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


class _Spare:
    """A worker that can open no file or has no memory, round after round, answers nobody: it dies and is replaced.

    Not at once: a short crowd of connections passes, and a worker that dies young ends the whole server. Not in
    order: without files the server can take no connection, and does not hear that it should stop.
    """

    def __init__(self) -> None:
        self._rounds = 0

    def __call__(self) -> None:
        try:
            with Path(os.devnull).open("rb"):
                bytearray(_SPARE_BYTES)
        except (OSError, MemoryError) as error:
            self._rounds += 1
            if self._rounds >= _SPARE_ROUNDS:
                _log.critical("nothing to spare", kind=type(error).__name__)
                os.kill(os.getpid(), signal.SIGKILL)
        else:
            self._rounds = 0


@contextmanager
def _metrics(settings: Settings) -> Iterator[None]:
    """The private port, over a folder that is new for this server."""
    if settings.metrics_port == 0:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="broker-metrics-") as folder:
        share(Path(folder))
        try:
            expose(address_of(settings.metrics_host), settings.metrics_port, shared(Path(folder), release()))
        except OSError as error:
            where = f"{settings.metrics_host}:{settings.metrics_port}"
            raise Failed(f"metrics_host, metrics_port: {where} cannot be had: {error.strerror}.") from None
        yield
