"""Authorities and the certificates of clients, made for a test; times are seconds from the lab's start."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.lab import START

DAY = 86400.0
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and how it is handed on."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")

    @property
    def escaped(self) -> str:
        """As nginx's $ssl_client_escaped_cert."""
        return quote(self.pem, safe="")

    @property
    def field(self) -> str:
        """As RFC 9440 section 2.1 writes it."""
        return f":{base64.b64encode(self.der).decode('ascii')}:"

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")

    def file(self, folder: Path) -> Path:
        """Certificate and key, as TLS libraries load them."""
        path = folder / f"{self.certificate.serial_number}.pem"
        path.write_text(self.pem + self.key_pem, "ascii")
        return path


@dataclass
class Authority:
    """A certificate authority: its own root, or under `parent`. `signs`: what its key usage says of certificates."""

    name: str = "CN=Clients"
    parent: "Authority | None" = None
    starts: float = -DAY
    ends: float = 1000 * DAY
    signs: bool | None = True
    own: Issued = field(init=False)

    def __post_init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(self.name, self.parent.name if self.parent else self.name, key, self.starts, self.ends)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if self.signs is not None:
            usage = x509.KeyUsage(True, False, False, False, False, self.signs, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if self.parent is not None:
            builder = builder.add_extension(_by(self.parent.own.key), critical=False)
        signer = self.parent.own.key if self.parent else key
        self.own = Issued(builder.sign(signer, hashes.SHA256()), key)

    def issue(
        self,
        subject: str = "CN=nightly,O=Acme",
        alternatives: Iterable[x509.GeneralName] = (),
        *,
        starts: float = -DAY,
        ends: float = DAY,
        usages: Iterable[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
        more: Iterable[x509.ExtensionType] = (),
        identified: bool = True,
    ) -> Issued:
        """A certificate for a client, unless `usages` says otherwise."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self.name, key, starts, ends)
        if identified:
            builder = builder.add_extension(_by(self.own.key), critical=False)
        if names := list(alternatives):
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
        if allowed := list(usages):
            builder = builder.add_extension(x509.ExtendedKeyUsage(allowed), critical=False)
        for extension in more:
            builder = builder.add_extension(extension, critical=False)
        return Issued(builder.sign(self.own.key, hashes.SHA256()), key)

    def file(self, folder: Path) -> Path:
        """The file that a setting names."""
        path = folder / f"authority-{self.own.certificate.serial_number}.pem"
        path.write_text(self.own.pem, "ascii")
        return path


def _builder(subject: str, issuer: str, key: Key, starts: float, ends: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string(subject))
        .issuer_name(x509.Name.from_rfc4514_string(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(START + starts, UTC))
        .not_valid_after(datetime.fromtimestamp(START + ends, UTC))
    )


def _by(key: Key) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
