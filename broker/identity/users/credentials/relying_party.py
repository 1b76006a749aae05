"""WebAuthn level 3 sections 7.1 and 7.2: what this server asks of an authenticator, and what it believes; pure.

User verification is always required: a passkey without it would be one factor, and is no way in here. Attestation is
not asked for; self-attestation, which browsers pass on, is verified and means nothing.
"""

import base64
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import decode_credential_public_key, options_to_json_dict, parse_cbor
from webauthn.helpers.cose import COSEAlgorithmIdentifier as Algorithm
from webauthn.helpers.decoded_public_key_to_cryptography import decoded_public_key_to_cryptography
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from broker.identity.users.credentials.model import Passkey
from broker.protocol import strict_json

ALGORITHMS = [Algorithm.ECDSA_SHA_256, Algorithm.EDDSA, Algorithm.RSASSA_PKCS1_v1_5_SHA_256]
TRANSPORTS = frozenset({"usb", "nfc", "ble", "internal", "hybrid", "smart-card"})
_TIMEOUT_MS = 300_000
_RSA_BITS = range(2048, 4097)


class NotProven(ValueError):
    """An authenticator's answer that cannot be believed; the text is for the evidence, not for the person."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a new credential says of itself."""

    credential: str
    key: str
    counter: int
    eligible: bool
    backed_up: bool
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What an assertion says: the counter after it, and whether the key is backed up now."""

    counter: int
    backed_up: bool


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """`id` is the issuer's host, exactly; `origin` the issuer, which all doors share."""

    id: str
    origin: str
    name: str

    @classmethod
    def of(cls, issuer: str, name: str) -> Self | None:
        """None where the issuer's host is an address: browsers make passkeys for names only."""
        host = urlsplit(issuer).hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return cls(host, issuer, name)
        return None

    def creation_options(
        self, challenge: str, handle: str, user_name: str, display_name: str, present: Iterable[Passkey]
    ) -> dict[str, object]:
        """For `navigator.credentials.create`, as JSON; who has one of `present` is not asked for another."""
        options = generate_registration_options(
            rp_id=self.id,
            rp_name=self.name,
            user_id=decoded(handle),
            user_name=user_name,
            user_display_name=display_name,
            challenge=decoded(challenge),
            timeout=_TIMEOUT_MS,
            attestation=AttestationConveyancePreference.NONE,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(decoded(key.credential)) for key in present],
            supported_pub_key_algs=ALGORITHMS,
        )
        return options_to_json_dict(options)

    def request_options(self, challenge: str) -> dict[str, object]:
        """For `navigator.credentials.get`, as JSON; it names no credential, so that it says nothing of anybody."""
        options = generate_authentication_options(
            rp_id=self.id,
            challenge=decoded(challenge),
            timeout=_TIMEOUT_MS,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json_dict(options)

    def check_creation(self, answer: "Answer", challenge: str) -> Made:
        """Section 7.1; NotProven."""
        _client_data(answer, "webauthn.create", challenge, self.origin)
        try:
            _attestation(decoded(_text(answer.response, "attestationObject")))
            verified = verify_registration_response(
                credential=answer.members,
                expected_challenge=decoded(challenge),
                expected_rp_id=self.id,
                expected_origin=self.origin,
                require_user_verification=True,
                supported_pub_key_algs=ALGORITHMS,
            )
            _sound(verified.credential_public_key)
            transports = answer.response.get("transports")
            said = transports if isinstance(transports, list) else []
        except NotProven:
            raise
        except Exception as error:  # noqa: BLE001  the library raises whatever its parsers do
            raise NotProven(f"{type(error).__name__}: {error}"[:200]) from None
        return Made(
            encoded(verified.credential_id),
            encoded(verified.credential_public_key),
            verified.sign_count,
            verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
            verified.credential_backed_up,
            tuple(sorted(TRANSPORTS & {one for one in said if isinstance(one, str)})),
        )

    def check_assertion(self, answer: "Answer", challenge: str, passkey: Passkey) -> Shown:
        """Section 7.2 but the counter, which the store advances; NotProven."""
        _client_data(answer, "webauthn.get", challenge, self.origin)
        try:
            if answer.response.get("userHandle") != passkey.handle:
                raise NotProven("the user handle is not that of the credential's owner")
            verified: VerifiedAuthentication = verify_authentication_response(
                credential=answer.members,
                expected_challenge=decoded(challenge),
                expected_rp_id=self.id,
                expected_origin=self.origin,
                credential_public_key=decoded(passkey.key),
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except NotProven:
            raise
        except Exception as error:  # noqa: BLE001  the library raises whatever its parsers do
            raise NotProven(f"{type(error).__name__}: {error}"[:200]) from None
        eligible = verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE
        if eligible != passkey.eligible:
            raise NotProven("whether it may be backed up has changed")
        return Shown(verified.new_sign_count, verified.credential_backed_up)


@dataclass(frozen=True, slots=True)
class Answer:
    """A `PublicKeyCredential` as JSON (section 5.1), read only as far as to know what it answers."""

    members: dict[str, object]
    response: dict[str, object]
    credential: str
    challenge: str

    @classmethod
    def read(cls, text: str) -> Self:
        """NotProven when it is not one."""
        try:
            members = strict_json.read(text.encode())
            if not isinstance(members, dict) or not isinstance(members.get("response"), dict):
                raise NotProven("this is not a credential")
            response = members["response"]
            client_data = strict_json.read(decoded(_text(response, "clientDataJSON")))
            if not isinstance(client_data, dict):
                raise NotProven("the client data is not an object")
            credential, challenge = _text(members, "id"), _text(client_data, "challenge")
            decoded(credential)  # it is looked up, and no database takes just any text
            return cls(members, response, credential, challenge)
        except NotProven:
            raise
        except ValueError as error:
            raise NotProven(f"not readable: {error}"[:200]) from None


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """base64url without padding, and nothing else; ValueError."""
    value = base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
    if encoded(value) != text:
        raise ValueError("not base64url")
    return value


def _text(members: dict[str, object], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise NotProven(f"{name} is missing")
    return value


def _client_data(answer: Answer, kind: str, challenge: str, origin: str) -> None:
    """What the browser says it did; the library compares it again, but does not mind frames of others."""
    found = json.loads(decoded(_text(answer.response, "clientDataJSON")))
    for name, wanted in (("type", kind), ("challenge", challenge), ("origin", origin)):
        if found.get(name) != wanted:
            raise NotProven(f"the client data has another {name}")
    if found.get("crossOrigin", False) is not False or "topOrigin" in found:
        raise NotProven("it was made in a frame of another site")


def _attestation(raw: bytes) -> None:
    found = parse_cbor(raw)
    if not isinstance(found, dict) or set(found) != {"fmt", "attStmt", "authData"}:
        raise NotProven("this is not an attestation object")
    form, statement = found["fmt"], found["attStmt"]
    if form == "none" and statement == {}:
        return
    if form == "packed" and isinstance(statement, dict) and set(statement) == {"alg", "sig"}:
        return
    raise NotProven("it brings an attestation that nobody asked for")


def _sound(cose: bytes) -> None:
    """Whether the key is one of an algorithm that was asked for, and can be a key at all."""
    if cose[:1] == b"\x04":
        raise NotProven("the key is not a COSE key")
    stated = decode_credential_public_key(cose)
    key = decoded_public_key_to_cryptography(stated)
    fits = (
        (
            stated.alg == Algorithm.ECDSA_SHA_256
            and isinstance(key, EllipticCurvePublicKey)
            and isinstance(key.curve, SECP256R1)
        )
        or (stated.alg == Algorithm.EDDSA and isinstance(key, Ed25519PublicKey))
        or (
            stated.alg == Algorithm.RSASSA_PKCS1_v1_5_SHA_256
            and isinstance(key, RSAPublicKey)
            and key.key_size in _RSA_BITS
        )
    )
    if not fits:
        raise NotProven("the key does not fit its algorithm")
