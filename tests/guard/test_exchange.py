import asyncio
import base64
from collections.abc import Callable
from urllib.parse import parse_qs

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from broker.guard.exchange import ExchangeRefused
from broker.guard.guard import Guard
from broker.protocol import dpop
from broker.protocol.dpop import Proof, ProofKey

NOW = 1_800_000_000.0
ISSUER = "https://as.example"
DOOR = "https://as.example/t/acme"
RESOURCE = "https://mcp.example/mcp"
CRM = "https://crm.example"


class TokenEndpoint:
    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.answer: Callable[[], httpx2.Response] = self.issue

    def issue(self, **over: object) -> httpx2.Response:
        members = {
            "access_token": f"down-{len(self.requests)}",
            "token_type": "Bearer",
            "expires_in": 120,
            **over,
        }
        return httpx2.Response(200, json=members)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self.answer()

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.requests[-1].content.decode(), strict_parsing=True)


@pytest.fixture
def endpoint() -> TokenEndpoint:
    return TokenEndpoint()


@pytest.fixture
def guard(issuer, clock, endpoint) -> Guard:
    return Guard(
        resource=RESOURCE,
        issuers={ISSUER: "*", DOOR: ["acme"]},
        client_id="tickets server",
        client_secret="s:e/c+r%t",
        http=httpx2.Client(transport=httpx2.MockTransport(endpoint)),
        keys=issuer,
        clock=clock,
    )


def exchange(guard: Guard, token: str, resource: str = CRM, scope: str | None = None) -> str:
    with guard.calling(guard.verify(token), token):
        return guard.exchange_sync(resource=resource, scope=scope)


def test_the_current_token_is_exchanged_at_the_door_that_issued_it(guard, issuer, endpoint) -> None:
    token = issuer.token(iss=DOOR)
    assert exchange(guard, token, scope="crm:read") == "down-1"
    request = endpoint.requests[0]
    assert (request.method, str(request.url)) == ("POST", f"{DOOR}/token")
    assert endpoint.form() == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "subject_token": [token],
        "subject_token_type": ["urn:ietf:params:oauth:token-type:access_token"],
        "resource": [CRM],
        "scope": ["crm:read"],
    }
    credentials = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    assert credentials == "tickets%20server:s%3Ae%2Fc%2Br%25t"


def test_without_scope_none_is_sent(guard, issuer, endpoint) -> None:
    exchange(guard, issuer.token())
    assert "scope" not in endpoint.form()


def test_a_coroutine_exchanges_too(guard, issuer, endpoint) -> None:
    async def tool() -> list[str]:
        token = issuer.token()
        with guard.calling(await guard.verify_async(token), token):
            return [await guard.exchange(resource=CRM) for _ in range(2)]

    assert asyncio.run(tool()) == ["down-1", "down-1"]


def test_a_token_is_kept_per_subject_token_target_and_scope(guard, issuer, endpoint) -> None:
    token = issuer.token()
    assert [exchange(guard, token) for _ in range(3)] == ["down-1"] * 3
    assert exchange(guard, token, scope="crm:read") == "down-2"
    assert exchange(guard, token, resource="https://erp.example") == "down-3"
    assert exchange(guard, issuer.token(sub="bob")) == "down-4"
    assert exchange(guard, token) == "down-1"


@pytest.mark.parametrize(("lifetime", "kept"), [(120, 90), (40, 30), (600, 300)])
def test_a_token_is_kept_until_shortly_before_it_or_its_subject_ends(
    guard, issuer, endpoint, clock, lifetime: int, kept: int
) -> None:
    endpoint.answer = lambda: endpoint.issue(expires_in=lifetime)
    token = issuer.token()
    exchange(guard, token)
    clock.now = NOW + kept - 1
    exchange(guard, token)
    assert len(endpoint.requests) == 1
    clock.now = NOW + kept
    exchange(guard, token)
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize("lifetime", [None, "120", 0, -1])
def test_a_token_without_a_usable_lifetime_is_not_kept(guard, issuer, endpoint, lifetime: object) -> None:
    endpoint.answer = lambda: endpoint.issue(expires_in=lifetime)
    assert [exchange(guard, issuer.token()) for _ in range(2)] == ["down-1", "down-2"]


def test_a_refusal_is_raised_with_where_a_person_can_allow_it(guard, issuer, endpoint) -> None:
    members = {
        "error": "interaction_required",
        "error_description": "ask",
        "interaction_uri": f"{ISSUER}/consent",
    }
    endpoint.answer = lambda: httpx2.Response(400, json=members)
    with pytest.raises(ExchangeRefused) as caught:
        exchange(guard, issuer.token())
    refused = caught.value
    assert (refused.error, refused.description) == ("interaction_required", "ask")
    assert refused.interaction_uri == f"{ISSUER}/consent"
    endpoint.answer = endpoint.issue
    assert exchange(guard, issuer.token()) == "down-2"


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(500, content=b"<html>"),
        httpx2.Response(503, json=["x"]),
        httpx2.Response(200, content=b"\xff"),
        httpx2.Response(200, json={"token_type": "Bearer"}),
        httpx2.Response(200, json={"access_token": 1, "token_type": "Bearer"}),
        httpx2.Response(200, json={"access_token": "x", "token_type": "DPoP"}),
        httpx2.Response(302, headers={"location": "https://evil.example"}),
    ],
)
def test_an_answer_that_is_none_is_a_temporary_refusal(
    guard, issuer, endpoint, answer: httpx2.Response
) -> None:
    endpoint.answer = lambda: answer
    with pytest.raises(ExchangeRefused) as caught:
        exchange(guard, issuer.token())
    assert caught.value.error == "temporarily_unavailable"
    assert len(endpoint.requests) == 1


def test_outside_of_a_call_there_is_nothing_to_exchange(guard) -> None:
    with pytest.raises(LookupError):
        guard.current()
    with pytest.raises(LookupError):
        guard.exchange_sync(resource=CRM)


def test_without_credentials_of_its_own_a_guard_does_not_exchange(issuer, clock) -> None:
    guard = Guard(resource=RESOURCE, issuers={ISSUER: "*"}, keys=issuer, clock=clock)
    with pytest.raises(LookupError, match="client_id"):
        exchange(guard, issuer.token())


def test_nothing_that_is_printed_holds_a_token(guard, issuer) -> None:
    token = issuer.token()
    with guard.calling(guard.verify(token), token):
        from broker.guard.calls import _call

        assert token not in repr(_call.get())


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def bound(issuer, clock, endpoint, key) -> Guard:
    """A guard that exchanges with a key of its own."""
    return Guard(
        resource=RESOURCE,
        issuers={ISSUER: "*", DOOR: ["acme"]},
        client_id="tickets-server",
        client_secret="s",
        http=httpx2.Client(transport=httpx2.MockTransport(endpoint)),
        keys=issuer,
        clock=clock,
        dpop_key=key,
    )


def proof_of(request: httpx2.Request) -> Proof:
    return dpop.verify(request.headers["dpop"], method="POST", url=str(request.url))


def test_with_a_key_of_its_own_the_guard_gets_bound_tokens(bound, issuer, endpoint, key, clock) -> None:
    endpoint.answer = lambda: endpoint.issue(token_type="DPoP")
    token = issuer.token(iss=DOOR)
    assert exchange(bound, token) == "down-1" and exchange(bound, token) == "down-1"
    assert exchange(bound, token, "https://other.example") == "down-2"
    proofs = [proof_of(request) for request in endpoint.requests]
    assert {proof.jkt for proof in proofs} == {ProofKey(key).jkt} and len(
        {proof.jti for proof in proofs}
    ) == 2
    assert all(proof.timely(clock()) and proof.nonce is None for proof in proofs)
    header = bound.dpop_proof(method="GET", url=f"{CRM}/customers/1", token="down-1", nonce="n")
    shown = dpop.verify(header, method="GET", url=f"{CRM}/customers/1", token="down-1")
    assert (shown.jkt, shown.nonce) == (ProofKey(key).jkt, "n")


def test_the_token_of_a_system_of_the_vault_is_a_bearer_token_whatever_the_key(
    bound, guard, issuer, endpoint, key
) -> None:
    for one in (bound, guard):
        token = issuer.token()
        with one.calling(one.verify(token), token):
            found = one.exchange_sync(resource="https://api.github.com", vault=True)
            assert asyncio.run(one.exchange(resource="https://api.github.com", vault=True)) == found
    assert proof_of(endpoint.requests[0]).jkt == ProofKey(key).jkt and len(endpoint.requests) == 2
    endpoint.answer = lambda: endpoint.issue(token_type="DPoP")
    token = issuer.token()
    with (
        bound.calling(bound.verify(token), token),
        pytest.raises(ExchangeRefused, match="not a bearer token"),
    ):
        bound.exchange_sync(resource="https://api.github.com", vault=True)


def test_a_token_that_comes_back_unbound_is_not_used(bound, guard, issuer, endpoint) -> None:
    with pytest.raises(ExchangeRefused, match="not a dpop token"):
        exchange(bound, issuer.token())
    endpoint.answer = lambda: endpoint.issue(token_type="DPoP")
    with pytest.raises(ExchangeRefused, match="not a bearer token"):
        exchange(guard, issuer.token())
    assert "dpop" not in endpoint.requests[-1].headers


def test_a_nonce_that_the_door_demands_is_sent_and_kept_per_door(bound, issuer, endpoint) -> None:
    def demanding() -> httpx2.Response:
        request = endpoint.requests[-1]
        wanted = "n2" if len(endpoint.requests) > 3 else "n1"
        headers = {"DPoP-Nonce": wanted}
        if proof_of(request).nonce != wanted:
            return httpx2.Response(400, json={"error": "use_dpop_nonce"}, headers=headers)
        answer = endpoint.issue(token_type="DPoP")
        answer.headers["DPoP-Nonce"] = "n2" if len(endpoint.requests) == 3 else wanted
        return answer

    endpoint.answer = demanding
    assert exchange(bound, issuer.token()) == "down-2", "asked again with the nonce"
    assert exchange(bound, issuer.token(jti="2")) == "down-3", "with the nonce that is known"
    assert exchange(bound, issuer.token(jti="3")) == "down-4", "with the one that the last answer brought"
    assert [proof_of(request).nonce for request in endpoint.requests] == [None, "n1", "n1", "n2"]
    assert exchange(bound, issuer.token(iss=DOOR)) == "down-6"
    assert [proof_of(request).nonce for request in endpoint.requests[4:]] == [None, "n2"]


def test_a_door_that_is_never_content_is_asked_twice(bound, issuer, endpoint) -> None:
    endpoint.answer = lambda: httpx2.Response(
        400, json={"error": "use_dpop_nonce"}, headers={"DPoP-Nonce": f"n{len(endpoint.requests)}"}
    )
    with pytest.raises(ExchangeRefused) as refused:
        exchange(bound, issuer.token())
    assert refused.value.error == "use_dpop_nonce" and len(endpoint.requests) == 2
