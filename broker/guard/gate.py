"""OAuth 2.1 section 5 and MCP authorization: the way of a request to the application, the same for every adapter.

`outside` looks at where it comes from, `presented` at its credentials, `entered` at the verified token, `weighed` at
the messages of its body, and `settled` asks for a decision. Each answers, or hands on what the next one takes.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from broker.guard import denied, elicitation, jsonrpc, methods
from broker.guard.agreement import HEADER_MISMATCH, disagreement
from broker.guard.catalogue import CatalogueUnavailable
from broker.guard.challenges import ScopesFor, by_proof, challenged, refused, uncovered, undecided
from broker.guard.decision import KINDS, Denial
from broker.guard.denied import Client
from broker.guard.guard import Guard
from broker.guard.handles import Holder
from broker.guard.jsonrpc import Message
from broker.guard.memory import Memory, event_of, session_in
from broker.guard.passage import Passage
from broker.guard.possession import Sent, TooManyProofs
from broker.guard.request import (
    METHODS,
    Headers,
    Reply,
    Request,
    bodiless,
    public_reply,
    reply,
    unavailable,
    unknown_method,
)
from broker.guard.step_up import SignIn
from broker.guard.verifier import TokenRefused, VerifiedToken
from broker.protocol import acr

_CREDENTIALS = re.compile(rb"(?:bearer|dpop) +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_SCHEMES = {b"bearer": "bearer", b"dpop": "dpop"}
_REVISION = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
_IN_USE = "a request with this id waits for its answer: use each id once"
_USED_UP = "too many requests of this session wait for an answer: open a new one"
_NOT_HANDED_ON = (b"cookie", b"proxy-authorization", b"x-api-key", b"accept-encoding")
"""Other credentials than the token are nobody's to pass on, and a compressed answer cannot be looked at."""


@dataclass(frozen=True, slots=True)
class Presented:
    """Credentials that nobody has looked into yet."""

    text: str = field(repr=False)
    sent: Sent


@dataclass(frozen=True, slots=True)
class Entered:
    """A request whose token works here. `headers` are those that the application gets."""

    request: Request
    token: VerifiedToken
    text: str = field(repr=False)
    headers: Headers
    session: str | None
    nonce: str | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """Messages that the token covers; `call` has to be decided first."""

    entered: Entered
    messages: tuple[Message, ...]
    client: Client
    call: Message | None = None


class Gate:
    def __init__(self, guard: Guard, scopes_for: ScopesFor | None, public: Collection[str]) -> None:
        self._guard, self._scopes_for = guard, scopes_for or guard.scopes_for
        self._public = frozenset(public)
        self._memory = Memory()

    def passes(self, request: Request) -> bool:
        """Whether the guard has nothing to say to it."""
        return request.path in self._public

    def outside(self, request: Request) -> Reply | None:
        """The metadata, or the refusal of a request from or for an unknown address, or by another method."""
        if request.path in self._guard.metadata.paths and request.method in ("GET", "HEAD", "OPTIONS"):
            return self._metadata(request.method)
        stranger = self._guard.origins.stranger(request)
        return stranger or (None if request.method in METHODS else unknown_method())

    def presented(self, request: Request) -> Presented | Reply:
        values = request.values(b"authorization")
        if len(values) > 1 or (values and b"," in values[0]):
            return challenged(self._guard, 400, "invalid_request", "more than one set of credentials")
        scheme = _SCHEMES.get(values[0].split(b" ", 1)[0].lower()) if values else None
        if scheme is None:
            return challenged(self._guard, 401)
        match = _CREDENTIALS.fullmatch(values[0])
        proofs = tuple(value.decode("latin-1") for value in request.values(b"dpop"))
        sent = Sent(request.method, request.url, scheme, proofs, request.certificate)
        return Presented(match[1].decode("ascii") if match else "", sent)

    def refused(self, presented: Presented, error: TokenRefused | TooManyProofs) -> Reply:
        """What verifying the credentials raised, as an answer."""
        return refused(self._guard, error, proof=presented.sent.scheme == "dpop")

    def entered(self, request: Request, presented: Presented, token: VerifiedToken) -> Entered | Reply:
        try:
            session, named = request.text(b"mcp-session-id"), session_in(request.query)
            if session and named is not None and named != session:
                raise ValueError("more than one session")
            session = session or named
            resumed = request.text(b"last-event-id")
        except ValueError as error:
            return reply(400, jsonrpc.error(None, -32600, str(error)))
        holder, memory = Holder.of(token), self._memory
        known = session is None or memory.sessions.holds(session, holder)
        if resumed and session:
            known = known and memory.events.holds(event_of(session, resumed), holder)
        if not known or (resumed and not session):
            return reply(404, jsonrpc.error(None, -32600, "Unknown session: open a new one"))
        kept = request.headers if request.method == "POST" else bodiless(request.headers)
        headers = tuple(pair for pair in kept if pair[0] not in _NOT_HANDED_ON)
        nonce = None
        if by_proof(token):
            headers = (
                *(pair for pair in headers if pair[0] != b"authorization"),
                (b"authorization", b"Bearer " + presented.text.encode("ascii")),
            )
            nonce = self._guard.possession.fresh_nonce()
        return Entered(request, token, presented.text, headers, session, nonce)

    def weighed(self, entered: Entered, body: bytes | None) -> Weighed | Reply:
        """What the body of a POST asks for; None: it is larger than 4 MiB."""
        if body is None:
            return reply(413, jsonrpc.error(None, -32600, "the request is too large"))
        try:
            messages = jsonrpc.read(body)
        except ValueError:
            return reply(400, jsonrpc.error(None, -32700, "not one JSON-RPC message or batch"))
        wrong = disagreement(entered.request, messages)
        if wrong is not None:
            return reply(400, jsonrpc.error(messages[0].id, HEADER_MISMATCH, wrong))
        for message in messages if self._guard.control.decides else ():
            if (why := methods.unknown(message)) is not None:
                told = 200 if message.id is not None and len(messages) == 1 else 400
                return reply(told, jsonrpc.error(message.id, -32601, why))
        try:
            weak = uncovered(self._guard, entered.token, messages, self._scopes_for)
        except CatalogueUnavailable:
            return unavailable()
        return weak or self._foreign_task(entered, messages) or self._with_one_call(entered, messages)

    def settled(self, weighed: Weighed) -> Passage | Reply:
        """The way to the application, or why there is none. Waits for the broker if there is a `call`."""
        entered, call = weighed.entered, weighed.call
        passage = self._passage(entered, weighed.client, weighed.messages)
        for message in weighed.messages:
            running = self._memory.tasks.of(str(message.params.get("taskId")), Holder.of(entered.token))
            if message.method in ("tasks/result", "tasks/get") and running is not None:
                passage.running[message.id] = running
                passage.lasting.add(message.id)
        taken = passage.begin()
        if taken is not None:
            return reply(taken, jsonrpc.error(None, -32600, _IN_USE if taken == 400 else _USED_UP))
        if call is None:
            return passage
        try:
            way = self._decided(passage, entered, call)
        except BaseException:
            passage.leave()
            raise
        if isinstance(way, Denial):
            passage.leave()
            return self._denied(weighed, call, way)
        return passage

    def _decided(self, passage: Passage, entered: Entered, call: Message) -> Denial | None:
        """Why the call of a passage is not made."""
        control, now = self._guard.control, self._guard.control.now()
        self._memory.places.sweep(now)
        way = control.decide(entered.token, entered.text, call, entered.session)
        if isinstance(way, Denial):
            return way
        passage.enter(call, way.running, way.timeout, way.free, now)
        return None

    def listening(self, entered: Entered) -> Passage:
        """The way of a request without messages: a stream that the server talks on, or the end of a session."""
        return self._passage(entered, self._client(entered, ()), ())

    def _passage(self, entered: Entered, client: Client, messages: tuple[Message, ...]) -> Passage:
        control, token = self._guard.control, entered.token
        return Passage(
            Holder.of(token),
            client,
            self._memory,
            lambda tool: control.lists(token, tool),
            messages,
            entered.session,
            decides=control.decides,
            overhears=control.redacts,
        )

    def _foreign_task(self, entered: Entered, messages: Sequence[Message]) -> Reply | None:
        for message in messages:
            task = message.params.get("taskId")
            if message.method is None or not message.method.startswith("tasks/") or task is None:
                continue
            if not self._memory.tasks.holds(str(task), Holder.of(entered.token)):
                return reply(404, jsonrpc.error(message.id, -32602, "Unknown task"))
        return None

    def _with_one_call(self, entered: Entered, messages: tuple[Message, ...]) -> Weighed | Reply:
        """A decision is about one call: where there are more in a batch, none of them is made."""
        calls = [message for message in messages if message.method in KINDS]
        if self._guard.control.decides and (len(calls) > 1 or any(call.id is None for call in calls)):
            return reply(400, jsonrpc.error(None, -32600, "send each call as a request of its own"))
        return Weighed(entered, messages, self._client(entered, messages), calls[0] if calls else None)

    def _client(self, entered: Entered, messages: Sequence[Message]) -> Client:
        """What the client can do: it says so with each request since 2026-07-28, and once in a session before."""
        holder, memory = Holder.of(entered.token), self._memory
        mine = "\0".join((holder.issuer, holder.tenant, holder.subject, holder.client_id))
        for message in messages:
            revision = message.meta.get(_REVISION)
            if isinstance(revision, str):
                return Client(revision, elicitation.offered(message.meta.get(_CAPABILITIES)))
            if message.method == "initialize":
                said = Client(None, elicitation.offered(message.params.get("capabilities")))
                memory.clients.bind(mine, holder, said)
                if entered.session:
                    found = memory.sessions.of(entered.session, holder)
                    if found is not None:
                        found.client = said
                return said
        known = memory.sessions.of(entered.session, holder) if entered.session else None
        if known is not None:
            return known.client
        return memory.clients.of(mine, holder) or Client()

    def _denied(self, weighed: Weighed, call: Message, denial: Denial) -> Reply:
        entered = weighed.entered
        if denial.reason not in ("token_invalid", "insufficient_scope"):
            return denied.told(call, denial, weighed.client)
        scopes = (denial.text("scope") or "").split()
        return undecided(self._guard, entered.token, denial.reason, scopes, _sign_in(denial))

    def _metadata(self, method: str) -> Reply:
        if method == "OPTIONS":
            allowed = (
                (b"access-control-allow-methods", b"GET, HEAD"),
                (b"access-control-allow-headers", b"mcp-protocol-version, authorization, content-type"),
                (b"access-control-max-age", b"600"),
            )
            return public_reply(204, b"", *allowed)
        body = self._guard.metadata.body
        kept = ((b"content-type", b"application/json"), (b"cache-control", b"public, max-age=300"))
        length = (b"content-length", str(len(body)).encode())
        return public_reply(200, body if method == "GET" else b"", *kept, length)


def _sign_in(denial: Denial) -> SignIn | None:
    """The sign-in that would do; None where it is not the sign-in that lacks."""
    known, age = denial.text("acr_values"), denial.members.get("max_age")
    wanted = SignIn(known if known in acr.ORDER else None, age if isinstance(age, int) else None)
    return None if wanted == SignIn() else wanted
