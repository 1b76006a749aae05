"""An MCP server on loopback that lists tools and calls none, and the tools that it can list."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SCHEMA = {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}


def tool(
    name: str, description: str | None = None, schema: object = None, **hints: bool
) -> dict[str, object]:
    """A tool as tools/list has it; `readOnlyHint=True` and the like are its annotations."""
    said = f"What {name} does, in a sentence." if description is None else description
    return {
        "name": name,
        "description": said,
        "inputSchema": SCHEMA if schema is None else schema,
        "annotations": hints,
    }


class Lister:
    """`tools` in pages of `page`. `newest`: it speaks 2026-07-28; otherwise it wants a handshake, and a session."""

    def __init__(self, *, newest: bool = True, stream: bool = False, page: int = 100) -> None:
        self.tools: list[dict[str, object]] = []
        self.newest, self.stream, self.page = newest, stream, page
        self.token: str | None = None
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        """What is answered to everything, when it is set."""
        self.asked: list[tuple[str, dict[str, str]]] = []
        lister = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                lister.asked.append((message["method"], headers))
                status, more, body = lister.answer or lister.told(message, headers)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/mcp"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def told(self, message: dict, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"WWW-Authenticate": "Bearer"}, b""
        if "id" not in message:
            return 202, {}, b""
        if message["method"] == "initialize" and not self.newest:
            more = {"Mcp-Session-Id": "session-1"}
            told = {"serverInfo": {"name": "lister", "version": "1"}, "capabilities": {}}
            return self._said({"result": {"protocolVersion": "2025-06-18", **told}}, more)
        version = headers.get("mcp-protocol-version")
        if self.newest and (
            version != "2026-07-28"
            or headers.get("mcp-method") != message["method"]
            or message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] != version
        ):
            return self._said({"error": {"code": -32020, "message": "headers and body differ"}}, {}, 400)
        if not self.newest and (headers.get("mcp-session-id") != "session-1" or version != "2025-06-18"):
            return 400, {"Content-Type": "text/plain"}, b"no session"
        assert message["method"] == "tools/list"
        begin = int(message.get("params", {}).get("cursor", 0))
        page: dict[str, object] = {"tools": self.tools[begin : begin + self.page]}
        if begin + self.page < len(self.tools):
            page["nextCursor"] = str(begin + self.page)
        return self._said({"result": page}, {})

    def _said(
        self, members: dict[str, object], more: dict[str, str], status: int = 200
    ) -> tuple[int, dict[str, str], bytes]:
        text = json.dumps({"jsonrpc": "2.0", "id": 1, **members})
        if self.stream:
            event = f": hello\n\nevent: message\ndata: {text}\n\n"
            return status, {"Content-Type": "text/event-stream", **more}, event.encode()
        return status, {"Content-Type": "application/json; charset=utf-8", **more}, text.encode()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def lister(**how: object) -> Iterator[Lister]:
    found = Lister(**how)
    try:
        yield found
    finally:
        found.close()
