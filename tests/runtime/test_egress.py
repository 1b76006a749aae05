"""Outgoing HTTP reaches the public internet and nothing else."""

import http.server
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker.runtime import egress
from broker.runtime.addresses import public
from broker.runtime.egress import Egress, EgressFailed, EgressRefused, EgressUnacceptable


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time


class Canary:
    """A socket on loopback that counts who connects."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def connections(self) -> int:
        """How many came; a connection in the backlog counts."""
        self.socket.setblocking(False)
        count = 0
        while True:
            try:
                self.socket.accept()[0].close()
                count += 1
            except BlockingIOError:
                return count


@pytest.fixture
def canary() -> Iterator[Canary]:
    found = Canary()
    yield found
    found.socket.close()


class Server:
    """An HTTP server that answers `reply` and keeps what it was asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status, self.headers, self.body = 200, {"Content-Type": "application/json"}, b'{"a":1}'
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.seen.append((self.command, self.path, headers, self.rfile.read(length)))
                self.send_response(server.status)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(server.body)))
                self.end_headers()
                self.wfile.write(server.body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.names: list[str | None] = []
        if context is not None:
            context.sni_callback = lambda _, name, __: self.names.append(name)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_port
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def at_home(clock: Clock | None = None, *addresses: str) -> Egress:
    return Egress(True, clock or Clock(), lambda host, port: list(addresses) or egress.resolve(host, port))


SPECIAL = [
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *(
        "100.64.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ),
    *("::", "::1", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::8.8.8.8"),
    *("::ffff:8.8.8.8", "::ffff:0:808:808", "4000::1", "fd00:ec2::254"),
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::1", "2002:808:808::1", "2001::1"),
    *("2001:1::1", "2001:2::1", "2001:20::1", "2001:4:112::1", "3fff::1", "5f00::1", "2620:4f:8000::1"),
    *(
        "2a00::5efe:7f00:1",
        "2a00::200:5efe:808:808",
        "192.88.99.1",
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.1",
    ),
    *("fe80::1%lo", "2606:4700:4700::1111%lo"),
]


@pytest.mark.parametrize("address", SPECIAL)
def test_a_special_address_is_not_public(address: str) -> None:
    assert not public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:0:5efe::1"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "::1", "0.0.0.0"])
def test_a_name_that_leads_home_is_refused_before_anything_connects(canary: Canary, address: str) -> None:
    guarded = Egress(False, Clock(), lambda host, port: [address])
    with pytest.raises(EgressRefused, match="not on the public internet"):
        guarded.get(f"https://innocent.example:{canary.port}/")
    assert canary.connections() == 0


def test_the_canary_does_count_connections(canary: Canary) -> None:
    socket.create_connection(("127.0.0.1", canary.port)).close()
    assert canary.connections() == 1


def test_one_bad_address_among_good_ones_is_enough(canary: Canary) -> None:
    guarded = Egress(False, Clock(), lambda host, port: ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(EgressRefused):
        guarded.get(f"https://mixed.example:{canary.port}/")
    assert canary.connections() == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1", "[::ffff:7f00:1]"]
)
def test_no_spelling_of_this_machine_gets_through(canary: Canary, host: str) -> None:
    with pytest.raises((EgressRefused, EgressFailed)):
        Egress(False, Clock()).get(f"https://{host}:{canary.port}/")
    assert canary.connections() == 0


def test_the_resolver_is_asked_once_so_that_a_second_answer_cannot_lead_elsewhere(server: Server) -> None:
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers.pop(0)

    assert Egress(True, Clock(), rebinding).get(f"http://rebinding.example:{server.port}/x").status == 200
    assert asked == ["rebinding.example"]
    [(_, path, headers, _)] = server.seen
    assert path == "/x" and headers["host"] == f"rebinding.example:{server.port}"


def test_plain_http_is_for_this_machine_only(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/"
    assert at_home().get(url).body == b'{"a":1}'
    with pytest.raises(EgressRefused, match="only https"):
        Egress(False, Clock()).get(url)
    with pytest.raises(EgressRefused, match="only https"):
        Egress(True, Clock(), lambda host, port: ["8.8.8.8"]).get("http://public.example/")


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example/", "file:///etc/passwd", "https://", "https://u:p@a.example/", "a", "http://[::1"],
)
def test_what_is_no_https_url_is_refused(url: str) -> None:
    with pytest.raises(EgressRefused):
        at_home().get(url)


def test_a_form_is_sent_as_one(server: Server) -> None:
    answer = at_home().post(f"http://127.0.0.1:{server.port}/token", {"a": "b c"}, {"X-Extra": "1"})
    [(method, _, headers, body)] = server.seen
    assert (answer.status, method, body, headers["x-extra"]) == (200, "POST", b"a=b+c", "1")
    assert headers["content-type"] == "application/x-www-form-urlencoded"


def test_a_redirect_is_not_followed(server: Server, canary: Canary) -> None:
    server.status, server.headers = 302, {"Location": f"http://127.0.0.1:{canary.port}/"}
    with pytest.raises(EgressUnacceptable, match="redirect"):
        at_home().get(f"http://127.0.0.1:{server.port}/")
    assert canary.connections() == 0


def test_an_answer_of_any_other_status_is_an_answer(server: Server) -> None:
    server.status = 404
    assert at_home().get(f"http://127.0.0.1:{server.port}/").status == 404


def test_too_large_an_answer_is_cut_off(server: Server) -> None:
    server.body = b"x" * 100
    assert len(at_home().get(f"http://127.0.0.1:{server.port}/", largest=100).body) == 100
    server.body = b"x" * 101
    with pytest.raises(EgressUnacceptable, match="too large"):
        at_home().get(f"http://127.0.0.1:{server.port}/", largest=100)


def test_too_slow_an_answer_is_given_up(server: Server) -> None:
    class Late(Clock):
        def now(self) -> float:
            return self.time + (egress.SECONDS + 1 if server.seen else 0)

    with pytest.raises(EgressFailed, match="too slow"):
        at_home(Late()).get(f"http://127.0.0.1:{server.port}/")


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\n\r\n", b""])
def test_who_speaks_byte_by_byte_is_cut_off_when_the_time_of_all_of_it_is_over(said: bytes) -> None:
    """No single step takes long: the clock of the body stands still, and every read is answered at once."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            with listener.accept()[0] as peer:
                try:
                    peer.sendall(said)
                    while True:
                        peer.sendall(b"a")
                        ended.wait(0.02)
                except OSError:
                    ended.set()

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(EgressFailed):
            at_home().get(f"http://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.2)
        thread.join(20)
        assert ended.is_set(), "the connection is still open"


def test_a_resolver_that_does_not_answer_is_waited_for_only_so_long() -> None:
    let_go = threading.Event()

    def stuck(host: str, port: int) -> list[str]:
        let_go.wait()
        return ["8.8.8.8"]

    guarded = Egress(False, Clock(), stuck)
    try:
        with pytest.raises(EgressFailed, match="cannot be resolved"):
            guarded.get("https://slow.example/", seconds=0.05)
    finally:
        let_go.set()
        guarded.close()


def test_a_compressed_answer_is_not_unpacked(server: Server) -> None:
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(EgressUnacceptable, match="compressed"):
        at_home().get(f"http://127.0.0.1:{server.port}/")
    assert server.seen[0][2]["accept-encoding"] == "identity"


def test_no_cookie_is_kept_between_requests(server: Server) -> None:
    server.headers = {"Set-Cookie": "a=b; Path=/"}
    client = at_home()
    for _ in range(2):
        client.get(f"http://127.0.0.1:{server.port}/")
    assert all("cookie" not in headers for _, _, headers, _ in server.seen)


def test_the_next_address_is_tried_when_one_does_not_answer(server: Server) -> None:
    client = at_home(None, "127.0.0.2", "127.0.0.1")
    assert client.get(f"http://two.example:{server.port}/").status == 200
    with pytest.raises(EgressFailed, match="cannot connect"):
        at_home(None, "127.0.0.2").get(f"http://one.example:{server.port}/")


def test_a_name_without_address_fails_in_plain_words() -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "unknown")

    with pytest.raises(EgressFailed, match=r"nowhere\.example cannot be resolved"):
        Egress(False, Clock(), nowhere).get("https://nowhere.example/")
    with pytest.raises(EgressFailed, match="no address"):
        Egress(False, Clock(), lambda host, port: []).get("https://nowhere.example/")


def test_the_certificate_must_be_of_the_name_in_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = certificate(tmp_path, "right.example")
    context.load_cert_chain(pem)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda self, *_: None)
    server = Server(context)
    try:
        trusting = at_home(None, "127.0.0.1")
        trusting._client = egress.httpx2.Client(
            trust_env=False, verify=ssl.create_default_context(cafile=str(pem))
        )
        assert trusting.get(f"https://right.example:{server.port}/").status == 200
        assert server.names == ["right.example"]
        with pytest.raises(EgressFailed):
            trusting.get(f"https://wrong.example:{server.port}/")
        with pytest.raises(EgressFailed):
            at_home(None, "127.0.0.1").get(f"https://right.example:{server.port}/")
    finally:
        server.close()


def certificate(folder: Path, name: str) -> Path:
    """A certificate of its own for `name`, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begun = datetime(2020, 1, 1, tzinfo=UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begun)
        .not_valid_after(begun + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("host", ["xn--fa-hia.example", "xn--strae-oqa.de", "xn--a.example"])
def test_a_name_is_looked_up_as_it_stands_in_the_url(host: str) -> None:
    """Decoded and encoded again, it could be somebody else's."""
    asked: list[str] = []

    def resolver(name: str, _: int) -> list[str]:
        asked.append(name)
        return []

    with pytest.raises(EgressFailed):
        Egress(False, Clock(), resolver).get(f"https://{host}/")
    assert asked == [host]


@pytest.mark.parametrize(
    "location", ["https://xn--" + "9" * 3000 + ".com/", "https://.xn--a", "http://[", "\u00e9"]
)
def test_a_redirect_to_what_is_no_address_is_a_failure_like_any_other(server: Server, location: str) -> None:
    server.status, server.headers = 302, {"Location": location}
    with pytest.raises(EgressFailed):
        at_home().get(f"http://127.0.0.1:{server.port}/")


def test_names_that_are_looked_up_slowly_do_not_hold_up_known_ones() -> None:
    go = threading.Event()

    def resolver(name: str, _: int) -> list[str]:
        if name.startswith("slow"):
            go.wait(20)
        return []

    found = Egress(False, Clock(), resolver)
    with pytest.raises(EgressFailed, match="no address"):
        found.get("https://known.example/")
    for number in range(40):  # more than may wait
        with pytest.raises(EgressFailed, match="cannot be resolved"):
            found.get(f"https://slow{number}.example/", seconds=0.001)
    with pytest.raises(EgressFailed, match="no address"):
        found.get("https://known.example/")
    go.set()
    found.close()
