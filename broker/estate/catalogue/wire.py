"""MCP 2026-07-28 and 2025-11-25, Streamable HTTP: the official SDK's client, over the server's own egress.

The SDK speaks: revisions, handshake, session, headers. Egress reaches: one address, which the SDK never sees, a POST
at a time, bounded in size and time, no redirect, no stream held open. This module costs half a second to import.
"""

import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import anyio
import httpx2
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    DiscoverResult,
    Implementation,
    ListToolsRequest,
    ListToolsResult,
    PaginatedRequestParams,
    ServerCapabilities,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from broker.protocol import strict_json
from broker.runtime.egress import Answer, Egress, EgressFailed, EgressRefused

_CLIENT = Implementation(name="mcp-token-broker", version="1")
_NOWHERE = "http://server.invalid/mcp"
_HANDED_ON = ("accept", "content-type", "mcp-")
_LONGEST_WAIT = 60.0
"""Egress ends each request long before; this ends a wait of the SDK for an answer that it did not understand."""
_JSON = {"Content-Type": "application/json"}
Told = TypeVar("Told")


class Unreached(Exception):
    """The server was not asked, or did not answer; `challenged`: it wants a token, or another one."""

    def __init__(self, text: str, *, challenged: bool = False) -> None:
        super().__init__(text)
        self.challenged = challenged


class _Wire(httpx2.AsyncBaseTransport):
    """Hands each request to egress and gives the SDK one JSON-RPC answer, read strictly, or an error in its place.

    `said` is what the server answered last. After a request that was not answered, none is sent any more.
    """

    def __init__(self, egress: Egress, url: str, token: str | None) -> None:
        self._egress, self._url = egress, url
        self._bearer = {"Authorization": f"Bearer {token}"} if token else {}
        self.said: Mapping[str, object] = {}
        self.failed: Unreached | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "POST":  # to hold a stream open for what the server says unasked
            return httpx2.Response(405)
        content = await request.aread()
        answer = None if self.failed else self._sent(request.headers, content)
        self.said = _message(answer) if answer else {}
        asked = json.loads(content)
        if "id" not in asked:
            return httpx2.Response(202)
        session = answer.headers.get("mcp-session-id") if answer else None
        headers = {**_JSON, **({"mcp-session-id": session} if session is not None else {})}
        reply = {"jsonrpc": "2.0", "id": asked["id"], **_reply(self.said)}
        return httpx2.Response(200, headers=headers, content=json.dumps(reply).encode())

    def _sent(self, headers: httpx2.Headers, content: bytes) -> Answer | None:
        """The loop waits for it: it has nothing else to do."""
        said = {name.title(): value for name, value in headers.items() if name.startswith(_HANDED_ON)}
        try:
            answer = self._egress.send("POST", self._url, content, {**said, **self._bearer})
        except EgressRefused as error:
            self.failed = Unreached(f"The server may not be asked: {error}.")
        except EgressFailed as error:
            self.failed = Unreached(f"The server does not answer: {error}.")
        else:
            if answer.status not in (401, 403):
                return answer
            self.failed = Unreached(
                f"The server wants a token, or another one (status {answer.status}).", challenged=True
            )
        return None


class Talk:
    """A conversation with one server, in which its tools are asked for and nothing is called."""

    def __init__(self, wire: _Wire, session: ClientSession) -> None:
        self._wire, self._session = wire, session

    def by(self, revision: str) -> bool:
        """Speak a revision that needs no handshake; False where the SDK knows no such."""
        if revision not in MODERN_PROTOCOL_VERSIONS:
            return False
        told = {"supported_versions": [revision], "result_type": "complete", "ttl_ms": 0}
        self._session.adopt(DiscoverResult(**told, capabilities=ServerCapabilities(), cache_scope="private"))
        return True

    async def handshake(self) -> Mapping[str, object] | None:
        """Begin as revisions before wanted it; what the server said where it takes none. Unreached."""
        said: Mapping[str, object] | None = None
        try:
            await self._session.initialize()
        except (MCPError, ValidationError, RuntimeError):
            said = self._wire.said
        self._stands()
        return said

    async def tools(self, cursor: str | None) -> Mapping[str, object]:
        """A page of tools/list as the server said it: with `result`, or with `error` at best. Unreached.

        The SDK's own reading is left: it drops tools, refuses all for one, and takes a repeated member.
        """
        params = PaginatedRequestParams(cursor=cursor)
        with contextlib.suppress(MCPError, ValidationError):
            await self._session.send_request(ListToolsRequest(params=params), ListToolsResult)
        self._stands()
        return self._wire.said

    def _stands(self) -> None:
        if self._wire.failed is not None:
            raise self._wire.failed


def talk(egress: Egress, url: str, token: str | None, about: Callable[[Talk], Awaitable[Told]]) -> Told:
    """What `about` makes of a conversation with the server at `url`, which sees `token`; Unreached."""

    async def talked() -> Told | Exception:
        wire = _Wire(egress, url, token)
        async with (
            httpx2.AsyncClient(transport=wire, trust_env=False) as client,
            streamable_http_client(_NOWHERE, http_client=client, terminate_on_close=False) as (read, write),
            ClientSession(read, write, read_timeout_seconds=_LONGEST_WAIT, client_info=_CLIENT) as session,
        ):
            try:
                return await about(Talk(wire, session))
            except Exception as error:  # noqa: BLE001 - a task group would wrap it
                return error

    told = anyio.run(talked)
    if isinstance(told, Exception):
        raise told
    return told


def _reply(said: Mapping[str, object]) -> dict[str, object]:
    """The result of a message, or an error that says why there is none."""
    result, error = said.get("result"), said.get("error")
    if isinstance(result, dict):
        return {"result": result}
    code = error.get("code") if isinstance(error, dict) else None
    return {"error": {"code": code if type(code) is int else INTERNAL_ERROR, "message": "no result"}}


def _message(answer: Answer) -> dict[str, object]:
    """The JSON-RPC response in an answer, also in a stream of events; empty where there is none."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    texts = _events(answer.body) if kind == "text/event-stream" else [answer.body]
    for text in texts:
        try:
            message = strict_json.read(text)
        except ValueError:
            continue
        if isinstance(message, dict) and ("result" in message or "error" in message):
            return message
    return {}


def _events(body: bytes) -> list[bytes]:
    """The data of each event of a stream (WHATWG HTML section 9.2)."""
    events = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
    return [
        b"\n".join(line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:"))
        for event in events
    ]
