"""WebAuthn level 3 section 6: an authenticator in software that also does, when told, what none should."""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from tests.lab import ISSUER

UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
ES256, EDDSA, RS256, RS1 = -7, -8, -257, -65535
HOST = "as.example"
Cose = dict[int, object]


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Key:
    """A key pair of an algorithm; `cose` is its public half."""

    def __init__(self, algorithm: int = ES256) -> None:
        self.algorithm = algorithm
        if algorithm == EDDSA:
            self._okp = ed25519.Ed25519PrivateKey.generate()
            self.cose: Cose = {1: 1, 3: EDDSA, -1: 6, -2: self._okp.public_key().public_bytes_raw()}
        elif algorithm in (RS256, RS1):
            self._rsa = rsa.generate_private_key(65537, 2048)
            numbers = self._rsa.public_key().public_numbers()
            self.cose = {1: 3, 3: algorithm, -1: numbers.n.to_bytes(256), -2: numbers.e.to_bytes(3)}
        else:
            self._ec = ec.generate_private_key(ec.SECP256R1())
            point = self._ec.public_key().public_numbers()
            self.cose = {1: 2, 3: algorithm, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)}

    def sign(self, message: bytes) -> bytes:
        if self.algorithm == EDDSA:
            return self._okp.sign(message)
        if self.algorithm == RS256:
            return self._rsa.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return self._ec.sign(message, ec.ECDSA(hashes.SHA256()))


@dataclass
class Said:
    """What the browser and the authenticator say; a case changes a part of it."""

    kind: str
    challenge: str
    origin: str = ISSUER
    rp_id: str = HOST
    flags: int = UP | UV
    cross_origin: object = False
    more: Mapping[str, object] = field(default_factory=dict)

    def client_data(self) -> bytes:
        said = {"type": self.kind, "challenge": self.challenge, "origin": self.origin}
        if self.cross_origin is not None:
            said["crossOrigin"] = self.cross_origin
        return json.dumps({**said, **self.more}).encode()

    def authenticator_data(self, counter: int, attested: bytes = b"") -> bytes:
        flags = self.flags | (AT if attested else 0)
        host = hashlib.sha256(self.rp_id.encode()).digest()
        return host + bytes([flags]) + counter.to_bytes(4) + attested


@dataclass
class Authenticator:
    """Holds one credential. `counter` None is one that does not count, as synced passkeys do not."""

    algorithm: int = ES256
    counter: int | None = 0
    eligible: bool = False
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    handle: str = ""
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        self.key = Key(self.algorithm)

    @property
    def flags(self) -> int:
        return UP | UV | (BE | BS if self.eligible else 0)

    def create(
        self,
        options: Mapping[str, object],
        *,
        cose: Cose | None = None,
        attestation: Callable[[dict[str, object]], object] = lambda made: made,
        **said: object,
    ) -> str:
        """As `navigator.credentials.create` answers, as JSON."""
        user = options["user"]
        assert isinstance(user, dict)
        self.handle = str(user["id"])
        told = self._said("webauthn.create", "webauthn.get", options, said)
        key = cbor2.dumps(self.key.cose if cose is None else cose)
        attested = bytes(16) + len(self.credential_id).to_bytes(2) + self.credential_id + key
        data = told.authenticator_data(self.counter or 0, attested)
        made = {"fmt": "none", "attStmt": {}, "authData": data}
        return self._credential(
            {
                "clientDataJSON": b64(told.client_data()),
                "attestationObject": b64(cbor2.dumps(attestation(made))),
                "transports": ["internal", "hybrid"],
            }
        )

    def get(
        self,
        options: Mapping[str, object],
        *,
        handle: str | None = None,
        signed: Callable[[bytes], bytes] = lambda signature: signature,
        **said: object,
    ) -> str:
        """As `navigator.credentials.get` answers, as JSON."""
        told = self._said("webauthn.get", "webauthn.create", options, said)
        if self.counter is not None:
            self.counter += 1
        data, client = told.authenticator_data(self.counter or 0), told.client_data()
        signature = self.key.sign(data + hashlib.sha256(client).digest())
        return self._credential(
            {
                "clientDataJSON": b64(client),
                "authenticatorData": b64(data),
                "signature": b64(signed(signature)),
                "userHandle": self.handle if handle is None else handle,
            }
        )

    def _said(self, kind: str, other: str, options: Mapping[str, object], changes: dict[str, object]) -> Said:
        """`kind="other"` among the changes is the type of the other ceremony."""
        if changes.get("kind") == "other":
            changes["kind"] = other
        return Said(**{"kind": kind, "challenge": str(options["challenge"]), "flags": self.flags, **changes})

    def _credential(self, response: dict[str, object]) -> str:
        identifier = b64(self.credential_id)
        return json.dumps(
            {
                "id": identifier,
                "rawId": identifier,
                "type": "public-key",
                "response": response,
                "clientExtensionResults": {},
            }
        )
