"""RFC 6750 sections 2.1 and 3, RFC 9449 section 7, RFC 9470, RFC 9728 section 5: the guard before an ASGI app."""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from broker.guard import enforce, jsonrpc
from broker.guard.guard import Guard
from broker.guard.jsonrpc import Message
from broker.guard.possession import PossessionRefused, Sent, TooManyProofs
from broker.guard.step_up import SignIn
from broker.guard.verifier import TokenRefused, VerifiedToken

# The shapes that the ASGI specification gives.
Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
ScopesFor = Callable[[Message], Sequence[str] | None]
UrlOf = Callable[[Scope], str]

LARGEST_BODY = 4 * 1024 * 1024
_CREDENTIALS = re.compile(rb"(?:bearer|dpop) +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_SCHEMES = {b"bearer": "bearer", b"dpop": "dpop"}
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"WWW-Authenticate, DPoP-Nonce"),
)
_NO_STORE = (b"cache-control", b"no-store")
_UNAVAILABLE = b'{"error":"temporarily_unavailable"}'
Headers = Iterable[tuple[bytes, bytes]]


class GuardMiddleware:
    """Lets a request through to `app` only with a token that works for it.

    Wrap the MCP application alone: every POST body is read as JSON-RPC. `public` paths pass unguarded.
    Tokens in the query are never looked at. The verified token is `scope["state"]["guard_token"]` and
    `guard.current()`. The Authorization header stays, for the SDK's own bearer middleware, as `Bearer` in any case.
    `url_of` says where a request was sent, as its client knows it: by default to its path at the resource's origin.
    """

    def __init__(
        self,
        app: App,
        guard: Guard,
        scopes_for: ScopesFor | None = None,
        public: Collection[str] = (),
        url_of: UrlOf | None = None,
    ) -> None:
        self._app = app
        self._guard = guard
        self._scopes_for = scopes_for or guard.scopes_for
        self._public = frozenset(public)
        parts = urlsplit(guard.resource)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._url_of = url_of or self._url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http" or scope["path"] in self._public:
            await self._app(scope, receive, send)
        elif scope["path"] in self._guard.metadata.paths and scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._serve_metadata(scope, send)
        elif _is_preflight(
            scope
        ):  # carries no credentials by design; the application's own CORS rules answer
            await self._app(scope, receive, send)
        else:
            await self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        values = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        if len(values) > 1 or (values and b"," in values[0]):
            return await self._challenge(send, 400, "invalid_request", "more than one set of credentials")
        scheme = _SCHEMES.get(values[0].split(b" ", 1)[0].lower()) if values else None
        if scheme is None:
            return await self._challenge(send, 401)
        match = _CREDENTIALS.fullmatch(values[0])
        text = match[1].decode("ascii") if match else ""
        proofs = tuple(value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"dpop")
        certificate = self._guard.certificates.of(scope)
        sent = Sent(scope["method"], self._url_of(scope), scheme, proofs, certificate)
        try:
            token = await self._guard.verify_async(text, sent)
        except PossessionRefused as refused:
            return await self._unproven(send, refused)
        except TokenRefused as refused:
            return await self._refuse(send, refused.reason, proof=scheme == "dpop")
        except TooManyProofs:
            return await _answer(send, 429, _UNAVAILABLE, ((b"retry-after", b"60"),))
        if _by_proof(token):
            scope = _as_bearer(scope, text)
            if (nonce := self._guard.possession.fresh_nonce()) is not None:
                send = _with_nonce(send, nonce)
        return await self._authorized(scope, receive, send, token, text)

    def _url(self, scope: Scope) -> str:
        path = scope.get("raw_path")
        return self._origin + (
            path.decode("latin-1") if path else quote(scope["path"], safe="/:@!$&'()*+,;=~")
        )

    async def _authorized(
        self, scope: Scope, receive: Receive, send: Send, token: VerifiedToken, text: str
    ) -> None:
        if scope["method"] == "POST":
            body = await _read_body(scope, receive)
            if body is None:
                return await _answer(send, 413, jsonrpc.error(None, -32600, "the request is too large"))
            try:
                messages = jsonrpc.read(body)
            except ValueError:
                return await _answer(
                    send, 400, jsonrpc.error(None, -32700, "not one JSON-RPC message or batch")
                )
            if not await self._allowed(send, token, messages):
                return None
            receive = _replayed(body, receive)
        inner = {**scope, "state": {**scope.get("state", {}), "guard_token": token}}
        with self._guard.calling(token, text):
            await self._app(inner, receive, send)
        return None

    async def _allowed(self, send: Send, token: VerifiedToken, messages: Sequence[Message]) -> bool:
        """Whether the token covers all messages; if not, the answer has been sent."""
        needed: list[str] = []
        for message in messages:
            scopes = self._scopes_for(message)
            if scopes is None:
                # The answer of a server that has no such tool; whether the application has one is not asked.
                error = jsonrpc.error(message.id, -32602, "Unknown tool")
                await _answer(send, 200 if len(messages) == 1 else 400, error)
                return False
            needed.extend(scopes)
        named, description = self._guard.lacking(token, needed), "the call needs more scope"
        if named is None and not all(self._guard.within_details(token, message) for message in messages):
            # No error code is registered for it. Whoever asks for these scopes anew is good for all their calls.
            named = tuple(dict.fromkeys((*sorted(token.scopes), *needed)))
            description = "the call is not one of those that the token is good for"
        if named is not None:
            await self._challenge(send, 403, "insufficient_scope", description, named, proof=_by_proof(token))
            return False
        return await self._signed_in_so(send, token, needed)

    async def _signed_in_so(self, send: Send, token: VerifiedToken, needed: Sequence[str]) -> bool:
        """RFC 9470 section 3: whether the sign-in is strong and fresh enough; if not, the answer has been sent."""
        wanted = self._guard.weaker(token, needed)
        if wanted is not None:
            error, description = "insufficient_user_authentication", "the call needs another sign-in"
            named = enforce.kept(token.scopes, needed)
            proof = _by_proof(token)
            await self._challenge(send, 401, error, description, named, proof=proof, sign_in=wanted)
        return wanted is None

    async def _refuse(self, send: Send, reason: str, *, proof: bool) -> None:
        if reason == "keys_unavailable":
            return await _answer(send, 503, _UNAVAILABLE, ((b"retry-after", b"2"),))
        description = "the token has expired" if reason == "expired" else "the token does not work here"
        return await self._challenge(send, 401, "invalid_token", description, proof=proof)

    async def _unproven(self, send: Send, refused: PossessionRefused) -> None:
        """RFC 9449 section 7.1: what is wrong with the proof or the certificate, or that the token needs one."""
        if refused.nonce is not None:
            send = _with_nonce(send, refused.nonce)
        await self._challenge(send, 401, refused.error, refused.description, proof=refused.proof)

    async def _challenge(
        self,
        send: Send,
        status: int,
        error: str | None = None,
        description: str | None = None,
        scopes: Sequence[str] | None = None,
        *,
        proof: bool = False,
        sign_in: SignIn | None = None,
    ) -> None:
        said = self._guard.challenge(error, description, scopes, proof=proof, sign_in=sign_in)
        challenge = said.encode("ascii")
        body = f'{{"error":"{error or "unauthorized"}"}}'.encode("ascii")
        await _answer(send, status, body, ((b"www-authenticate", challenge),))

    async def _serve_metadata(self, scope: Scope, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            allowed = (
                (b"access-control-allow-methods", b"GET, HEAD"),
                (b"access-control-allow-headers", b"mcp-protocol-version, authorization, content-type"),
                (b"access-control-max-age", b"600"),
            )
            return await _send(send, 204, b"", (*_CORS, *allowed))
        body = self._guard.metadata.body
        headers = [*_CORS, (b"content-type", b"application/json"), (b"cache-control", b"public, max-age=300")]
        headers.append((b"content-length", str(len(body)).encode()))
        return await _send(send, 200, body if scope["method"] == "GET" else b"", headers)


def _by_proof(token: VerifiedToken) -> bool:
    """Whether it is sent as DPoP."""
    return token.confirmation is not None and token.confirmation.jkt is not None


def _as_bearer(scope: Scope, text: str) -> Scope:
    """The request as the application may see it once its proof was checked."""
    headers = [pair for pair in scope["headers"] if pair[0].lower() != b"authorization"]
    return {**scope, "headers": [*headers, (b"authorization", b"Bearer " + text.encode("ascii"))]}


def _with_nonce(send: Send, nonce: str) -> Send:
    async def sending(event: Event) -> None:
        if event["type"] == "http.response.start":
            event = {**event, "headers": [*event.get("headers", ()), (b"dpop-nonce", nonce.encode("ascii"))]}
        await send(event)

    return sending


def _is_preflight(scope: Scope) -> bool:
    names = {name.lower() for name, _ in scope["headers"]}
    return scope["method"] == "OPTIONS" and {b"origin", b"access-control-request-method"} <= names


async def _read_body(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body, or None when it is larger than 4 MiB."""
    body = bytearray()
    more = True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            break
        body += event.get("body", b"")
        more = event.get("more_body", False)
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    first = True

    async def replay() -> Event:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


async def _answer(send: Send, status: int, body: bytes, headers: Headers = ()) -> None:
    plain = (_NO_STORE, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()))
    await _send(send, status, body, (*plain, *_CORS, *headers))


async def _send(send: Send, status: int, body: bytes, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
