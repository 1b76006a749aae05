"""`broker serve` and `broker worker` as processes of their own, as an operator starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from keys.sealed import create_key_file
from tests.engines import Engine
from tests.live import free_port

SECRET = "mcpb_cs_" + "n" * 40
ESTATE = f"""
tenants: [{{id: acme, name: Acme}}]
clients:
  - {{client_id: nightly, type: confidential, tenant: acme, client_secret: {SECRET},
     grant_types: [client_credentials], resources: [tickets]}}
resources:
  - {{id: tickets, kind: mcp, uri: "http://127.0.0.1:9999/mcp", tenants: [acme],
     client: {{client_id: tickets-server, client_secret: {SECRET}}}, scopes: [{{name: "tickets:read"}}]}}
"""
BROKER = str(Path(sys.executable).with_name("broker"))


def until(seen: Callable[[], object], what: str, seconds: float = 40) -> None:
    """Ask again and again until the answer is yes."""
    ends = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < ends, f"in vain: {what}"
        time.sleep(0.02)


@dataclass
class Site:
    """A migrated database with an estate, a key file, and the environment that leads there."""

    folder: Path
    database: str
    port: int
    metrics_port: int

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, **changes: str | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BROKER_")}
        given = {
            "BROKER_ISSUER": self.issuer,
            "BROKER_PORT": str(self.port),
            "BROKER_METRICS_PORT": str(self.metrics_port),
            "BROKER_DATA": str(self.folder),
            "BROKER_DATABASE_URL": self.database,
            "BROKER_DUTY_INTERVAL": "1",
            "NO_PROXY": "127.0.0.1",
            "TMPDIR": str(self.folder),  # a server that is killed leaves its metrics behind
            **changes,
        }
        return kept | {name: value for name, value in given.items() if value is not None}

    def run(self, *words: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            (BROKER, *words),
            cwd=self.folder,
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    @contextmanager
    def started(self, *words: str, **changes: str | None) -> Iterator["Running"]:
        """A command that runs on; killed at the end if it still does."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                (BROKER, *words),
                cwd=self.folder,
                env=self.environment(**changes),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield Running(self, process)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)  # its workers too, whatever became of it
            except ProcessLookupError:
                pass
            process.wait()

    @contextmanager
    def served(self, *words: str, **changes: str | None) -> Iterator["Running"]:
        with self.started("serve", *words, **changes) as running:
            until(lambda: running.ended() or running.status("/readyz") == 200, "ready")
            assert not running.ended(), self.log()
            yield running

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8")

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log().splitlines()]


@dataclass
class Running:
    site: Site
    process: subprocess.Popen[bytes]

    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> int:
        """As a service manager does it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def workers(self) -> list[int]:
        kids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in kids.read_text().split()]

    def status(self, path: str, **headers: str) -> int | None:
        """None while nobody answers."""
        try:
            return httpx2.get(
                self.site.issuer + path, headers=headers, timeout=20, trust_env=False
            ).status_code
        except httpx2.TransportError:
            return None

    def token(self) -> httpx2.Response:
        return httpx2.post(
            self.site.issuer + "/token",
            data={"grant_type": "client_credentials"},
            auth=("nightly", SECRET),
            timeout=30,
            trust_env=False,
        )

    def metrics(self) -> dict[str, float]:
        """Every sample, by its name and labels as they are written."""
        text = httpx2.get(
            f"http://127.0.0.1:{self.site.metrics_port}/metrics", timeout=10, trust_env=False
        ).text
        return {
            sample.name
            + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def site_on(engine: Engine, folder: Path, estate: str = ESTATE) -> Site:
    folder.mkdir(mode=0o700)
    site = Site(folder, engine.fresh(folder), free_port(), free_port())
    create_key_file(folder / "kek")
    (folder / "estate.yaml").write_text(estate, "utf-8")
    applied = site.run("apply", str(folder / "estate.yaml"))
    assert applied.returncode == 0, applied.stderr
    return site
