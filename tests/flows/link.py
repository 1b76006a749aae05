"""One server of a chain, as a process of its own: it says what token it was called with, and asks the next one.

What it is comes in the environment: an MCP server (official Python SDK) with one tool, or, with nobody behind it, a
plain HTTP API. Neither knows anything of the others but the address of the next.
"""

import json
import os
from urllib.parse import urlsplit

import httpx2
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broker.guard.asgi import App, GuardMiddleware
from broker.guard.guard import Guard
from broker.guard.mcp_sdk import BrokerTokenVerifier
from broker.guard.verifier import TokenRefused

RESOURCE, ISSUER, SCOPE = (os.environ[name] for name in ("RESOURCE", "ISSUER", "SCOPE"))
NEXT, NEXT_SCOPE = os.environ.get("NEXT"), os.environ.get("NEXT_SCOPE")

guard = Guard(
    resource=RESOURCE,
    issuers={ISSUER: ["acme"]},
    tools={"ask": [SCOPE]},
    client_id=os.environ.get("CLIENT_ID"),
    client_secret=os.environ.get("CLIENT_SECRET"),
)


async def further(token: str) -> list[object]:
    """What the next one and all behind it say."""
    assert NEXT is not None
    async with httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {token}"}, timeout=20, trust_env=False
    ) as http:
        if not NEXT.endswith("/mcp"):
            answer = (await http.get(NEXT)).raise_for_status()
            return list(answer.json())
        async with Client(streamable_http_client(NEXT, http_client=http)) as mcp:
            result = await mcp.call_tool("ask", {})
            assert not result.is_error, result
            return list(json.loads(result.content[0].text))


def mcp_server() -> App:
    server = MCPServer(
        "Link",
        auth=AuthSettings(issuer_url=ISSUER, resource_server_url=RESOURCE, validate_token_resource=True),
        token_verifier=BrokerTokenVerifier(guard),
    )

    @server.tool()
    async def ask() -> str:
        """The claims of the tokens from here on to the end."""
        assert NEXT is not None
        token = await guard.exchange(resource=NEXT, scope=NEXT_SCOPE)
        return json.dumps([dict(guard.current().claims), *await further(token)])

    return GuardMiddleware(server.streamable_http_app(), guard)


def plain_api() -> App:
    async def ask(request: Request) -> Response:
        _, _, text = request.headers.get("authorization", "").partition(" ")
        try:
            token = await guard.verify_async(text)
        except TokenRefused:
            return Response(status_code=401, headers={"WWW-Authenticate": guard.challenge("invalid_token")})
        return JSONResponse([dict(token.claims)] if SCOPE in token.scopes else [])

    return Starlette(routes=[Route("/", ask)])


if __name__ == "__main__":
    uvicorn.run(
        mcp_server() if NEXT else plain_api(),
        host="127.0.0.1",
        port=urlsplit(RESOURCE).port or 80,
        log_level="warning",
    )
