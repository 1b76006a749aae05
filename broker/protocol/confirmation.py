"""RFC 7800 section 3, RFC 8705 section 3.1, RFC 9449 section 6: who must prove possession to use a token."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Confirmation:
    """`jkt`: the thumbprint of a DPoP key; `x5t`: of a certificate (`x5t#S256`). Both in base64url, one of them set."""

    jkt: str | None = None
    x5t: str | None = None

    def claim(self) -> dict[str, str]:
        """The members of `cnf`."""
        members = {"jkt": self.jkt, "x5t#S256": self.x5t}
        return {name: value for name, value in members.items() if value is not None}

    @property
    def token_type(self) -> str:
        """RFC 9449 section 5: how the client has to present the token."""
        return "DPoP" if self.jkt is not None else "Bearer"


def of(claims: Mapping[str, object]) -> Confirmation | None:
    """The constraint of a token; ValueError for one that is not understood, which then nobody can fulfil."""
    if "cnf" not in claims:
        return None
    cnf = claims["cnf"]
    if not isinstance(cnf, dict) or not cnf or set(cnf) - {"jkt", "x5t#S256"}:
        raise ValueError("cnf")
    jkt, x5t = cnf.get("jkt"), cnf.get("x5t#S256")
    if not all(value is None or (isinstance(value, str) and value) for value in (jkt, x5t)):
        raise ValueError("cnf")
    return Confirmation(jkt, x5t)
