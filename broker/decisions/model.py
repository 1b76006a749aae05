"""AuthZEN 1.0 sections 5 and 6: a question, an answer, and what the answer is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.control.model import Act, Verdict
from broker.control.policy.model import CALL, GET, READ
from broker.control.policy.rules import Rules
from broker.estate.model import Resource
from broker.guard.verifier import VerifiedToken
from broker.identity.clients.model import Client
from broker.identity.tenants.model import Door
from broker.protocol.origin import Origin

SERVER = "mcp_server"
"""The type of a resource that is the whole server, named by its URI."""
TOOLS_CALL, TOOLS_LIST = "tools/call", "tools/list"


@dataclass(frozen=True, slots=True)
class Method:
    """An MCP method that is decided call by call: the type of its AuthZEN resource, and the action of policies."""

    kind: str
    policy: str


CALLS: Mapping[str, Method] = {
    TOOLS_CALL: Method("tool", CALL),
    "resources/read": Method("resource", READ),
    "resources/subscribe": Method("resource", READ),
    "resources/unsubscribe": Method("resource", READ),
    "prompts/get": Method("prompt", GET),
}
"""The default mappings of COAZ-MCP."""
AROUND = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "logging/setLevel",
        "completion/complete",
        TOOLS_LIST,
        "resources/list",
        "resources/templates/list",
        "prompts/list",
        "tasks/get",
        "tasks/result",
        "tasks/list",
        "tasks/cancel",
    }
)
NOTIFICATIONS = "notifications/"
MOST_INTENT = 500


class Malformed(ValueError):
    """Nothing that can be judged: a sentence for whoever sent it, with where in the body."""


@dataclass(frozen=True, slots=True)
class Question:
    """May `subject` do `action` with `id`, of the type `kind`? `subject` None: whoever the token is of.

    `uri` is the resource server's, None where it is left out; `arguments` are as sent, `{}` where there are none.
    """

    subject: str | None
    token: str | None = field(repr=False)
    action: str
    kind: str
    id: str
    uri: str | None
    schema_digest: str | None
    arguments: object
    key: str | None
    request_id: str | None
    intent: str | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and about which resource it may."""

    client: Client
    resource: Resource
    door: Door


@dataclass(frozen=True, slots=True)
class Answer:
    decision: bool
    context: Mapping[str, object]

    def members(self) -> dict[str, object]:
        return {"decision": self.decision, **({"context": dict(self.context)} if self.context else {})}


@dataclass(slots=True)
class Case:
    """What is known so far of a question that is being decided: it is all that a refusal's record can tell.

    `policies`: what `verdict` came of.
    """

    id: str
    caller: Caller
    question: Question
    origin: Origin
    token: VerifiedToken | None = None
    digest: str | None = None
    policies: Rules | None = None
    act: Act | None = None
    verdict: Verdict | None = None
