"""RFC 6750 section 3.1, RFC 9396 section 9, MCP authorization (scope challenge handling): enough, or what lacks."""

from collections.abc import Collection, Iterable, Mapping

from broker.guard.jsonrpc import Message
from broker.protocol import details, scope
from broker.protocol.details import Details

# What a session is made of, and what becomes of a call that was let through. Nothing here reads or does anything else.
_AROUND_CALLS = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "logging/setLevel",
        "tools/list",
        "tasks/get",
        "tasks/result",
        "tasks/cancel",
    }
)
_NOT_OF_A_RESOURCE = frozenset({"offline_access", "openid", "profile", "email"})


def lacking(
    granted: Iterable[str], needed: Iterable[str], implies: Mapping[str, Collection[str]]
) -> tuple[str, ...] | None:
    """None when what is granted covers what is needed, else the scopes to name in the challenge."""
    held, wanted = tuple(granted), tuple(needed)
    if not scope.missing(held, wanted, implies):
        return None
    return kept(held, wanted)


def kept(granted: Iterable[str], needed: Iterable[str]) -> tuple[str, ...]:
    """The scopes to name in a challenge: whoever asks for exactly these keeps what it had."""
    return tuple(dict.fromkeys((*sorted(set(granted) - _NOT_OF_A_RESOURCE), *needed)))


def within(held: Details | None, resource: str, message: Message, *, decided: bool = False) -> bool:
    """Whether details (None: there are none) leave room for this message at this resource.

    Of a token for some tool calls, other requests get nothing either: no resource is read, no prompt fetched. One that
    carries an approval is good where each call is `decided`, which alone can tell the act and use it up.
    """
    if held is None or message.method is None or message.method.startswith("notifications/"):
        return True
    if message.method != "tools/call":
        return message.method in _AROUND_CALLS
    if details.approval(held) is not None and not decided:
        return False
    return message.tool is not None and details.allows(held, resource, message.tool, message.arguments)
