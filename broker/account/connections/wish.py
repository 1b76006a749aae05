"""MCP elicitation in URL mode: what an `interaction_uri` wants of a person, carried over the sign-in before it."""

import base64
import binascii
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from broker.authorization.login.way import Way
from broker.protocol.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Wish:
    """A system, in a tenant if one is named, with scopes that a server waits for. Whoever reads it judges it.

    `mark`: of the person that it is for; empty where it is for anybody.
    """

    resource_id: str
    tenant: str
    scope: str
    mark: str = ""

    @classmethod
    def way(cls, sent: Parameters, resource_id: str) -> Way:
        """The sign-in before the page of a system; what is too much to carry is left behind."""
        scope, mark = " ".join(sent.all("scope")), sent.get("for") or ""
        whole = cls(resource_id, sent.get("tenant") or "", scope, mark)
        found = (one._text() for one in (whole, replace(whole, scope=""), replace(whole, scope="", mark="")))
        return Way(to="connections", about=next(filter(Way.carries, found), ""))

    @classmethod
    def read(cls, text: str) -> "Wish | None":
        """None when the text is none that `way` made."""
        parts = text.split("~")
        if len(parts) != 4 or not parts[0] or parts[0].startswith("."):
            return None
        try:
            padded = parts[2] + "=" * (-len(parts[2]) % 4)
            return cls(parts[0], parts[1], base64.urlsafe_b64decode(padded).decode("utf-8"), parts[3])
        except (ValueError, binascii.Error):
            return None

    def path(self) -> str:
        """Of the page, below the door."""
        said = {"tenant": self.tenant, "scope": self.scope, "for": self.mark}
        more = {name: value for name, value in said.items() if value}
        return f"/connections/{quote(self.resource_id, safe='')}" + (f"?{urlencode(more)}" if more else "")

    def _text(self) -> str:
        packed = base64.urlsafe_b64encode(self.scope.encode("utf-8")).rstrip(b"=").decode("ascii")
        return f"{self.resource_id}~{self.tenant}~{packed}~{self.mark}"
