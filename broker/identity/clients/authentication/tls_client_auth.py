"""RFC 8705 section 2.1: the certificate of the TLS connection, of a trusted authority, that names the client."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
    VerifiedClient,
)

from broker.identity.clients.authentication.model import Attempt, Candidate, Presented, Unproven
from broker.identity.tenants.model import Door
from broker.protocol import certificate_subject
from broker.protocol.errors import Reason
from broker.protocol.names import TLS_CLIENT_AUTH
from broker.runtime.once import Spend


def _signs(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("keyCertSign")


# What browsers ask of public authorities, but for what RFC 5280 section 6 leaves to private ones: a client may be named
# by its subject alone, key identifiers and the key usage of an authority may be left out.
_CLIENTS = (
    ExtensionPolicy.webpki_defaults_ee()
    .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
)
_AUTHORITIES = (
    ExtensionPolicy.webpki_defaults_ca()
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs)
    .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
)


class TlsClientAuth:
    """Believes `authorities`, whatever the proxy believed that terminated TLS."""

    name = TLS_CLIENT_AUTH

    def __init__(self, authorities: Sequence[x509.Certificate]) -> None:
        self._authorities = Store(list(authorities))

    def presented(self, attempt: Attempt, door: Door) -> Presented | None:
        """Nothing by itself: any client may have a certificate, and one that is registered for it names itself."""
        return None

    def proves(self, credential: str, candidate: Candidate) -> tuple[Spend, ...] | Unproven:
        expected = candidate.client.certificate
        if expected is None:
            return _unproven("no subject is registered")
        if not candidate.attempt.certificates:
            return _unproven("no certificate")
        own, *others = map(x509.load_der_x509_certificate, candidate.attempt.certificates)
        try:
            alternatives = self._verified(own, others, candidate.now).subjects or ()
            named = certificate_subject.names(own.subject, alternatives, expected.member, expected.value)
        except (VerificationError, x509.UnsupportedGeneralNameType, ValueError) as error:
            return _unproven(str(error).partition(" (")[0][:200])
        return () if named else _unproven("names somebody else")

    def _verified(self, own: x509.Certificate, others: list[x509.Certificate], now: float) -> VerifiedClient:
        """RFC 5280 section 6: the path to an authority, at this time and for this use; VerificationError."""
        policy = PolicyBuilder().store(self._authorities).time(datetime.fromtimestamp(now, UTC))
        policy = policy.extension_policies(ca_policy=_AUTHORITIES, ee_policy=_CLIENTS)
        return policy.build_client_verifier().verify(own, others)


def read_authorities(file: Path) -> list[x509.Certificate]:
    """The certificates in a PEM file, all of them authorities; OSError, or ValueError in plain words."""
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError:
        raise ValueError(f"{file} holds no certificates in PEM.") from None
    for certificate in found:
        if not _is_authority(certificate):
            raise ValueError(
                f"{file}: {certificate.subject.rfc4514_string()} is not an authority's certificate."
            )
    return found


def _unproven(detail: str) -> Unproven:
    return Unproven(Reason.CLIENT_CERTIFICATE_INVALID, detail)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
