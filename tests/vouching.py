"""An issuer of somebody else, with a key of its own, and what it says: of users (ID-JAG) and of workloads."""

import itertools
import json
from dataclasses import dataclass, field

from werkzeug.test import TestResponse

from tests.lab import ISSUER, TICKETS, Lab
from tests.proofs import Holder

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
IDP = "https://idp.example"
PLATFORM = "https://platform.example"
ID_JAG = "oauth-id-jag+jwt"
AGENT_SECRET = "a" * 40
_jtis = itertools.count()


@dataclass
class Vouchers:
    """`issuer` signs with `holder`; what it says is good unless a test says otherwise."""

    lab: Lab
    issuer: str = IDP
    holder: Holder = field(default_factory=Holder)

    @property
    def jwks(self) -> str:
        """As the estate file takes it."""
        return json.dumps({"keys": [{**self.holder.jwk, "kid": "k1", "alg": self.holder.alg}]})

    def says(self, typ: str | None = ID_JAG, /, **claims: object) -> str:
        now = int(self.lab.clock.now())
        good: dict[str, object] = {
            "iss": self.issuer,
            "sub": "u-1",
            "aud": ISSUER,
            "jti": f"jti-{next(_jtis)}",
            "iat": now,
            "exp": now + 300,
        }
        header = {"alg": self.holder.alg, "kid": "k1", **({} if typ is None else {"typ": typ})}
        return self.holder.signed(header, {**good, **claims})

    def id_jag(self, typ: str | None = ID_JAG, /, **claims: object) -> str:
        good = {"client_id": "agent", "resource": TICKETS, "scope": "tickets:read"}
        return self.says(typ, **{**good, **claims})


def redeem(
    lab: Lab, assertion: str, client_id: str | None = "agent", door: str = "", **form: str
) -> TestResponse:
    """At the token endpoint, as a client with this id and the secret of every client here; None is nobody.

    `named` is an id without a secret.
    """
    named = form.pop("named", None)
    headers = {} if (proof := form.pop("dpop", None)) is None else {"DPoP": proof}
    sent = {"grant_type": JWT_BEARER, "assertion": assertion, **form}
    if client_id is not None:
        sent |= {"client_id": client_id, "client_secret": AGENT_SECRET}
    if named is not None:
        sent["client_id"] = named
    return lab.post(f"{door}/token", sent, headers)
