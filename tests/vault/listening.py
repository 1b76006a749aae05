"""A web server of a test on loopback, whose requests one function answers, and which can be made to wait."""

import http.server
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Asked:
    """One request that came: `form` is its body or its query, `sent` the same as it came."""

    method: str
    path: str
    form: dict[str, str]
    headers: dict[str, str]
    sent: str = ""


class Held:
    """The requests for one path, stopped at the provider: `arrived` counts them, `release` lets all of them go on."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self._go = threading.Event()

    def wait_for(self, count: int = 1) -> None:
        """Until so many requests have come and none of them has been answered."""
        for _ in range(count):
            assert self.arrived.acquire(timeout=30), "no request came"

    def release(self) -> None:
        self._go.set()

    def stop_here(self) -> None:
        self.arrived.release()
        assert self._go.wait(60), "nobody let go"


class Listener:
    """Answers by `answer`; where that is None, the connection ends without one."""

    def __init__(
        self, answer: Callable[[Asked], Answer | None], context: ssl.SSLContext | None = None
    ) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(answer))
        self._server.handle_error = lambda *_: None  # a peer that went away
        self._server.daemon_threads = True
        self.port = self._server.server_port
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(answer: Callable[[Asked], Answer | None]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

        do_DELETE = do_POST

        def _answer(self, sent: str) -> None:
            form = {name: values[0] for name, values in parse_qs(sent, keep_blank_values=True).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            found = answer(Asked(self.command, urlsplit(self.path).path, form, headers, sent))
            if found is None:
                self.close_connection = True
                return
            status, named, body = found
            self.send_response(status)
            for name, value in named.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
