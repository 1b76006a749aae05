"""A broker as others meet it: `broker dev` in a process of its own, over loopback HTTP, and a scripted browser."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx2

ESTATE = Path(__file__).parent / "conformance" / "estate.yaml"
PASSWORD = "correct horse battery staple"
_POLLS, _POLL_SECONDS = 2400, 0.05
COMMAND = (str(Path(sys.executable).with_name("broker")),)
# Passwords cost little here; the proxies of the machine are not for loopback.
_ENVIRONMENT = {
    "BROKER_ARGON2_MEMORY_KIB": "8",
    "BROKER_ARGON2_ITERATIONS": "1",
    "NO_PROXY": "127.0.0.1,localhost",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class LiveBroker:
    """A running broker; `issuer` is its root door."""

    issuer: str
    data: Path

    def door(self, tenant: str) -> str:
        return f"{self.issuer}/t/{tenant}"


@contextmanager
def serve(folder: Path, estate: str, host: str = "127.0.0.1") -> Iterator[LiveBroker]:
    """Run `broker dev` with this estate until the end of the block; passkeys need a `host` that is a name."""
    file, log, port = folder / "estate.yaml", folder / "broker.log", free_port()
    file.write_text(estate, encoding="utf-8")
    broker = LiveBroker(f"http://{host}:{port}", folder / "broker")
    options = ("--data", str(broker.data), "--host", host, "--port", str(port), "--estate", str(file))
    with (
        log.open("wb") as output,
        subprocess.Popen(
            (*COMMAND, "dev", *options),
            cwd=Path(__file__).parent.parent,
            env=os.environ | _ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            wait_until_ready(process, broker.issuer, log)
            yield broker
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return once `url` gives any answer; AssertionError with the log when the process ends or takes too long."""
    for _ in range(_POLLS):
        try:
            httpx2.get(url, timeout=5, trust_env=False)
            return
        except httpx2.TransportError:
            try:
                process.wait(_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
    raise AssertionError(f"{url} did not start: {log.read_text(errors='replace')}")


class Page(HTMLParser):
    """What a browser without JavaScript knows of a page: its heading, and its form with `id="primary"`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.heading = ""
        self.action: str | None = None
        self.fields: list[tuple[str, str]] = []
        self.offers: set[str] = set()
        self._form = self._title = False
        self.feed(html)
        self.heading = " ".join(self.heading.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        name, value = found.get("name"), found.get("value") or ""
        self._title = self._title or tag == "h1"
        if tag == "form" and found.get("id") == "primary":
            self._form, self.action = True, found.get("action") or ""
        elif tag == "input" and self._form and name:
            if found.get("type") not in ("checkbox", "radio") or "checked" in found:
                self.fields.append((name, value))
        elif tag == "button" and self._form and name == "decision":
            self.offers.add(value)

    @property
    def answered(self) -> bool:
        """Whether it asks for nothing, but for second thoughts."""
        return self.action is None or (bool(self.offers) and self.offers <= {"withdraw", "deny"})

    def handle_endtag(self, tag: str) -> None:
        self._title = self._title and tag != "h1"
        self._form = self._form and tag != "form"

    def handle_data(self, data: str) -> None:
        self.heading += data if self._title else ""


class Unavailable(Exception):
    """The server says that it cannot serve now and when to come again: a person would."""


def _person() -> httpx2.Client:
    return httpx2.Client(trust_env=False, timeout=10, headers={"Accept": "text/html"})


@dataclass
class ScriptedBrowser:
    """A person at a browser: signs in where asked, and answers what is asked with the boxes as they are.

    `user_code` is what a device shows them. `seen` are the headings of the pages, in order. Cookies are kept from visit
    to visit.
    """

    username: str = "alice"
    password: str = PASSWORD
    user_code: str = ""
    decision: str = "allow"
    seen: list[str] = field(default_factory=list)
    http: httpx2.Client = field(default_factory=_person)

    def visit(self, url: str) -> str:
        """Open an address of the broker; returns the one outside of it to which the browser is sent.

        Or, where there is nowhere to go back to, that of the page that says so. `Unavailable` when the way there ends
        at a 503 with Retry-After.
        """
        home = _origin(url)
        answer = self.http.get(url)
        for _ in range(10):
            if not answer.is_redirect:
                if answer.status_code == 200 and Page(answer.text).answered:
                    self.seen.append(Page(answer.text).heading)
                    return str(answer.url)
                answer = self._fill(answer, home)
                continue
            target = urljoin(str(answer.url), answer.headers["location"])
            if _origin(target) != home:
                return target
            answer = self.http.get(target)
        raise AssertionError(f"the browser goes in circles: {self.seen}")

    def __enter__(self) -> "ScriptedBrowser":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def _fill(self, answer: httpx2.Response, home: str) -> httpx2.Response:
        page = Page(answer.text)
        self.seen.append(page.heading)
        if answer.status_code == 503 and answer.headers.get("Retry-After"):
            raise Unavailable(page.heading)
        assert answer.status_code == 200 and page.action is not None, f"{answer.status_code}: {answer.text}"
        typed = {"username": self.username, "password": self.password, "user_code": self.user_code}
        fields = [(name, typed.get(name, value)) for name, value in page.fields]
        if not {"password", "user_code"} & set(dict(fields)):
            fields.append(("decision", self.decision))
        return self.http.post(
            urljoin(str(answer.url), page.action),
            content=urlencode(fields),
            headers={"Content-Type": "application/x-www-form-urlencoded", "Origin": home},
        )


def arrived(url: str) -> dict[str, str]:
    """The parameters of the address at which a browser arrived; each exactly once."""
    found = parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values()), found
    return {name: values[0] for name, values in found.items()}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
