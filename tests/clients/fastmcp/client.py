"""The FastMCP client, in an environment of its own: client.py SERVER; spoken to as the drivers in ../node are."""

import asyncio
import json
import sys
import threading
import urllib.error
import urllib.request
import warnings
import webbrowser
from collections.abc import Callable
from typing import Any

import httpx2
from fastmcp import Client
from fastmcp.client.auth import OAuth
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StreamableHttpTransport

wire: list[tuple[str, str, int]] = []
_TRIES, _TRY_SECONDS = 200, 0.05


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def visit(url: str) -> None:
    """Ask for a visit, then arrive at the client's callback server, which may be about to start."""
    say(open=url)
    landed = json.loads(sys.stdin.readline())["landed"]
    for _ in range(_TRIES):
        try:
            with urllib.request.urlopen(landed):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            threading.Event().wait(_TRY_SECONDS)


class Browser(webbrowser.BaseBrowser):
    """The user's browser is elsewhere; the client goes on while the user is there."""

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        threading.Thread(target=visit, args=(url,)).start()
        return True


def http(**options: Any) -> httpx2.AsyncClient:
    """Writes down what went over the wire."""

    async def hear(response: httpx2.Response) -> None:
        wire.append((response.request.method, response.request.url.path, response.status_code))

    return httpx2.AsyncClient(**{**options, "trust_env": False, "event_hooks": {"response": [hear]}})


async def opened(message: str, response_type: None, params: Any, context: object) -> ElicitResult[None]:
    """The user opens a page before the call goes on."""
    say(open=params.url)
    await asyncio.to_thread(sys.stdin.readline)
    return ElicitResult(action="accept")


class Driver:
    def __init__(self, server: str) -> None:
        self._server = server
        self._auth: OAuth | None = None
        self._client: Client[StreamableHttpTransport] | None = None

    def tokens(self) -> object:
        held = self._auth.context.current_tokens if self._auth else None
        return held.model_dump(exclude_none=True) if held else None

    async def connect(self) -> list[str]:
        if self._client is not None:
            await self._client.close()
        self._auth = OAuth(self._server, httpx_client_factory=http)
        transport = StreamableHttpTransport(self._server, auth=self._auth, httpx_client_factory=http)
        self._client = Client(transport, elicitation_handler=opened)
        await self._client.__aenter__()
        return [tool.name for tool in await self._client.list_tools()]

    async def call(self, tool: str, values: dict[str, Any]) -> str:
        assert self._client is not None
        return (await self._client.call_tool(tool, values)).content[0].text

    async def spoil(self) -> None:
        """This client looks at the clock before it calls."""
        assert self._auth is not None
        self._auth.context.token_expiry_time = 1.0


async def obey(driver: Driver) -> None:
    verbs: dict[str, Callable[..., Any]] = {
        "connect": driver.connect,
        "call": driver.call,
        "spoil": driver.spoil,
    }
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        try:
            done = await verbs[command.pop("do")](**command)
            say(done=done, tokens=driver.tokens(), wire=wire)
        except Exception as error:
            say(failed=repr(error), wire=wire)
        wire.clear()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    webbrowser.register("elsewhere", None, Browser("elsewhere"), preferred=True)
    asyncio.run(obey(Driver(sys.argv[1])))
