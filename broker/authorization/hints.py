"""OpenID Connect Core section 3.1.2.1 (`id_token_hint`): an id_token of ours says whose answer a client wants."""

from broker.identity.tenants.keys import DoorKeys
from broker.identity.tenants.model import Door
from broker.protocol import jws
from broker.protocol.names import SIGNING_ALGORITHMS, TYP_ID_TOKEN


class Hints:
    def __init__(self, keys: DoorKeys) -> None:
        self._keys = keys

    def user(self, door: Door, token: str, client_id: str) -> str | None:
        """The user in an id_token that this door signed for this client, however long ago; None for anything else."""
        claims = self.claims(door, token)
        return str(claims["sub"]) if claims is not None and claims["aud"] == client_id else None

    def claims(self, door: Door, token: str) -> dict[str, object] | None:
        """What an id_token says that this door signed, however long ago; None for anything else."""
        try:
            parts = jws.split(token)
            jws.check_header(parts.header, typ=TYP_ID_TOKEN, algorithms=SIGNING_ALGORITHMS)
            key = self._keys.keys(door.issuer).get(str(parts.header.get("kid")))
            if key is None:
                return None
            jws.check_signature(parts, key)
        except jws.InvalidToken:
            return None
        claims = parts.claims
        whole = all(isinstance(claims.get(name), str) for name in ("sub", "aud"))
        return claims if whole and claims.get("iss") == door.issuer else None
