"""RFC 8705 section 2.1.2: whom a client's certificate has to name, and whether one does."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping

from cryptography import x509
from cryptography.x509.oid import NameOID

SUBJECT_DN = "tls_client_auth_subject_dn"
SAN_DNS = "tls_client_auth_san_dns"
SAN_URI = "tls_client_auth_san_uri"
SAN_IP = "tls_client_auth_san_ip"
SAN_EMAIL = "tls_client_auth_san_email"
MEMBERS = (SUBJECT_DN, SAN_DNS, SAN_URI, SAN_IP, SAN_EMAIL)

LONGEST = 1024
_KEYWORDS = {"emailAddress": NameOID.EMAIL_ADDRESS, "serialNumber": NameOID.SERIAL_NUMBER}
"""What tools write beside the keywords of RFC 4514 section 3."""


def read(member: str, value: str) -> object:
    """What a registered value stands for; ValueError, in plain words, when no certificate could name it."""
    if not 0 < len(value) <= LONGEST or not value.isprintable() or value != value.strip():
        raise ValueError(f"give 1 to {LONGEST} printable characters, without spaces at the ends")
    return _READERS[member](value)


def names(subject: x509.Name, alternatives: Iterable[x509.GeneralName], member: str, value: str) -> bool:
    """Whether a certificate with this subject and these alternative names is one for the registered value."""
    try:
        wanted = read(member, value)
    except ValueError:
        return False
    if member == SUBJECT_DN:
        return bool(subject == wanted)
    found = (name.value for name in alternatives if isinstance(name, _KINDS[member]))
    return wanted in (value.lower() if member == SAN_DNS else value for value in found)


def _name(value: str) -> x509.Name:
    try:
        if "=#" in value:
            raise ValueError
        return x509.Name.from_rfc4514_string(value, _KEYWORDS)
    except ValueError:
        raise ValueError("write it as RFC 4514 does: CN=nightly,O=Acme, no space after the comma") from None


def _host(value: str) -> str:
    """RFC 5280 section 7.2: case does not count in host names."""
    if "*" in value:
        raise ValueError("name one host: a wildcard is nobody")
    return value.lower()


def _address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("this is no IP address") from None


_READERS: Mapping[str, Callable[[str], object]] = {
    SUBJECT_DN: _name,
    SAN_DNS: _host,
    SAN_URI: str,
    SAN_IP: _address,
    SAN_EMAIL: str,
}
_KINDS: Mapping[str, type[x509.GeneralName]] = {
    SAN_DNS: x509.DNSName,
    SAN_URI: x509.UniformResourceIdentifier,
    SAN_IP: x509.IPAddress,
    SAN_EMAIL: x509.RFC822Name,
}
