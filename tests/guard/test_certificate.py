"""RFC 8705 section 3: a token that is bound to a certificate, at a resource that sees certificates."""

import asyncio
import json
from collections.abc import Callable, Iterable

import httpx2
import pytest

from broker.guard.asgi import GuardMiddleware
from broker.guard.guard import Guard
from broker.guard.mcp_sdk import BrokerTokenVerifier
from broker.protocol.certificate import thumbprint
from tests.certificates import Authority, Issued
from tests.proofs import Holder

ISSUER = "https://as.example"
RESOURCE = "https://mcp.example/mcp"
METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"
PROXY, STRANGER = "10.0.0.1", "203.0.113.7"
HEADER = "Client-Cert"
# Nobody trusts this authority: possession is what counts here.
OWN, OTHER, OF_PROXY = (Authority().issue(f"CN={name}") for name in ("own", "other", "proxy"))
KEY = Holder()


class App:
    """The application behind the guard: counts what reaches it."""

    def __init__(self) -> None:
        self.reached = 0

    async def __call__(self, scope, receive, send) -> None:
        self.reached += 1
        assert dict(scope["headers"])[b"authorization"].startswith(b"Bearer ")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def make(issuer, clock, app) -> Callable[..., GuardMiddleware]:
    def make(**options: object) -> GuardMiddleware:
        chosen = {"certificate_header": HEADER, "trusted_proxies": [PROXY], **options}
        tools = {"refund": ["refunds:write"]}
        guard = Guard(
            resource=RESOURCE, issuers={ISSUER: ["acme"]}, tools=tools, keys=issuer, clock=clock, **chosen
        )
        return GuardMiddleware(app, guard)

    return make


@pytest.fixture
def token(issuer) -> str:
    return issuer.token(cnf={"x5t#S256": thumbprint(OWN.der)})


def send(
    middleware: GuardMiddleware,
    token: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    peer: str | None = PROXY,
    tls: dict[str, object] | None = None,
    scheme: str = "Bearer",
    content: bytes | None = None,
) -> httpx2.Response:
    async def served(scope, receive, sending) -> None:
        scope = {**scope, "client": (peer, 40000) if peer else None}
        if tls is not None:
            scope["extensions"] = {"tls": tls}
        await middleware(scope, receive, sending)

    async def run() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=served)) as client:
            sent = [("Authorization", f"{scheme} {token}"), *headers]
            method = "GET" if content is None else "POST"
            return await client.request(method, RESOURCE, headers=sent, content=content)

    return asyncio.run(run())


def shown(issued: Issued, **more: object) -> dict[str, object]:
    """The ASGI TLS extension."""
    return {"client_cert_chain": [issued.pem], "client_cert_error": None, **more}


def refused(answer: httpx2.Response, description: str) -> None:
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == (
        f'Bearer error="invalid_token", error_description="{description}", scope="refunds:write", '
        f'resource_metadata="{METADATA}"'
    )


MISSING = "the token is bound to a certificate: show it, and send the token as Bearer"
ANOTHER = "the token is bound to another certificate"


@pytest.mark.parametrize("value", [OWN.field, OWN.escaped])
def test_a_bound_token_works_beside_its_certificate_from_a_trusted_proxy(make, app, token, value) -> None:
    assert send(make(), token, [(HEADER, value)]).status_code == 200
    assert app.reached == 1


def test_a_bound_token_works_beside_its_certificate_on_the_connection_itself(make, token) -> None:
    for middleware in (make(), make(certificate_header=None, trusted_proxies=())):
        assert send(middleware, token, peer=STRANGER, tls=shown(OWN)).status_code == 200


def test_a_bound_token_does_not_work_without_its_certificate(make, app, token) -> None:
    middleware = make()
    refused(send(middleware, token), MISSING)
    refused(send(middleware, token, peer=STRANGER), MISSING)
    refused(send(middleware, token, peer=STRANGER, tls={}), MISSING)
    refused(send(middleware, token, peer=STRANGER, tls={"client_cert_chain": []}), MISSING)
    refused(send(middleware, token, [(HEADER, OTHER.field)]), ANOTHER)
    refused(send(middleware, token, peer=STRANGER, tls=shown(OTHER)), ANOTHER)
    assert app.reached == 0


def test_a_certificate_that_the_server_found_fault_with_is_none(make, token) -> None:
    tls = shown(OWN, client_cert_error="self-signed certificate")
    refused(send(make(), token, peer=STRANGER, tls=tls), MISSING)


@pytest.mark.parametrize("peer", [STRANGER, "10.0.0.2", None, "unix", "::1"])
def test_a_header_of_anybody_but_a_trusted_proxy_is_not_heard(make, app, token, peer) -> None:
    pretending = [(HEADER, OWN.field), ("X-Forwarded-For", PROXY)]
    refused(send(make(), token, pretending, peer=peer), MISSING)
    refused(send(make(certificate_header=None), token, pretending), MISSING)
    assert app.reached == 0
    assert send(make(), token, pretending).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [(HEADER, "")],
        [(HEADER, "rubbish")],
        [(HEADER, OWN.field), (HEADER, OWN.field)],
        [(HEADER, OTHER.field), (HEADER, OWN.field)],
        [(HEADER, f"{OWN.field}, {OWN.field}")],
        [("Client_Cert", OWN.field)],
        [("Client-Cert-Chain", OWN.field)],
        [(HEADER, "\xff\xfe")],
    ],
)
def test_a_header_that_is_broken_or_repeated_is_no_certificate(make, token, headers) -> None:
    sent = [(name, value.encode("latin-1")) for name, value in headers]
    refused(send(make(), token, sent), MISSING)


def test_the_certificate_of_a_proxy_is_not_that_of_its_clients(make, issuer) -> None:
    of_proxy = issuer.token(cnf={"x5t#S256": thumbprint(OF_PROXY.der)})
    refused(send(make(), of_proxy, tls=shown(OF_PROXY)), MISSING)
    refused(send(make(), of_proxy, [(HEADER, OWN.field)], tls=shown(OF_PROXY)), ANOTHER)


def test_a_token_is_bound_whatever_else_the_request_carries(make, token, clock) -> None:
    proof = KEY.proof(RESOURCE, clock(), "GET", token)
    sent = [("DPoP", proof), (HEADER, OWN.field)]
    refused(send(make(), token, sent, scheme="DPoP"), MISSING)
    assert send(make(), token, [(HEADER, OWN.field)]).status_code == 200


def test_a_token_that_is_bound_twice_needs_both(make, issuer, clock) -> None:
    token = issuer.token(cnf={"x5t#S256": thumbprint(OWN.der), "jkt": KEY.jkt})

    def sent(certificate: Issued, scheme: str = "DPoP") -> httpx2.Response:
        proof = KEY.proof(RESOURCE, clock(), "GET", token)
        return send(make(), token, [("DPoP", proof), (HEADER, certificate.field)], scheme=scheme)

    assert sent(OWN).status_code == 200
    assert sent(OTHER).status_code == 401
    assert sent(OWN, "Bearer").status_code == 401


def test_a_certificate_does_not_stand_for_a_key(make, issuer) -> None:
    token = issuer.token(cnf={"jkt": KEY.jkt})
    answer = send(make(), token, [(HEADER, OWN.field)])
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("DPoP ")


def test_a_bearer_token_works_with_a_certificate_and_without(make, issuer) -> None:
    for headers in ([], [(HEADER, OWN.field)], [(HEADER, "rubbish")]):
        assert send(make(), issuer.token(), headers).status_code == 200


def test_a_resource_that_demands_dpop_takes_no_certificate_instead(make, token) -> None:
    assert send(make(dpop_required=True), token, [(HEADER, OWN.field)]).status_code == 401
    assert send(make(), token, [(HEADER, OWN.field)]).status_code == 200


def test_more_scope_is_asked_for_as_of_a_bearer_token(make, token) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "refund", "arguments": {}}}
    answer = send(make(), token, [(HEADER, OWN.field)], content=json.dumps(body).encode())
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].startswith('Bearer error="insufficient_scope"')


def test_the_sdks_verifier_alone_sees_no_certificate(make, issuer, clock, token) -> None:
    guard = Guard(resource=RESOURCE, issuers={ISSUER: ["acme"]}, keys=issuer, clock=clock)
    verifier = BrokerTokenVerifier(guard)
    assert asyncio.run(verifier.verify_token(token)) is None
    assert asyncio.run(verifier.verify_token(issuer.token())) is not None


def test_a_resource_says_that_it_sees_certificates(make) -> None:
    def metadata(middleware: GuardMiddleware) -> dict[str, object]:
        async def run() -> httpx2.Response:
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=middleware)) as client:
                return await client.get(METADATA)

        found: dict[str, object] = asyncio.run(run()).json()
        return found

    assert metadata(make())["tls_client_certificate_bound_access_tokens"] is True
    assert "tls_client_certificate_bound_access_tokens" not in metadata(make(certificate_header=None))


def test_a_header_that_nobody_may_send_is_refused_at_once(make) -> None:
    with pytest.raises(ValueError, match="needs trusted_proxies"):
        make(trusted_proxies=())
