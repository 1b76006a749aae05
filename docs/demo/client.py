"""An MCP client of the official Python SDK: it knows the server's address and finds out the rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx2
from browser import Browser
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from mcp_types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult


@dataclass
class Memory:
    """Implements the SDK's `TokenStorage`; a real client keeps this in the system's keychain."""

    tokens: OAuthToken | None = None
    registration: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.registration

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.registration = client_info


@dataclass
class Callback:
    """The loopback listener that the browser comes back to (RFC 8252 section 7.3)."""

    uri: str = ""
    _query: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        target = request.split(b" ", 2)[1].decode("ascii")
        body = b"You can close this window."
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        await writer.drain()
        writer.close()
        await self._query.put(urlsplit(target).query)

    async def result(self) -> AuthorizationCodeResult:
        """What came back; an error of the authorization server is a RuntimeError."""
        found = {name: values[0] for name, values in parse_qs(await self._query.get()).items()}
        if "error" in found:
            raise RuntimeError(f"{found['error']}: {found.get('error_description', '')}")
        return AuthorizationCodeResult.model_validate(found)


@dataclass
class DemoClient:
    """The SDK's client with what the demo wants to show: what it keeps, and every answer on the wire."""

    mcp: Client
    memory: Memory
    provider: OAuthClientProvider
    wire: list[httpx2.Response]

    def heard(self, method: str, path: str, status: int) -> httpx2.Response:
        """The first such answer, taken off the wire with all before it; AssertionError if there is none."""
        for index, response in enumerate(self.wire):
            request = response.request
            if (request.method, response.status_code) == (method, status) and request.url.path.endswith(path):
                del self.wire[: index + 1]
                return response
        raise AssertionError(f"{method} {path} was not answered with {status}; seen: {self.wire}")

    @property
    def access_token(self) -> str:
        assert self.memory.tokens is not None
        return str(self.memory.tokens.access_token)


@asynccontextmanager
async def connected(url: str, browser: Browser, approver: Browser) -> AsyncIterator[DemoClient]:
    """A client that is connected to the MCP server at `url`; `browser` is where its user signs in.

    When the user is asked to open a page, somebody else is sent there: `approver`.
    """
    memory, callback, wire = Memory(), Callback(), list[httpx2.Response]()
    listener = await asyncio.start_server(callback.answer, "127.0.0.1", 0)
    callback.uri = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/callback"

    async def open_browser(
        authorization_url: str,
    ) -> None:  # a real client: webbrowser.open(authorization_url)
        await asyncio.to_thread(browser.visit, authorization_url, callback.uri)

    async def hear(response: httpx2.Response) -> None:
        wire.append(response)

    async def show(_: object, asked: ElicitRequestParams) -> ElicitResult:
        """A real client shows `asked.message` and the address, and waits for its user."""
        assert isinstance(asked, ElicitRequestURLParams), asked
        await asyncio.to_thread(approver.approve, asked.url)
        return ElicitResult(action="accept")

    provider = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(client_name="Demo client", redirect_uris=[callback.uri]),
        storage=memory,
        redirect_handler=open_browser,
        callback_handler=callback.result,
    )
    async with (
        listener,
        httpx2.AsyncClient(
            auth=provider, timeout=10, trust_env=False, event_hooks={"response": [hear]}
        ) as http,
        Client(streamable_http_client(url, http_client=http), elicitation_callback=show) as mcp,
    ):
        yield DemoClient(mcp, memory, provider, wire)
