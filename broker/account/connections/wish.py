"""MCP elicitation in URL mode: what an `interaction_uri` wants of a person, carried over the sign-in before it."""

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from broker.authorization.login.way import Way
from broker.protocol.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Wish:
    """A system, in a tenant if one is named, with scopes that a server waits for. Whoever reads it judges it."""

    resource_id: str
    tenant: str
    scope: str

    @classmethod
    def way(cls, sent: Parameters, resource_id: str) -> Way:
        """The sign-in before the page of a system; what is too much to carry is left behind."""
        whole = cls(resource_id, sent.get("tenant") or "", " ".join(sent.all("scope")))
        found = (text for text in (whole._text(), cls(*whole._place(), "")._text()) if Way.carries(text))
        return Way(to="connections", about=next(found, ""))

    @classmethod
    def read(cls, text: str) -> "Wish | None":
        """None when the text is none that `way` made."""
        parts = text.split("~")
        if len(parts) != 3 or not parts[0] or parts[0].startswith("."):
            return None
        try:
            padded = parts[2] + "=" * (-len(parts[2]) % 4)
            return cls(parts[0], parts[1], base64.urlsafe_b64decode(padded).decode("utf-8"))
        except (ValueError, binascii.Error):
            return None

    def path(self) -> str:
        """Of the page, below the door."""
        more = {name: value for name, value in (("tenant", self.tenant), ("scope", self.scope)) if value}
        return f"/connections/{quote(self.resource_id, safe='')}" + (f"?{urlencode(more)}" if more else "")

    def _place(self) -> tuple[str, str]:
        return self.resource_id, self.tenant

    def _text(self) -> str:
        packed = base64.urlsafe_b64encode(self.scope.encode("utf-8")).rstrip(b"=").decode("ascii")
        return f"{self.resource_id}~{self.tenant}~{packed}"
