"""The internet as it looks from here: names that lead to loopback, and a site there that speaks TLS under a test CA."""

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker import app as composition
from broker.runtime.egress import Answer, Egress
from tests.lab import CALLBACK, KEK, Clock, Lab

HOST = "app.example"
BEGUN = datetime(2020, 1, 1, tzinfo=UTC)


class Authority:
    """A certificate authority of the test; `file` is what trusts it."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self._name, self._key.public_key(), x509.BasicConstraints(True, None))
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def leaf(self, *names: str, days: int = 36500) -> ssl.SSLContext:
        """What a server of these names, or addresses, shows: valid from 2020 on for so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        signed = self._signed(subject, key.public_key(), san, days)
        file = self._folder / f"{names[0]}-{signed.serial_number}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        extension: x509.ExtensionType,
        days: int = 36500,
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(BEGUN)
            .not_valid_after(BEGUN + timedelta(days=days))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(self._key, hashes.SHA256())
        )


class Site:
    """A web server on loopback: `answers` by path, `seen` the paths asked for; TLS where it has a certificate."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.seen: list[str] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.seen.append(self.path)
                status, headers, body = site.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # a handshake that the other side breaks off
        self.scheme, self.port = "http" if context is None else "https", self._server.server_port
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def url(self, path: str = "/client.json", host: str = HOST) -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def answer(
        self, path: str, body: object, status: int = 200, kind: str = "application/json", **headers: str
    ) -> None:
        """Give this body (bytes as they are, else as JSON) at `path` from now on; `cache_control` is a header."""
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[path] = (status, {"Content-Type": kind, **named}, sent)

    def publish(self, path: str = "/client.json", host: str = HOST, **changes: object) -> str:
        """Put a client's document at `path`; the `client_id` it is known by."""
        url = self.url(path, host)
        self.answer(path, document(url, **changes))
        return url

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def document(url: str, **changes: object) -> dict[str, object]:
    """A sound document; a change to None leaves the member out."""
    members: dict[str, object] = {
        "client_id": url,
        "client_name": "Published app",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        **changes,
    }
    return {name: value for name, value in members.items() if value is not None}


def answered(body: object, status: int = 200, kind: str = "application/json") -> Answer:
    """What `Site.answer` makes, without a network."""
    return Answer(
        status, {"content-type": kind}, body if isinstance(body, bytes) else json.dumps(body).encode()
    )


class Names:
    """A resolver: the addresses of each name, several answers in turn; `asked` are the names looked up."""

    def __init__(self, **addresses: list[list[str]]) -> None:
        self.turns, self.asked = addresses, []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        turns = self.turns.get(host, [["127.0.0.1"]] if host.endswith(HOST) else [])
        if not turns:
            raise socket.gaierror(-2, "unknown")
        return turns.pop(0) if len(turns) > 1 else turns[0]


@contextmanager
def outside(lab: Lab, egress: Egress) -> Iterator[Lab]:
    """The same broker, with this way out."""
    broker = composition.compose(lab.broker.settings, clock=lab.clock, kek=KEK, egress=egress)
    try:
        yield Lab(broker, lab.clock, lab.folder, lab.engine)
    finally:
        broker.close()


@contextmanager
def site(folder: Path) -> Iterator[tuple[Site, Authority]]:
    """A site of the name `HOST` and all below it."""
    authority = Authority(folder)
    found = Site(authority.leaf(HOST, f"*.{HOST}"))
    try:
        yield found, authority
    finally:
        found.close()


def reaching(authority: Authority, clock: Clock, names: Names | None = None) -> Egress:
    """A way out that ends at loopback, where the test's authority is trusted."""
    return Egress(True, clock, names or Names(), authority.file)


class Canary:
    """A port on which nobody must knock: a listener on loopback, and a watch on every address connected to there.

    What does not lead to loopback ends here: nothing leaves the machine.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.knocks: list[str] = []
        connect = socket.socket.connect

        def watched(this: socket.socket, address: tuple[str, int]) -> None:
            if isinstance(address, tuple) and address[1] == self.port:
                self.knocks.append(address[0])
                if address[0] != "127.0.0.1":
                    raise ConnectionRefusedError
            connect(this, address)

        monkeypatch.setattr(socket.socket, "connect", watched)

    def url(self, host: str) -> str:
        return f"https://{host}:{self.port}/client.json"

    def untouched(self) -> bool:
        """Whether nobody connected, seen from both ends; a connection in the backlog counts."""
        self._listener.setblocking(False)
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return not self.knocks
        return False

    def close(self) -> None:
        self._listener.close()
