"""What a client is told of a call that was not permitted: by a challenge, by a page to open, or in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.guard import elicitation, jsonrpc
from broker.guard.decision import Denial
from broker.guard.elicitation import Interaction
from broker.guard.jsonrpc import Identifier, Message
from broker.guard.request import Reply, reply

_REFUSED, _BROKEN = -32001, -32603
_PERSON = "Somebody has to allow exactly this call first."
_WORDS: Mapping[str, str] = {
    "switched_off": "An operator has switched this off. Do not try again until it is on again.",
    "stage": "This server is not open for calls of this kind yet.",
    "unknown_tool": "This server has no such tool. List the tools and choose one of them.",
    "tool_changed": "The definition of this tool has changed, and nobody has reviewed it. It works again once "
    "an administrator has.",
    "invalid_arguments": "The arguments are not what this tool takes. Look at its schema and correct them.",
    "beyond": "This call carries something beside its arguments, which nobody could look at before it is made. "
    "Send the name of the tool and its arguments alone.",
    "policy_denied": "The policy does not allow this call, and trying again will not change that.",
    "in_progress": "The same call is running already. Wait for its answer instead of sending it again.",
    "duplicate": "This call was made already, and it is not made twice.",
    "idempotency_mismatch": "This idempotency key was used for another call. Use a new one for each call.",
    "budget_exhausted": "What may be called or spent in a day is used up. It starts anew tomorrow.",
    "rate_limited": "Too many calls. Wait, then try again.",
    "too_many_at_once": "Too many calls are running at this server. Wait a moment, then try again.",
    "timeout": "The call took too long and was given up. Whether it had an effect is not known: look before you "
    "try again.",
    "unavailable": "Nobody could decide whether this call is allowed, so it was not made. Try again later.",
    "too_large": "The answer was too large to be looked at, and is withheld.",
    "withheld": "The answer has a form that cannot be redacted, and is withheld. The call may have had an effect.",
}
_SHOWN_OF_AN_OUTCOME = ("status", "downstream_request_id", "undo")


@dataclass(frozen=True, slots=True)
class Client:
    """What the client of a call can do. `revision` None: it says nothing, so it speaks an old one."""

    revision: str | None = None
    opens_pages: bool = False

    @property
    def answers_input(self) -> bool:
        return (self.revision or "") >= elicitation.INPUT_REQUIRED_SINCE


def told(message: Message, denial: Denial, client: Client) -> Reply:
    """The answer to a call that was refused for a reason which is not the token's."""
    if denial.reason == "approval_required":
        return _approval(message, denial, client)
    earlier = denial.members.get("outcome")
    if (
        denial.reason == "duplicate"
        and isinstance(earlier, Mapping)
        and isinstance(earlier.get("result"), Mapping)
    ):
        return reply(200, jsonrpc.dumped(jsonrpc.success(message.id, earlier["result"])))
    return words(message, denial.reason, _detail(denial), _seconds(denial))


def words(message: Message, reason: str, detail: str = "", retry_after: int | None = None) -> Reply:
    """A failed call, in words that say what to do."""
    said = " ".join(part for part in (_WORDS.get(reason, _WORDS["policy_denied"]), detail) if part)
    wait = () if retry_after is None else ((b"retry-after", str(retry_after).encode()),)
    return reply(200, jsonrpc.dumped(failed(message.method, message.id, reason, said)), *wait)


def failed(
    method: str | None, identifier: Identifier, reason: str, said: str | None = None
) -> dict[str, object]:
    """The JSON-RPC response: of a tool a result that failed, of anything else an error."""
    text = said or _WORDS[reason]
    if method == "tools/call":
        return jsonrpc.success(identifier, jsonrpc.tool_error(text))
    return jsonrpc.failure(
        identifier, _BROKEN if reason == "unavailable" else _REFUSED, text, {"reason": reason}
    )


def _approval(message: Message, denial: Denial, client: Client) -> Reply:
    """MCP client features, elicitation in URL mode: the page where the call is allowed; asked for once in a call."""
    request = denial.members.get("access_request")
    url = request.get("form_url") if isinstance(request, Mapping) else None
    interaction = Interaction.at(url, _PERSON)
    if interaction is None:
        return _failed(message, f"{_PERSON} Ask your administrator.")
    answered = _answered(message)
    if answered is not None and answered != "accept":
        return _failed(message, "The user did not allow it.")
    if answered is not None:
        return _failed(
            message, f"It is not allowed yet. Once it is, make the same call again. {interaction.words()}"
        )
    if not client.opens_pages:
        return _failed(message, interaction.words())
    if client.answers_input:
        return reply(200, jsonrpc.dumped(jsonrpc.success(message.id, interaction.result())))
    return reply(200, jsonrpc.dumped({"jsonrpc": "2.0", "id": message.id, "error": interaction.error()}))


def _answered(message: Message) -> str | None:
    """What the user answered when the client was asked to open the page, in the call that is made again."""
    responses = message.params.get("inputResponses")
    found = responses.get(elicitation.KEY) if isinstance(responses, Mapping) else None
    action = found.get("action") if isinstance(found, Mapping) else None
    return action if isinstance(action, str) else None


def _failed(message: Message, text: str) -> Reply:
    return reply(200, jsonrpc.dumped(failed(message.method, message.id, "approval_required", text)))


def _detail(denial: Denial) -> str:
    """What of the refusal's members helps whoever reads it."""
    match denial.reason, denial.members:
        case "invalid_arguments", {"errors": list(errors)}:
            return "Wrong: " + "; ".join(_error(error) for error in errors[:10]) + "." if errors else ""
        case "beyond", {"members": list(members)}:
            return f"Leave out: {', '.join(str(name)[:80] for name in members[:10])}."
        case "duplicate", {"outcome": Mapping() as outcome}:
            said = [f"{name} {outcome[name]}" for name in _SHOWN_OF_AN_OUTCOME if outcome.get(name)]
            return f"What became of it: {', '.join(said)}." if said else ""
        case "duplicate", _:
            return "What became of it is not known yet."
        case "rate_limited" | "budget_exhausted", _ if (seconds := _seconds(denial)) is not None:
            return f"Try again in {seconds} seconds."
        case _:
            return ""


def _error(error: object) -> str:
    if not isinstance(error, Mapping):
        return str(error)
    return f"{error.get('pointer') or 'the arguments'} ({error.get('keyword', 'invalid')})"


def _seconds(denial: Denial) -> int | None:
    found = denial.members.get("retry_after")
    return max(1, round(found)) if isinstance(found, (int, float)) and not isinstance(found, bool) else None
