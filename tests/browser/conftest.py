import os
import queue
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Response, sync_playwright

from tests import live, services

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)


@pytest.fixture(scope="session")
def live_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.LiveBroker]:
    with live.serve(tmp_path_factory.mktemp("live"), live.ESTATE.read_text(encoding="utf-8")) as broker:
        yield broker


@pytest.fixture(scope="session")
def named_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.LiveBroker]:
    """At a name, where browsers make passkeys, with a person for each test that changes one."""
    folder, estate = tmp_path_factory.mktemp("named"), Path(__file__).parent / "estate.yaml"
    with live.serve(folder, estate.read_text(encoding="utf-8"), host="localhost") as broker:
        yield broker


@pytest.fixture(scope="module")  # its event loop must not outlast the module: others have loops of their own
def chromium() -> Iterator[Browser]:
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        services.unavailable(
            "Chromium is missing: `apt-get install chromium` or a build of your own on the PATH"
        )
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=program, headless=True, args=list(_ARGUMENTS)
            )
        except Error as error:
            services.unavailable(f"Chromium does not start: {error.message[:300]}")
        yield browser
        browser.close()


def patient(page: Page) -> Page:
    """A person who goes again where a busy server says that it cannot answer now (503, Retry-After)."""
    goto = page.goto

    def again(url: str, **options: Any) -> Response | None:
        for _ in range(9):
            answer = goto(url, **options)
            if answer is None or answer.status != 503:
                return answer
        return goto(url, **options)

    page.goto = again  # type: ignore[method-assign]
    return page


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A new person at a browser that runs no scripts."""
    with chromium.new_context(java_script_enabled=False) as context:
        context.set_default_timeout(15_000)
        yield patient(context.new_page())


@dataclass
class Callback:
    """A client's loopback listener; `arrivals`: the targets of the requests that reached it, with what was posted."""

    uri: str
    arrivals: "queue.SimpleQueue[str]" = field(default_factory=queue.SimpleQueue)


@pytest.fixture
def callback() -> Iterator[Callback]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/callback"):
                found.arrivals.put(f"{found.uri.removesuffix('/callback')}{self.path}")
            self.answer()

        def do_POST(self) -> None:
            if self.path == "/callback":
                found.arrivals.put(
                    f"{found.uri}?{self.rfile.read(int(self.headers['Content-Length'])).decode()}"
                )
            self.answer()

        def answer(self) -> None:
            body = b"<!doctype html><title>Back at the app</title><h1>Back at the app</h1>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found = Callback(f"http://127.0.0.1:{server.server_port}/callback")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def retake() -> bool:
    """Whether the pictures of the documentation are taken anew."""
    return os.environ.get("BROKER_SCREENSHOTS") == "1"
