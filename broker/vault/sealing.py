"""NIST SP 800-38D: tokens at rest: each set under a data key of its own, each data key under the key-encryption key.

Tenant, user, connection and version are bound in, so that nothing sealed can be read in another row, or come back.
"""

from broker.vault.model import Connection, Sealed, Tokens
from keys.sealed import KeyEncryptionKey


class Sealing:
    def __init__(self, kek: KeyEncryptionKey) -> None:
        self._kek = kek

    @property
    def key_id(self) -> str:
        """Which key-encryption key seals now."""
        return self._kek.id

    def sealed(self, connection: Connection, tokens: Tokens) -> Sealed:
        """For this very version of the connection."""
        key, wrapped = self._kek.wrap(_key(connection))
        return Sealed(
            self._kek.id,
            wrapped,
            key.seal(tokens.access.encode("ascii"), _bound(connection, "access")),
            None
            if tokens.refresh is None
            else key.seal(tokens.refresh.encode("ascii"), _bound(connection, "refresh")),
        )

    def opened(self, connection: Connection, sealed: Sealed) -> Tokens:
        """SealError when anything of it is not what was sealed for this version of this connection."""
        key = self._kek.unwrap(sealed.key, _key(connection))

        def open_one(name: str, value: bytes | None) -> str | None:
            return None if value is None else key.open(value, _bound(connection, name)).decode("ascii")

        return Tokens(
            open_one("access", sealed.access) or "",
            open_one("refresh", sealed.refresh),
            connection.expires_at,
            connection.holds,
        )

    def rewrapped(self, connection: Connection, sealed: Sealed) -> Sealed:
        """The same under the key-encryption key of now: no token is opened for it. SealError."""
        key = self._kek.unwrap(sealed.key, _key(connection))
        return Sealed(self._kek.id, self._kek.rewrap(key, _key(connection)), sealed.access, sealed.refresh)

    def alone(self, token: str, purpose: dict[str, str]) -> bytes:
        """One token that is kept for a purpose by itself."""
        return self._kek.seal(token.encode("ascii"), {"purpose": "vault", **purpose})

    def of_alone(self, sealed: bytes, purpose: dict[str, str]) -> str:
        """SealError."""
        return self._kek.open(sealed, {"purpose": "vault", **purpose}).decode("ascii")


def _key(connection: Connection) -> dict[str, str]:
    return {
        "purpose": "vault-key",
        "tenant": connection.tenant,
        "user": connection.user_id,
        "connection": connection.id,
    }


def _bound(connection: Connection, name: str) -> dict[str, str]:
    return {**_key(connection), "purpose": f"vault-{name}", "version": str(connection.version)}
