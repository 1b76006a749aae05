"""Prometheus text format: the private port, where the metrics of all processes of a server are read as one."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead


class _Build:
    """Which release this is: said on the private port only."""

    def __init__(self, version: str) -> None:
        self._version = version

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("broker_build_info", "Which release this is.", labels=("version",))
        family.add_metric((self._version,), 1)
        yield family


def shared(folder: Path, version: str) -> Callable[[], bytes]:
    """Reads the metrics that processes keep in `folder`, summed; of those that died, counters stay."""

    def read() -> bytes:
        for file in folder.glob("gauge_live*_*.db"):
            pid = int(file.stem.rpartition("_")[2])
            if not _lives(pid):
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # the library has no types here
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # as above
        registry.register(_Build(version))
        return generate_latest(registry)

    return read


def alone(registry: CollectorRegistry, version: str) -> Callable[[], bytes]:
    """Reads the metrics of this process."""
    registry.register(_Build(version))
    return lambda: generate_latest(registry)


def expose(host: str, port: int, read: Callable[[], bytes]) -> ThreadingHTTPServer:
    """Answer GET /metrics in threads of this process; OSError if the address cannot be had."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            if self.path.split("?")[0] != "/metrics":
                self.send_error(404)
                return
            body = read()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            return "broker"

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are no news."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    server = Server((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
