"""Reading certificates as proxies hand them on (RFC 9440), and whom they name (RFC 8705 section 2.1.2)."""

import base64
import hashlib
import ipaddress

import pytest
from cryptography import x509

from broker.protocol import certificate, certificate_subject
from tests.certificates import Authority, Issued

ROOT = Authority()
MIDDLE = Authority("CN=Middle", ROOT)
LEAF = MIDDLE.issue()


def test_a_thumbprint_is_the_sha256_of_the_certificate_in_base64url() -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha256(LEAF.der).digest()).decode().rstrip("=")
    assert certificate.thumbprint(LEAF.der) == digest and len(digest) == 43


def test_the_example_of_rfc_9440_is_read() -> None:
    """Appendix A: the certificate of the client."""
    field = (
        ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVyb"
        "WVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD"
        "QgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBA"
        "IwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0R"
        "AQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/k"
        "HSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:"
    )
    [read] = certificate.from_header(field)
    assert x509.load_der_x509_certificate(read).subject.rfc4514_string() == "CN=BC"


@pytest.mark.parametrize(
    "value",
    [
        LEAF.field,
        f" {LEAF.field} ".strip(),
        LEAF.escaped,
        LEAF.pem,
        LEAF.pem.replace("\n", " "),
        LEAF.pem.replace("\n", "%0A"),
        LEAF.pem.strip(),
    ],
)
def test_each_notation_gives_the_very_bytes(value: str) -> None:
    assert certificate.from_header(value) == (LEAF.der,)


def test_a_chain_keeps_its_order() -> None:
    assert certificate.from_header(LEAF.field, f"{MIDDLE.own.field}, {ROOT.own.field}") == (
        LEAF.der,
        MIDDLE.own.der,
        ROOT.own.der,
    )
    assert certificate.from_header(LEAF.escaped + MIDDLE.own.escaped) == (LEAF.der, MIDDLE.own.der)
    assert certificate.from_pem(LEAF.pem + MIDDLE.own.pem) == (LEAF.der, MIDDLE.own.der)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ":",
        "::",
        ":AAAA:",
        LEAF.field + ";a=1",
        LEAF.field[:-1],
        LEAF.field.replace("=", "").replace(":", ": ", 1),
        f"{LEAF.field}, {MIDDLE.own.field}",
        f"{LEAF.escaped},{MIDDLE.own.escaped}",
        LEAF.field.replace("MII", "MI-", 1),
        base64.b64encode(LEAF.der).decode(),
        "-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----",
        LEAF.pem + "x",
        "x" + LEAF.pem,
        LEAF.pem.replace("CERTIFICATE", "PRIVATE KEY"),
        "%ff%fe",
        LEAF.pem * (certificate.MOST + 1),
        f":{base64.b64encode(LEAF.der + b'x').decode()}:",
        f":{base64.b64encode(LEAF.der[:-1]).decode()}:",
    ],
)
def test_what_is_broken_is_no_certificate(value: str) -> None:
    with pytest.raises(ValueError):
        certificate.from_header(value)


def test_a_certificate_of_no_known_version_is_none() -> None:
    version = LEAF.der.index(bytes.fromhex("a003020102")) + 4
    other = LEAF.der[:version] + b"\x13" + LEAF.der[version + 1 :]
    with pytest.raises(ValueError):
        certificate.from_header(f":{base64.b64encode(other).decode()}:")


def test_a_broken_chain_spoils_the_certificate() -> None:
    for chain in (":AAAA:", "rubbish", f"{MIDDLE.own.field},", ",".join([LEAF.field] * certificate.MOST)):
        with pytest.raises(ValueError):
            certificate.from_header(LEAF.field, chain)


def names(issued: Issued, member: str, value: str) -> bool:
    try:
        found = issued.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        found = ()
    return certificate_subject.names(issued.certificate.subject, found, member, value)


NAMED = ROOT.issue(
    "CN=nightly,OU=Jobs,O=Acme\\, Inc",
    [
        x509.DNSName("Nightly.jobs.example"),
        x509.DNSName("*.wild.example"),
        x509.UniformResourceIdentifier("spiffe://acme/Nightly"),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
        x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
        x509.RFC822Name("nightly@acme.example"),
    ],
)


@pytest.mark.parametrize(
    ("member", "value", "same"),
    [
        ("tls_client_auth_subject_dn", "CN=nightly,OU=Jobs,O=Acme\\, Inc", True),
        ("tls_client_auth_subject_dn", "2.5.4.3=nightly,OU=Jobs,O=Acme\\2C Inc", True),
        ("tls_client_auth_subject_dn", "O=Acme\\, Inc,OU=Jobs,CN=nightly", False),
        ("tls_client_auth_subject_dn", "CN=nightly+OU=Jobs,O=Acme\\, Inc", False),
        ("tls_client_auth_subject_dn", "CN=nightly,O=Acme\\, Inc", False),
        ("tls_client_auth_subject_dn", "CN=Nightly,OU=Jobs,O=Acme\\, Inc", False),
        ("tls_client_auth_subject_dn", "CN=nightly", False),
        ("tls_client_auth_san_dns", "nightly.jobs.example", True),
        ("tls_client_auth_san_dns", "NIGHTLY.JOBS.EXAMPLE", True),
        ("tls_client_auth_san_dns", "jobs.example", False),
        ("tls_client_auth_san_dns", "x.wild.example", False),
        ("tls_client_auth_san_dns", "*.wild.example", False),
        ("tls_client_auth_san_dns", "spiffe://acme/Nightly", False),
        ("tls_client_auth_san_uri", "spiffe://acme/Nightly", True),
        ("tls_client_auth_san_uri", "spiffe://acme/nightly", False),
        ("tls_client_auth_san_uri", "spiffe://acme/", False),
        ("tls_client_auth_san_ip", "2001:DB8:0::1", True),
        ("tls_client_auth_san_ip", "192.0.2.7", True),
        ("tls_client_auth_san_ip", "192.0.2.8", False),
        ("tls_client_auth_san_email", "nightly@acme.example", True),
        ("tls_client_auth_san_email", "other@acme.example", False),
        ("tls_client_auth_san_email", "nightly.jobs.example", False),
    ],
)
def test_a_certificate_names_what_it_names_and_nobody_like_it(member: str, value: str, same: bool) -> None:
    assert names(NAMED, member, value) is same


def test_a_certificate_without_alternative_names_has_its_subject_alone() -> None:
    plain = ROOT.issue("CN=nightly.jobs.example")
    assert names(plain, "tls_client_auth_subject_dn", "CN=nightly.jobs.example")
    assert not names(plain, "tls_client_auth_san_dns", "nightly.jobs.example")


def test_nobody_is_registered_as_nobody() -> None:
    nameless = ROOT.issue("", [x509.DNSName("a.example")])
    assert names(nameless, "tls_client_auth_san_dns", "a.example")
    for member in certificate_subject.MEMBERS:
        assert not names(nameless, member, "")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("tls_client_auth_subject_dn", "nightly"),
        ("tls_client_auth_subject_dn", "CN=a, O=b"),
        ("tls_client_auth_subject_dn", "CN=#0c0161"),
        ("tls_client_auth_subject_dn", "/CN=a/O=b"),
        ("tls_client_auth_subject_dn", "CN=a,,O=b"),
        ("tls_client_auth_subject_dn", "FAVOURITE=a"),
        ("tls_client_auth_subject_dn", "CN=" + "a" * 1025),
        ("tls_client_auth_san_dns", "*.example"),
        ("tls_client_auth_san_ip", "192.0.2.0/24"),
        ("tls_client_auth_san_ip", "host.example"),
        ("tls_client_auth_san_uri", " spiffe://acme/x"),
        ("tls_client_auth_san_email", "a\nb"),
        *((member, "") for member in certificate_subject.MEMBERS),
    ],
)
def test_a_value_that_no_certificate_could_name_is_refused_in_plain_words(member: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"^[a-z][^\n]{10,}$"):
        certificate_subject.read(member, value)
