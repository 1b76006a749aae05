"""A broker in processes of its own that are started fast, killed, and started again on what they left."""

import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from broker import app as composition
from broker.admin.estate_file import parse, read_yaml
from broker.admin.load import judged
from broker.cli.local import apply_of, origin_of
from broker.runtime import log
from broker.settings import Settings
from keys.model import RingName
from tests.engines import Engine
from tests.live import free_port

KEK = "6b" * 32
SECRET = "mcpb_cs_" + "f" * 40
TICKETS, CRM = "https://tickets.example/mcp", "https://crm.example"
CALLBACK = "http://127.0.0.1:9/cb"
PASSWORD = "correct horse battery staple"
ESTATE = f"""
tenants: [{{id: acme, name: Acme}}]
users: [{{id: alice, name: Alice, email: alice@acme.example, password: {PASSWORD}, tenants: [{{id: acme}}]}}]
clients:
  - {{client_id: desk-app, name: Desk, type: public, redirect_uris: ["{CALLBACK}"],
     grant_types: [authorization_code, refresh_token]}}
  - {{client_id: nightly, type: confidential, tenant: acme, client_secret: {SECRET},
     grant_types: [client_credentials], resources: [tickets]}}
resources:
  - {{id: tickets, kind: mcp, uri: "{TICKETS}", tenants: [acme], default: true,
     client: {{client_id: tickets-server, client_secret: {SECRET}}},
     scopes: [{{name: "tickets:read", default: true}}],
     tools: [{{name: search_tickets, scopes: ["tickets:read"], impact: read}}]}}
  - {{id: crm, kind: downstream, uri: "{CRM}", tenants: [acme], scopes: [{{name: "crm:read"}}]}}
edges: [{{from: tickets, to: crm, scopes: {{"tickets:read": ["crm:read"]}}, consent: admin}}]
"""
# Children are forked from a clean process that has imported the broker already.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.site"])


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        pass


def _serve(values: dict[str, object], told: str) -> None:
    """In the child: compose, tend all the time, serve until killed."""
    sys.stdout = sys.stderr = open(told, "a", buffering=1)
    settings = Settings(**values)
    log.configure(settings.log_level)
    broker = composition.compose(settings)
    application = composition.create_app(broker)

    def tend() -> None:
        while True:
            time.sleep(0.1)
            broker.tend()

    threading.Thread(target=tend, daemon=True).start()
    make_server(
        settings.host, settings.port, application, threaded=True, request_handler=_Quiet
    ).serve_forever()


@dataclass
class Site:
    """A database with an estate; `values` are the settings of whoever opens it."""

    engine: Engine
    folder: Path
    port: int = field(default_factory=free_port)
    values: dict[str, object] = field(init=False)

    def __post_init__(self) -> None:
        self.values = {
            "issuer": self.issuer,
            "port": self.port,
            "data": self.folder,
            "database_url": self.engine.fresh(self.folder),
            "key_encryption_key": KEK,
            "development": True,
            "argon2_memory_kib": 8,
            "argon2_iterations": 1,
            "interactions_per_minute": 1_000_000,
            "registration_per_hour": 1_000_000,
            "registration_door_per_hour": 1_000_000,
            "log_level": "error",
        }
        with self.opened() as broker:
            apply_of(broker).apply(judged(parse(read_yaml(ESTATE)), self.folder), origin_of(broker))

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> str:
        return str(self.values["database_url"])

    def environment(self) -> dict[str, str]:
        """The same settings, for commands."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BROKER_")}
        return kept | {f"BROKER_{name.upper()}": str(value) for name, value in self.values.items()}

    @contextmanager
    def opened(self, **more: object) -> Iterator[composition.Broker]:
        """The broker in this process, without a server."""
        broker = composition.compose(Settings(**{**self.values, **more}))
        try:
            yield broker
        finally:
            broker.close()

    @contextmanager
    def served(self, **more: object) -> Iterator[BaseProcess]:
        """A process that serves; killed at the end, if it still lives."""
        child = _context.Process(target=_serve, args=({**self.values, **more}, str(self.folder / "log")))
        child.start()
        try:
            self.wait(child.is_alive)
            yield child
        finally:
            child.kill()
            child.join()

    def turn_keys(self) -> None:
        """Make the servers take over a new signing key at once: publish it, and pretend it was long ago."""
        with self.opened() as broker:
            broker.door_keys.rotate(self.issuer, "ES256")
        past = time.time() - 100_000
        self.engine.behind(
            self.database, "UPDATE signing_key SET created_at = ? WHERE state = 'pending'", (past,)
        )

    def active_keys(self) -> int:
        with self.opened() as broker:
            ring = broker.door_keys.refresh()
            assert ring.active(RingName(self.issuer, "ES256", "token")) is not None
            return sum(record.state.value == "active" for record in ring.published(self.issuer))

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text("utf-8") if path.exists() else ""

    def wait(self, alive: Callable[[], bool]) -> None:
        """Until somebody listens; an AssertionError once nobody will."""
        ends = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert alive() and time.monotonic() < ends, self.log()
                time.sleep(0.02)
