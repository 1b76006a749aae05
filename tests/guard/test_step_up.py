"""RFC 9470: the guard lets a call through only with the sign-in behind the token that the call's scopes take."""

import asyncio
import json
import re

import httpx2
import pytest

from broker.guard.asgi import GuardMiddleware
from broker.guard.guard import Guard
from broker.guard.step_up import SignIn, lacking
from broker.protocol import acr

ISSUER = "https://as.example"
RESOURCE = "https://mcp.example/mcp"
METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"
SCOPE = "refunds:write tickets:read"


def call(guard: Guard, token: str, *tools: str) -> httpx2.Response:
    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})

    messages = [
        {"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
        for n, tool in enumerate(tools)
    ]

    async def run() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(GuardMiddleware(app, guard))) as client:
            body = json.dumps(messages if len(messages) > 1 else messages[0])
            return await client.post(RESOURCE, content=body, headers={"Authorization": f"Bearer {token}"})

    return asyncio.run(run())


def asked(answer: httpx2.Response) -> dict[str, str]:
    """The parameters of the challenge."""
    scheme, _, rest = answer.headers["www-authenticate"].partition(" ")
    return {"scheme": scheme, **dict(re.findall(r'([a-z_]+)="([^"]*)"', rest))}


@pytest.fixture
def guard(issuer, clock) -> Guard:
    return Guard(
        resource=RESOURCE,
        issuers={ISSUER: ["acme"]},
        tools={"search": ["tickets:read"], "refund": ["refunds:write"], "close": ["tickets:write"]},
        implies={"tickets:write": ["tickets:read"]},
        keys=issuer,
        clock=clock,
        sign_ins={"refunds:write": SignIn(acr.MFA, 300), "tickets:write": SignIn(max_age=60)},
    )


@pytest.mark.requirement("RFC9470-01", "RFC9470-02", "RFC9470-03")
@pytest.mark.parametrize(
    "held",
    [
        {},
        {"acr": acr.PASSWORD},
        {"acr": acr.PASSWORD, "auth_time": 0},
        {"acr": acr.MFA},
        {"acr": acr.MFA, "auth_time": -301},
        {"acr": "urn:other", "auth_time": 0},
        {"acr": 7, "auth_time": 0},
        {"acr": acr.PASSKEY, "auth_time": "soon"},
    ],
)
def test_a_token_with_the_scope_and_too_weak_a_sign_in_is_challenged(guard, issuer, clock, held) -> None:
    if isinstance(held.get("auth_time"), int):
        held = {**held, "auth_time": int(clock.now) + held["auth_time"]}
    answer = call(guard, issuer.token(scope=SCOPE, **held), "refund")
    assert answer.status_code == 401 and answer.json() == {"error": "insufficient_user_authentication"}
    assert asked(answer) == {
        "scheme": "Bearer",
        "error": "insufficient_user_authentication",
        "error_description": "the call needs another sign-in",
        "acr_values": acr.MFA,
        "max_age": "300",
        "scope": SCOPE,
        "resource_metadata": METADATA,
    }
    assert call(guard, issuer.token(scope=SCOPE, **held), "search").text == "reached"


@pytest.mark.requirement("RFC9470-01")
@pytest.mark.parametrize("held", [acr.MFA, acr.PASSKEY])
def test_a_sign_in_that_is_strong_and_fresh_enough_passes(guard, issuer, clock, held: str) -> None:
    token = issuer.token(scope=SCOPE, acr=held, auth_time=int(clock.now))
    assert call(guard, token, "refund").text == "reached"
    clock.now += 299
    assert call(guard, token, "refund").text == "reached"


def test_a_token_is_challenged_once_its_sign_in_is_too_long_ago(guard, issuer, clock) -> None:
    token = issuer.token(scope="tickets:write", auth_time=int(clock.now))
    clock.now += 60
    assert call(guard, token, "close").text == "reached"
    clock.now += 1
    found = asked(call(guard, token, "close"))
    assert found["max_age"] == "60" and "acr_values" not in found
    assert call(guard, token, "search").text == "reached", "what it implies takes no new sign-in"


def test_a_token_without_the_scope_is_told_of_the_scope_first(guard, issuer) -> None:
    answer = call(guard, issuer.token(scope="tickets:read"), "refund")
    assert answer.status_code == 403
    found = asked(answer)
    assert found["error"] == "insufficient_scope" and "acr_values" not in found


def test_one_new_sign_in_does_for_all_calls_of_a_batch(guard, issuer) -> None:
    token = issuer.token(scope="refunds:write tickets:write")
    found = asked(call(guard, token, "close", "search", "refund"))
    assert (found["acr_values"], found["max_age"]) == (acr.MFA, "60")
    assert found["scope"].split() == ["refunds:write", "tickets:write", "tickets:read"]


def test_a_token_bound_to_a_key_is_challenged_with_its_scheme(issuer, clock, guard) -> None:
    challenge = guard.challenge("insufficient_user_authentication", proof=True, sign_in=SignIn(acr.PASSKEY))
    assert challenge.startswith("DPoP ") and f'acr_values="{acr.PASSKEY}"' in challenge
    assert "algs=" in challenge and "max_age" not in challenge


def test_a_class_that_nobody_knows_cannot_be_demanded() -> None:
    with pytest.raises(ValueError, match="acr is one of"):
        SignIn("gold")


def test_what_is_not_demanded_is_not_looked_at() -> None:
    assert lacking({}, ["a"], {}, 0.0) is None
    assert lacking({}, ["a"], {"b": SignIn(acr.MFA)}, 0.0) is None
    assert lacking({}, ["a"], {"a": SignIn()}, 0.0) is None
    assert lacking({"auth_time": True}, ["a"], {"a": SignIn(max_age=60)}, 1e9) == SignIn(max_age=60)
