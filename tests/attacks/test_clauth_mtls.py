"""Client authentication under attack: certificates in headers, the CLAUTH case about them."""

import base64
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from broker.identity.clients.model import Client, Registered, Subject
from broker.protocol.certificate import thumbprint
from tests.certificates import DAY, Authority, Issued
from tests.engines import Sqlite
from tests.lab import Lab, claims
from tests.serve.sites import site_on

GRANT = {"grant_type": "client_credentials", "client_id": "certified"}
SUBJECT = "CN=nightly,O=Acme"
PROXY, LIVE_PROXY = "10.0.0.1", "127.0.0.2"
LONG = {"starts": -10_000 * DAY, "ends": 10_000 * DAY}
"""For a server whose clock nobody moves."""
ESTATE = f"""
tenants: [{{id: acme, name: Acme}}]
clients:
  - {{client_id: certified, type: confidential, tenant: acme, grant_types: [client_credentials], resources: [tickets],
     token_endpoint_auth_method: tls_client_auth, tls_client_auth_subject_dn: "{SUBJECT}",
     tls_client_certificate_bound_access_tokens: true}}
resources:
  - {{id: tickets, kind: mcp, uri: "http://127.0.0.1:9999/mcp", tenants: [acme], scopes: [{{name: "tickets:read"}}]}}
"""


def certified(member: str = "tls_client_auth_subject_dn", value: str = SUBJECT) -> Client:
    return Client(
        "certified",
        "Certified",
        "acme",
        "tls_client_auth",
        Registered.ADMIN,
        grant_types=("client_credentials",),
        scopes=("tickets:read",),
        resources=("tickets",),
        certificate=Subject(member, value),
    )


@pytest.mark.attack("CLAUTH-29")
@pytest.mark.parametrize("header", ["X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "Client-Cert"])
def test_a_certificate_in_a_header_of_a_direct_connection_is_ignored(
    make_lab: Callable[..., Lab], tmp_path: Path, header: str
) -> None:
    ca = Authority()
    lab = make_lab(
        trusted_proxies=(PROXY,),
        client_certificate_header=header,
        client_certificate_authorities=ca.file(tmp_path),
    )
    lab.put_client(certified())
    certificate = ca.issue(SUBJECT)
    before = lab.state()
    for value in (certificate.escaped, certificate.field, certificate.pem.replace("\n", " ")):
        for name in (header, header.lower(), header.replace("-", "_"), "SSL_CLIENT_CERT", "Ssl-Client-Cert"):
            for more in ({}, {"X-Forwarded-For": PROXY, "Forwarded": f"for={PROXY}", "X-Real-Ip": PROXY}):
                lab.clock.advance(30)  # below the limit on failures: this is not what is tried
                answer = lab.post("/token", GRANT, {name: value, **more})
                lab.refused(answer, 401, "invalid_client", "client_certificate_invalid")
    assert lab.state() == before
    for value in (certificate.escaped, certificate.field):
        assert lab.post("/token", GRANT, {header: value}, PROXY).status_code == 200


class _Proxy(ThreadingHTTPServer):
    """Terminates TLS, asks for a certificate, and says to `target` what it saw, in `ClientCert` and nothing else."""

    daemon_threads = True
    target: str
    context: ssl.SSLContext

    def get_request(self) -> tuple[ssl.SSLSocket, object]:
        connection, peer = super().get_request()
        return self.context.wrap_socket(connection, server_side=True), peer

    def handle_error(self, request: object, client_address: object) -> None:
        """A handshake that fails is the client's business."""


class _Handler(BaseHTTPRequestHandler):
    server: _Proxy
    connection: ssl.SSLSocket

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        sent = [(name, value) for name, value in self.headers.items() if name.lower() != "clientcert"]
        if (der := self.connection.getpeercert(binary_form=True)) is not None:
            sent.append(("ClientCert", f":{base64.b64encode(der).decode('ascii')}:"))
        answer = post(self.server.target + self.path, body, sent, local=LIVE_PROXY)
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def proxied(target: str, folder: Path, clients: Iterable[Authority]) -> Iterator[tuple[str, str]]:
    """The https address of a proxy that believes these authorities, and the authority to believe it by, in PEM."""
    web = Authority("CN=Web", **LONG)
    local = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    own = web.issue("CN=proxy", local, usages=[ExtendedKeyUsageOID.SERVER_AUTH], **LONG)
    server = _Proxy(("127.0.0.1", 0), _Handler)
    server.target, server.context = target, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.context.load_cert_chain(own.file(folder))
    server.context.load_verify_locations(cadata="".join(authority.own.pem for authority in clients))
    server.context.verify_mode = ssl.CERT_OPTIONAL
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}", web.own.pem
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def post(
    url: str,
    content: bytes,
    headers: Iterable[tuple[str, str]] = (),
    *,
    local: str = "127.0.0.1",
    verify: ssl.SSLContext | bool = True,
) -> httpx2.Response:
    """From an address of this machine."""
    transport = httpx2.HTTPTransport(local_address=local, verify=verify)
    with httpx2.Client(transport=transport, timeout=20, trust_env=False) as client:
        form = ("Content-Type", "application/x-www-form-urlencoded")
        others = [pair for pair in headers if pair[0].lower() != "content-type"]
        return client.post(url, content=content, headers=[form, *others])


@pytest.mark.attack("CLAUTH-29")
def test_behind_a_proxy_the_certificate_of_the_connection_counts(template: Path, tmp_path: Path) -> None:
    """The server that runs, a proxy with TLS before it, and clients with certificates, with another's, with none."""
    ca, strange = Authority(**LONG), Authority("CN=Strange", **LONG)
    own, stolen = ca.issue(SUBJECT, **LONG), strange.issue(SUBJECT, **LONG)
    site = site_on(Sqlite(template), tmp_path / "site", ESTATE)
    settings = {
        "BROKER_TRUSTED_PROXIES": f'["{LIVE_PROXY}"]',
        "BROKER_CLIENT_CERTIFICATE_HEADER": "ClientCert",
        "BROKER_CLIENT_CERTIFICATE_AUTHORITIES": str(ca.file(tmp_path)),
    }
    form = urlencode(GRANT).encode()
    with site.served(**settings), proxied(site.issuer, tmp_path, (ca, strange)) as (address, web):

        def asked(certificate: Issued | None, *headers: tuple[str, str]) -> httpx2.Response:
            context = ssl.create_default_context(cadata=web)
            if certificate is not None:
                context.load_cert_chain(certificate.file(tmp_path))
            return post(f"{address}/token", form, headers, verify=context)

        granted = asked(own)
        assert granted.status_code == 200, granted.text
        assert claims(granted.json()["access_token"])["cnf"] == {"x5t#S256": thumbprint(own.der)}
        for certificate in (None, stolen):
            for headers in ((), (("ClientCert", own.field),), (("Ssl-Client-Cert", own.escaped),)):
                refused = asked(certificate, *headers)
                assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        for name in ("ClientCert", "SSL_CLIENT_CERT", "Ssl-Client-Cert", "HTTP_CLIENTCERT"):
            direct = post(f"{site.issuer}/token", form, [(name, own.field)])
            assert (direct.status_code, direct.json()["error"]) == (401, "invalid_client"), name
