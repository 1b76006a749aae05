"""RFC 9449 section 7 and section 4.3: what a guard makes of proofs."""

import asyncio
import json
from collections.abc import Callable, Iterable

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from broker.guard.asgi import GuardMiddleware
from broker.guard.guard import Guard
from broker.guard.possession import Memory, PossessionRefused, Sent, TooManyProofs
from broker.guard.verifier import TokenRefused
from broker.protocol.nonces import WINDOW
from tests.lab import race
from tests.proofs import ABSENT, Holder

ISSUER = "https://as.example"
RESOURCE = "https://mcp.example/mcp"
METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"
ALGS = 'algs="ES256 Ed25519 EdDSA PS256"'
KEY, OTHER = Holder(), Holder()

Send = Callable[..., httpx2.Response]


class App:
    """The application behind the guard: answers with the Authorization header that reached it."""

    async def __call__(self, scope, receive, send) -> None:
        shown = dict(scope["headers"])[b"authorization"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": shown})


@pytest.fixture
def token(issuer) -> str:
    return issuer.token(cnf={"jkt": KEY.jkt})


@pytest.fixture
def make(issuer, clock) -> Callable[..., GuardMiddleware]:
    def make(url_of=None, **options: object) -> GuardMiddleware:
        options = {"tools": {"refund": ["refunds:write"]}, "default_scopes": ["tickets:read"], **options}
        guard = Guard(resource=RESOURCE, issuers={ISSUER: ["acme"]}, keys=issuer, clock=clock, **options)
        return GuardMiddleware(App(), guard, url_of=url_of)

    return make


def send(
    middleware: GuardMiddleware,
    headers: Iterable[tuple[str, str]],
    url: str = RESOURCE,
    method: str = "GET",
    content: bytes | None = None,
) -> httpx2.Response:
    async def run() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=middleware)) as client:
            return await client.request(method, url, headers=list(headers), content=content)

    return asyncio.run(run())


def dpop(middleware: GuardMiddleware, token: str, *proofs: str, scheme: str = "DPoP") -> httpx2.Response:
    return send(middleware, [("Authorization", f"{scheme} {token}"), *(("DPoP", proof) for proof in proofs)])


def refused(answer: httpx2.Response, error: str, status: int = 401) -> None:
    """The challenge of RFC 9449 section 7.1, and nothing of the application."""
    assert (answer.status_code, answer.json()) == (status, {"error": error})
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith(f'DPoP error="{error}", error_description="') and challenge.endswith(ALGS)
    assert f'resource_metadata="{METADATA}"' in challenge and answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP"])
def test_a_bound_token_with_its_proof_reaches_the_application(make, token, clock, scheme: str) -> None:
    answer = dpop(make(), token, KEY.proof(RESOURCE, clock(), "GET", token), scheme=scheme)
    assert (answer.status_code, answer.text) == (200, f"Bearer {token}")
    assert "dpop-nonce" not in answer.headers


@pytest.mark.parametrize("alg", ["Ed25519", "EdDSA", "PS256"])
def test_a_key_of_each_kind_works(make, issuer, clock, alg: str) -> None:
    holder = Holder(alg)
    token = issuer.token(cnf={"jkt": holder.jkt})
    assert dpop(make(), token, holder.proof(RESOURCE, clock(), "GET", token)).status_code == 200


def test_a_bound_token_is_no_bearer_token(make, token, clock) -> None:
    for proofs in ((), (KEY.proof(RESOURCE, clock(), "GET", token),)):
        answer = dpop(make(), token, *proofs, scheme="Bearer")
        refused(answer, "invalid_token")
        assert "send it with the DPoP scheme" in answer.headers["www-authenticate"]


def test_a_bearer_token_is_no_bound_token(make, issuer, clock) -> None:
    plain = issuer.token()
    refused(dpop(make(), plain, KEY.proof(RESOURCE, clock(), "GET", plain)), "invalid_token")
    assert dpop(make(), plain, scheme="Bearer").status_code == 200
    assert dpop(make(), plain, "ignored", scheme="Bearer").status_code == 200


def test_two_schemes_at_once_are_a_bad_request(make, token, clock) -> None:
    proof = KEY.proof(RESOURCE, clock(), "GET", token)
    for headers in (
        [("Authorization", f"DPoP {token}"), ("Authorization", f"Bearer {token}"), ("DPoP", proof)],
        [("Authorization", f"Bearer {token}, DPoP {token}"), ("DPoP", proof)],
    ):
        answer = send(make(), headers)
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})


def test_a_token_that_is_wrong_by_itself_is_told_so_in_its_own_scheme(make, issuer, clock) -> None:
    for token in (issuer.token(cnf={"jkt": KEY.jkt}, aud="https://other.example"), "x"):
        refused(dpop(make(), token, KEY.proof(RESOURCE, clock(), "GET", token)), "invalid_token")
        answer = dpop(make(), token, scheme="Bearer")
        assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_a_bound_token_without_the_scope_is_told_so_in_its_own_scheme(make, token, clock) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "refund"}})
    proof = KEY.proof(RESOURCE, clock(), "POST", token)
    headers = [("Authorization", f"DPoP {token}"), ("DPoP", proof)]
    answer = send(make(), headers, method="POST", content=body.encode())
    refused(answer, "insufficient_scope", 403)
    assert 'scope="tickets:read refunds:write"' in answer.headers["www-authenticate"]


@pytest.mark.attack("DPOP-03")
@pytest.mark.parametrize("proofs", [(), ("",), ("abc",), ("a.b",), ("a.b.c.d.e",), ('{"payload":"e30"}',)])
def test_what_is_no_compact_jws_is_no_proof(make, token, proofs: tuple[str, ...]) -> None:
    refused(dpop(make(), token, *proofs), "invalid_dpop_proof")


@pytest.mark.attack("DPOP-03")
def test_two_proofs_are_one_too_many(make, token, clock) -> None:
    two = [KEY.proof(RESOURCE, clock(), "GET", token) for _ in range(2)]
    refused(dpop(make(), token, *two), "invalid_dpop_proof")
    refused(dpop(make(), token, ", ".join(two)), "invalid_dpop_proof")
    assert dpop(make(), token, two[0]).status_code == 200


@pytest.mark.attack("DPOP-04")
@pytest.mark.attack("DPOP-05")
@pytest.mark.attack("DPOP-08")
@pytest.mark.parametrize(
    "header",
    [
        {"typ": ABSENT},
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": ABSENT},
        {"jwk": {**KEY.jwk, "d": "AAAA"}},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"crit": ["exp"]},
    ],
)
def test_a_header_that_is_not_a_proofs_is_refused(make, token, clock, header: dict[str, object]) -> None:
    proof = KEY.proof(RESOURCE, clock(), "GET", token, header=header)
    refused(dpop(make(), token, proof), "invalid_dpop_proof")


def test_a_proof_is_for_one_method(make, token, clock) -> None:
    refused(dpop(make(), token, KEY.proof(RESOURCE, clock(), "POST", token)), "invalid_dpop_proof")


@pytest.mark.attack("DPOP-10")
@pytest.mark.parametrize(
    ("htu", "works"),
    [
        ("https://mcp.example/mcp", True),
        ("HTTPS://MCP.example:443/mcp?session=1#x", True),
        ("https://mcp.example/mcp/", False),
        ("https://mcp.example/", False),
        ("http://mcp.example/mcp", False),
        ("https://internal.example/mcp", False),
        (["https://mcp.example/mcp"], False),
    ],
)
def test_the_url_is_the_one_that_clients_know(make, token, clock, htu: object, works: bool) -> None:
    """Behind a proxy the request names another host; the resource's own origin is what counts."""
    proof = KEY.proof(RESOURCE, clock(), "GET", token, htu=htu)
    headers = [("Authorization", f"DPoP {token}"), ("DPoP", proof), ("X-Forwarded-Host", "evil.example")]
    middleware = make(allowed_hosts=["internal.example:8080"])
    answer = send(middleware, headers, url="http://internal.example:8080/mcp?page=2")
    assert answer.status_code == (200 if works else 401)


def test_a_path_with_escapes_is_compared_in_its_normal_form(make, token, clock) -> None:
    url = "https://mcp.example/mcp/%C3%A9/a%20b"
    headers = [("Authorization", f"DPoP {token}"), ("DPoP", KEY.proof(url, clock(), "GET", token))]
    assert send(make(), headers, url=url).status_code == 200


def test_a_server_whose_proxy_changes_paths_says_what_clients_see(make, token, clock) -> None:
    public = make(lambda scope: f"https://mcp.example/desk{scope['path']}")
    proof = KEY.proof("https://mcp.example/desk/mcp", clock(), "GET", token)
    assert dpop(public, token, proof).status_code == 200
    refused(dpop(public, token, KEY.proof(RESOURCE, clock(), "GET", token)), "invalid_dpop_proof")


def test_a_proof_is_of_this_minute(make, token, clock) -> None:
    for off, status in ((-61, 401), (-60, 200), (60, 200), (61, 401)):
        answer = dpop(make(), token, KEY.proof(RESOURCE, clock() + off, "GET", token))
        assert answer.status_code == status
        if status == 401:
            refused(answer, "invalid_dpop_proof")
            assert "dpop-nonce" not in answer.headers


@pytest.mark.attack("DPOP-16")
def test_a_proof_is_tied_to_the_token_beside_it(make, issuer, token, clock) -> None:
    other = issuer.token(cnf={"jkt": KEY.jkt}, jti="another")
    for ath in (KEY.proof(RESOURCE, clock(), "GET", other), KEY.proof(RESOURCE, clock(), "GET")):
        refused(dpop(make(), token, ath), "invalid_dpop_proof")
    for ath in (ABSENT, "", 7, None):
        refused(
            dpop(make(), token, KEY.proof(RESOURCE, clock(), "GET", token, ath=ath)), "invalid_dpop_proof"
        )


@pytest.mark.attack("DPOP-17")
@pytest.mark.requirement("EXT-DPOP-05")
def test_a_bound_token_works_with_its_own_key_only(make, token, clock) -> None:
    refused(dpop(make(), token, OTHER.proof(RESOURCE, clock(), "GET", token)), "invalid_token")


@pytest.mark.parametrize(
    "cnf", [{}, {"jkt": ""}, {"jkt": 7}, {"jwk": KEY.jwk}, {"jkt": KEY.jkt, "kid": "k"}, "k", None]
)
def test_a_binding_that_is_not_understood_is_fulfilled_by_nobody(make, issuer, clock, cnf: object) -> None:
    token = issuer.token(cnf=cnf) if cnf is not None else issuer.token(cnf=[])
    refused(dpop(make(), token, KEY.proof(RESOURCE, clock(), "GET", token)), "invalid_token")
    assert dpop(make(), token, scheme="Bearer").status_code == 401


def test_a_resource_may_take_bound_tokens_only(make, issuer, token, clock) -> None:
    strict = make(dpop_required=True)
    refused(dpop(strict, issuer.token(), scheme="Bearer"), "invalid_token")
    assert dpop(strict, token, KEY.proof(RESOURCE, clock(), "GET", token)).status_code == 200
    answer = send(strict, [])
    assert answer.headers["www-authenticate"] == (
        f'DPoP scope="tickets:read", resource_metadata="{METADATA}", {ALGS}'
    )
    document = send(strict, [], url=METADATA).json()
    assert document["dpop_bound_access_tokens_required"] is True
    assert document["dpop_signing_alg_values_supported"] == ["ES256", "Ed25519", "EdDSA", "PS256"]
    assert "dpop_bound_access_tokens_required" not in send(make(), [], url=METADATA).json()


@pytest.mark.attack("DPOP-13")
def test_a_proof_works_once(make, token, clock) -> None:
    guard, proof = make(), KEY.proof(RESOURCE, clock(), "GET", token, jti="one")
    assert dpop(guard, token, proof).status_code == 200
    refused(dpop(guard, token, proof), "invalid_dpop_proof")
    refused(
        dpop(guard, token, KEY.proof(RESOURCE, clock() + 1, "GET", token, jti="one")), "invalid_dpop_proof"
    )
    clock.now += 60
    refused(dpop(guard, token, proof), "invalid_dpop_proof")
    clock.now += 0.1
    answer = dpop(guard, token, proof)
    assert "too far off" in answer.headers["www-authenticate"], "now it is refused for its age"


def test_guards_that_share_what_they_remember_take_a_proof_once_together(make, token, clock) -> None:
    shared, proof = Memory(), KEY.proof(RESOURCE, clock(), "GET", token)
    assert dpop(make(replays=shared), token, proof).status_code == 200
    refused(dpop(make(replays=shared), token, proof), "invalid_dpop_proof")


def test_a_refused_proof_is_not_used_up(make, issuer, token, clock) -> None:
    guard, proof = make(), KEY.proof(RESOURCE, clock(), "GET", token)
    assert dpop(guard, issuer.token(cnf={"jkt": KEY.jkt}, jti="another"), proof).status_code == 401
    assert dpop(guard, token, proof).status_code == 200


@pytest.mark.attack("CONC-14")
def test_of_64_calls_with_one_proof_one_is_let_through(issuer, clock, token) -> None:
    guard = Guard(resource=RESOURCE, issuers={ISSUER: ["acme"]}, keys=issuer, clock=clock)
    for _ in range(25):
        sent = Sent("GET", RESOURCE, "dpop", (KEY.proof(RESOURCE, clock(), "GET", token),))

        def call(_: int, sent: Sent = sent) -> str:
            try:
                return guard.verify(token, sent).subject
            except PossessionRefused as refusal:
                return refusal.reason

        results = race(64, call)
        assert sorted(map(str, results)) == ["alice", *["replayed"] * 63]


@pytest.mark.attack("DPOP-14")
def test_no_flood_pushes_a_used_proof_out_of_memory() -> None:
    """Two of those who call fill what is theirs; nothing is forgotten before its time, and others go on."""
    memory = Memory(most=100_000)
    assert memory.use("first", "j", until=60, now=0)
    taken = refusals = 0
    for number in range(50_000):
        try:
            taken += memory.use(f"flood-{number % 4}", str(number), until=60, now=0)
        except TooManyProofs:
            refusals += 1
    assert (taken, refusals) == (40_000, 10_000)
    assert memory.use("first", "j", until=60, now=60) is False
    assert memory.use("first", "k", until=60, now=0), "the flood took nothing from anybody else"
    assert memory.use("flood-0", "later", until=120, now=60.1)
    assert memory.use("first", "j", until=120, now=60.1), "by now it would be refused for its age"


@pytest.mark.attack("DPOP-14")
def test_a_full_memory_takes_nothing_more_and_forgets_nothing() -> None:
    memory = Memory(most=20)
    assert all(memory.use(f"holder-{number}", "j", until=60 + number, now=0) for number in range(20))
    with pytest.raises(TooManyProofs):
        memory.use("another", "j", until=60, now=60)
    assert not memory.use("holder-0", "j", until=60, now=60)
    assert memory.use("another", "j", until=120, now=60.5), "the first one is out of date"
    with pytest.raises(TooManyProofs):
        memory.use("yet-another", "j", until=120, now=60.5)


@pytest.mark.attack("DPOP-14")
def test_who_sends_too_many_is_told_to_wait(make, issuer, token, clock) -> None:
    guard = make(replays=Memory(most=30))
    proofs = [KEY.proof(RESOURCE, clock(), "GET", token) for _ in range(4)]
    assert [dpop(guard, token, proof).status_code for proof in proofs] == [200, 200, 200, 429]
    assert dpop(guard, token, proofs[3]).headers["retry-after"] == "60"
    refused(dpop(guard, token, proofs[0]), "invalid_dpop_proof")
    other = issuer.token(cnf={"jkt": OTHER.jkt})
    assert dpop(guard, other, OTHER.proof(RESOURCE, clock(), "GET", other)).status_code == 200


@pytest.mark.attack("DPOP-15")
@pytest.mark.requirement("EXT-DPOP-04")
def test_a_resource_that_demands_nonces_takes_current_ones_of_its_own(make, token, clock) -> None:
    guard = make(dpop_nonce_key=b"n" * 32)

    def proof(**claims: object) -> str:
        return KEY.proof(RESOURCE, clock(), "GET", token, **claims)

    answer = dpop(guard, token, proof())
    refused(answer, "use_dpop_nonce")
    nonce = answer.headers["dpop-nonce"]
    good = proof(nonce=nonce)
    answer = dpop(guard, token, good)
    assert answer.status_code == 200 and answer.headers["dpop-nonce"] == nonce
    again = dpop(guard, token, good)
    refused(again, "invalid_dpop_proof")
    assert again.headers["dpop-nonce"] == nonce
    strange = dpop(make(dpop_nonce_key=b"o" * 32), token, proof()).headers["dpop-nonce"]
    for wrong in ("", strange, nonce + "A"):
        refused(dpop(guard, token, proof(nonce=wrong)), "use_dpop_nonce")
    refused(dpop(guard, token, proof()), "use_dpop_nonce")
    assert dpop(guard, token, KEY.proof(RESOURCE, 1, "GET", token, nonce=nonce)).status_code == 200, (
        "with a nonce, the client's clock does not matter"
    )
    clock.now += 2 * WINDOW
    stale = dpop(guard, token, proof(nonce=nonce))
    refused(stale, "use_dpop_nonce")
    assert stale.headers["dpop-nonce"] != nonce
    assert dpop(guard, token, proof(nonce=stale.headers["dpop-nonce"])).status_code == 200


def test_a_bearer_token_meets_no_nonce(make, issuer) -> None:
    answer = dpop(make(dpop_nonce_key=b"n" * 32), issuer.token(), scheme="Bearer")
    assert answer.status_code == 200 and "dpop-nonce" not in answer.headers


def test_who_hands_over_a_token_alone_is_refused_a_bound_one(issuer, clock, token) -> None:
    guard = Guard(resource=RESOURCE, issuers={ISSUER: "*"}, keys=issuer, clock=clock)
    with pytest.raises(TokenRefused, match="bound_but_unseen"):
        guard.verify(token)
    assert guard.verify(issuer.token()).confirmation is None
    with guard.calling(
        guard.verify(token, Sent("GET", RESOURCE, "dpop", (KEY.proof(RESOURCE, clock(), "GET", token),))),
        token,
    ):
        assert guard.verify(token).confirmation is not None, "the call in progress has proven it"
        with pytest.raises(TokenRefused):
            guard.verify(issuer.token(cnf={"jkt": KEY.jkt}, jti="another"))


def test_a_proof_for_a_downstream_call_needs_a_key(issuer, clock) -> None:
    guard = Guard(resource=RESOURCE, issuers={ISSUER: "*"}, keys=issuer, clock=clock)
    with pytest.raises(LookupError):
        guard.dpop_proof(method="GET", url="https://crm.example/x", token="t")
    with pytest.raises(ValueError, match="P-256"):
        Guard(
            resource=RESOURCE,
            issuers={ISSUER: "*"},
            keys=issuer,
            dpop_key=ec.generate_private_key(ec.SECP384R1()),
        )
