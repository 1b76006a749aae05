"""MCP 2024-11-05 to 2026-07-28: the methods that a guard which asks for decisions lets through; it knows no others."""

from collections.abc import Mapping

from broker.guard.decision import KINDS
from broker.guard.jsonrpc import Message

LISTEN = "subscriptions/listen"
_AROUND = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "logging/setLevel",
        "completion/complete",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
        "tasks/get",
        "tasks/result",
        "tasks/list",
        "tasks/cancel",
    }
)
_NOTIFICATIONS = "notifications/"


def unknown(message: Message) -> str | None:
    """Why a message reaches no application; None for one that is decided, or known to go with calls."""
    method = message.method
    if method is None or method in KINDS or method in _AROUND or method.startswith(_NOTIFICATIONS):
        return None
    if method == LISTEN:
        return None if _lists_alone(message) else "Subscribing to single resources takes resources/subscribe"
    return "Method not found"


def _lists_alone(message: Message) -> bool:
    """Whether nothing is listened to but that lists have changed: news of a resource are decided as reading it is."""
    asked = message.params.get("notifications")
    beside = set(message.params) - {"notifications", "_meta"}
    return isinstance(asked, Mapping) and not beside and all(isinstance(on, bool) for on in asked.values())
