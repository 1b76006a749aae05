"""MCP client features, elicitation in URL mode: what a person has to allow first, told to their client.

An exchange that is refused with an `interaction_uri` waits for a person at a page of the authorization server. The
revision 2025-11-25 of MCP tells a client so by an error, 2026-07-28 by a result that asks for input. A client that
does not offer URL mode is told in words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from broker.guard.clock import unique
from broker.guard.exchange import ExchangeRefused
from broker.protocol.redirect_uri import is_loopback

URL_ELICITATION_REQUIRED = -32042
INPUT_REQUIRED_SINCE = "2026-07-28"
"""The first revision in which a call is answered with a request for input, and not with the error."""
KEY = "interaction"
"""The name of the request in a result, and of the client's answer when it asks again."""
_MESSAGE = "Before this can go on, you have to allow it to reach another system for you."
_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Interaction:
    """A page that a person has to go to, and why. It works for nobody who is not signed in there."""

    url: str
    message: str = _MESSAGE

    @classmethod
    def of(cls, refused: ExchangeRefused, message: str | None = None) -> "Interaction | None":
        """What the refusal asks a person for; None when no person can help, or the address is not one to open."""
        return cls.at(refused.interaction_uri, message or _MESSAGE)

    @classmethod
    def at(cls, url: object, message: str) -> "Interaction | None":
        """None when it is no address to open."""
        return cls(url, message) if isinstance(url, str) and _openable(url) else None

    def error(self) -> dict[str, object]:
        """The `error` of a JSON-RPC response, up to the revision 2025-11-25."""
        asked = {**self._asked(), "elicitationId": unique()}
        return {
            "code": URL_ELICITATION_REQUIRED,
            "message": self.message,
            "data": {"elicitations": [asked]},
        }

    def result(self) -> dict[str, object]:
        """The `result` of a JSON-RPC response, since the revision 2026-07-28; the client asks again after it."""
        asked = {"method": "elicitation/create", "params": self._asked()}
        return {"resultType": "input_required", "inputRequests": {KEY: asked}}

    def words(self) -> str:
        """For a client that opens no pages: the text of a failed call, for a person to read."""
        return f"{self.message} Open {self.url}, then try again."

    def _asked(self) -> dict[str, object]:
        return {"mode": "url", "url": self.url, "message": self.message}


def offered(capabilities: object) -> bool:
    """Whether a client with these capabilities opens pages. An empty `elicitation` means forms alone."""
    elicitation = capabilities.get("elicitation") if isinstance(capabilities, Mapping) else None
    return isinstance(elicitation, Mapping) and isinstance(elicitation.get("url"), Mapping)


def _openable(url: str) -> bool:
    """Whether it is an address that a client may be told to open: https, or http on loopback."""
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        plain = parts.username is None and bool(parts.hostname)
    except ValueError:
        return False
    return plain and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)))
