"""RFC 8252 section 7.3: a loopback address that waits for the browser to come back, once."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from broker.cli.local import Failed

_PAGE = b"<!doctype html><title>Done</title><p>Done. You can close this page and go back to the terminal.</p>"


class Callback:
    """Listens on 127.0.0.1; `uri` is the redirect URI."""

    def __init__(self, port: int, path: str) -> None:
        self._found: dict[str, str] = {}
        self._arrived = threading.Event()
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(path, self._take))
        except OSError as error:
            raise Failed(f"Port {port} cannot be used: {error.strerror}.") from None
        self.uri = f"http://127.0.0.1:{self._server.server_port}{path}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="callback", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, seconds: float) -> dict[str, str]:
        """The parameters that the browser brought; Failed when nobody came."""
        if not self._arrived.wait(seconds):
            raise Failed("Nobody signed in in time.")
        return self._found

    def _take(self, parameters: dict[str, str]) -> None:
        if not self._arrived.is_set():
            self._found = parameters
            self._arrived.set()


def _handler(path: str, take: Callable[[dict[str, str]], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path != path:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(_PAGE)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(_PAGE)
            take(dict(parse_qsl(parts.query, keep_blank_values=True)))

        def log_message(self, format: str, *args: object) -> None:
            pass  # the code is in the query

    return Handler
