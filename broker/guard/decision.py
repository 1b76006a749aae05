"""AuthZEN Authorization API 1.0 section 6: one call, put as a question to the door that its token came from."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from broker.guard.fetch import Answer, RequestFailed
from broker.guard.jsonrpc import Message, dumped
from broker.guard.obligations import Obligations, paths
from broker.guard.texts import visible
from broker.guard.verifier import VerifiedToken
from broker.protocol import jcs

KINDS: Mapping[str, str] = {
    "tools/call": "tool",
    "resources/read": "resource",
    "resources/subscribe": "resource",
    "resources/unsubscribe": "resource",
    "prompts/get": "prompt",
}
"""The methods that are asked about, and what each is asked for."""
_KEY, _INTENT = "idempotency-key", "intent"
_OFFICIAL = "io.modelcontextprotocol/"
_LONGEST_KEY, _LONGEST_INTENT = 255, 500

PostJson = Callable[[str, bytes, Mapping[str, str]], Answer]


class Unanswered(Exception):
    """Nobody decided: the broker does not answer, or not as a broker does."""


@dataclass(frozen=True, slots=True)
class Question:
    """One call. `key`: by which the same call, sent again, is known as the same."""

    token: VerifiedToken
    text: str = field(repr=False)
    message: Message
    request_id: str
    schema_digest: str | None = None
    key: str | None = None

    @property
    def name(self) -> str:
        found = self.message.params.get("uri" if KINDS[self.message.method or ""] == "resource" else "name")
        return found if isinstance(found, str) else ""

    @property
    def arguments(self) -> Mapping[str, object]:
        found = self.message.params.get("arguments")
        return found if isinstance(found, Mapping) else {}

    @property
    def intent(self) -> str | None:
        """Why, in the client's words."""
        found = _meta(self.message, _INTENT)
        return visible(found, _LONGEST_INTENT) if found else None


@dataclass(frozen=True, slots=True)
class Permit:
    """`decision_id` None: this guard decided, and tells of it later."""

    decision_id: str | None
    obligations: Obligations = field(default_factory=Obligations)


@dataclass(frozen=True, slots=True)
class Denial:
    """`members` are what the answer's context says beside the reason."""

    reason: str
    members: Mapping[str, object] = field(default_factory=dict)
    decision_id: str | None = None

    def text(self, name: str) -> str | None:
        found = self.members.get(name)
        return found if isinstance(found, str) else None


class Decisions:
    """Asks as the resource's own client."""

    def __init__(self, post: PostJson, resource: str, credentials: Mapping[str, str]) -> None:
        self._post, self._resource, self._credentials = post, resource, credentials

    def ask(self, question: Question) -> Permit | Denial:
        """The answer; Unanswered."""
        url = f"{question.token.issuer}/access/v1/evaluation"
        headers = {**self._credentials, "X-Request-ID": question.request_id}
        try:
            answer = self._post(url, dumped(self._members(question)), headers)
        except RequestFailed as error:
            raise Unanswered(str(error)) from error
        if answer.status in (400, 413):
            return Denial("invalid_arguments")
        if answer.status != 200:
            raise Unanswered(f"the answer has status {answer.status}")
        try:
            return _read(json.loads(answer.body.decode("utf-8")))
        except (ValueError, RecursionError) as error:
            raise Unanswered("the answer is no decision") from error

    def _members(self, question: Question) -> dict[str, object]:
        method = question.message.method or ""
        token = question.token
        context = {
            "arguments": question.arguments,
            "idempotency_key": question.key,
            "request_id": question.request_id,
            "intent": question.intent,
        }
        properties = {"resource": self._resource, "schema_digest": question.schema_digest}
        return {
            "subject": {
                "type": "client" if token.subject == token.client_id else "user",
                "id": token.subject,
                "properties": {"token": question.text},
            },
            "action": {"name": method},
            "resource": {"type": KINDS[method], "id": question.name, "properties": _said(properties)},
            "context": _said(context),
        }


def key_of(token: VerifiedToken, message: Message, session: str | None, *, keyed: bool) -> str | None:
    """The client's own key; without one, for a tool that needs one, what the same request sent again has in common.

    That is the token's `txn`, the session, the id of the JSON-RPC request and what it asks for.
    """
    named = _meta(message, _KEY)
    if named is not None:
        plain = visible(named, _LONGEST_KEY) == named
        return named if plain else f"long:{_digest(named.encode('utf-8', 'surrogatepass'))}"
    if not keyed:
        return None
    try:
        asked = jcs.canonical([message.method, message.tool, message.arguments])
    except ValueError:  # the decision refuses such arguments
        asked = b""
    same = [token.txn or token.jti, session, str(message.id), _digest(asked)]
    return f"derived:{_digest(jcs.canonical(same))}"


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


def _meta(message: Message, name: str) -> str | None:
    """A member of `_meta`, with the prefix of MCP's own or without any."""
    for found in (message.meta.get(name), message.meta.get(_OFFICIAL + name)):
        if isinstance(found, str) and found:
            return found
    return None


def _said(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def _read(value: object) -> Permit | Denial:
    if not isinstance(value, dict) or not isinstance(value.get("decision"), bool):
        raise ValueError("no decision")
    context = value.get("context")
    members = context if isinstance(context, dict) else {}
    decision_id = members.get("decision_id")
    known = decision_id if isinstance(decision_id, str) else None
    if value["decision"]:
        return Permit(known, obligations_of(members.get("obligations")))
    reason = members.get("reason")
    return Denial(reason if isinstance(reason, str) else "policy_denied", members, known)


def obligations_of(value: object) -> Obligations:
    """ValueError for one that is not understood: what has to be done is not left undone."""
    redact: list[object] = []
    most: int | None = None
    for obligation in value if isinstance(value, list) else []:
        kind = obligation.get("type") if isinstance(obligation, dict) else None
        properties = obligation.get("properties") if isinstance(obligation, dict) else None
        given = properties if isinstance(properties, dict) else {}
        match kind, given:
            case "redact", {"paths": list(texts)}:
                redact += texts
            case "max_output", {"bytes": int(size)}:
                most = size if most is None else min(most, size)
            case "log_arguments", _:
                pass
            case _:
                raise ValueError("an obligation that is not known")
    return Obligations(paths(redact), most)
