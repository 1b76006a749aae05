"""Which certificate a request came with: the TLS layer's, or a trusted proxy's word, and nobody else's."""

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from broker.runtime.entropy import SystemEntropy
from broker.web.certificate import Certificates
from broker.web.source import Sources
from tests.certificates import Authority

HEADER = "Client-Cert"
PROXY, STRANGER = "10.0.0.1", "203.0.113.7"
ROOT = Authority()
MIDDLE = Authority("CN=Middle", ROOT)
LEAF, OTHER = MIDDLE.issue(), ROOT.issue("CN=other")


def seen(
    headers: list[tuple[str, str]],
    peer: str = PROXY,
    header: str | None = HEADER,
    trusted: tuple[str, ...] = ("10.0.0.0/8",),
    **environ: str,
) -> tuple[bytes, ...]:
    built = EnvironBuilder(headers=headers, environ_base={"REMOTE_ADDR": peer, **environ}).get_environ()
    return Certificates(header, Sources(trusted, SystemEntropy())).of(Request(built))


@pytest.mark.parametrize("value", [LEAF.field, LEAF.escaped])
def test_a_trusted_proxy_hands_a_certificate_on(value: str) -> None:
    assert seen([(HEADER, value)]) == (LEAF.der,)


def test_a_chain_comes_beside_the_certificate_or_behind_it() -> None:
    whole = (LEAF.der, MIDDLE.own.der)
    assert seen([(HEADER, LEAF.field), (f"{HEADER}-Chain", MIDDLE.own.field)]) == whole
    assert seen([(HEADER, LEAF.escaped + MIDDLE.own.escaped)]) == whole


@pytest.mark.parametrize("peer", [STRANGER, "11.0.0.1", "::1", "", "unix"])
def test_the_word_of_anybody_else_is_not_heard(peer: str) -> None:
    pretending = [("X-Forwarded-For", PROXY), ("Forwarded", f"for={PROXY}")]
    assert seen([(HEADER, LEAF.field), *pretending], peer) == ()
    assert seen([(HEADER, LEAF.field), *pretending], PROXY) == (LEAF.der,)


def test_without_trusted_proxies_or_the_setting_no_header_is_heard() -> None:
    assert seen([(HEADER, LEAF.field)], trusted=()) == ()
    assert seen([(HEADER, LEAF.field)], header=None) == ()
    assert seen([("X-SSL-Client-Cert", LEAF.escaped)]) == ()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(HEADER, "")],
        [(HEADER, " ")],
        [(HEADER, "(null)")],
        [(HEADER, "rubbish")],
        [(HEADER, ":AAAA:")],
        [(HEADER, LEAF.field), (HEADER, LEAF.field)],
        [(HEADER, LEAF.field), (HEADER, OTHER.field)],
        [(HEADER, f"{LEAF.field},{OTHER.field}")],
        [(HEADER, f"{LEAF.escaped},{OTHER.escaped}")],
        [(HEADER, LEAF.field), (f"{HEADER}-Chain", "rubbish")],
        [(f"{HEADER}-Chain", LEAF.field)],
    ],
)
def test_a_value_that_is_absent_broken_or_repeated_is_no_certificate(headers: list[tuple[str, str]]) -> None:
    assert seen(headers) == ()


def test_the_tls_layer_is_believed_of_a_client_that_is_there_itself() -> None:
    assert seen([], STRANGER, SSL_CLIENT_CERT=LEAF.pem) == (LEAF.der,)
    chained = seen([], STRANGER, SSL_CLIENT_CERT=LEAF.pem, SSL_CLIENT_CERT_CHAIN_0=MIDDLE.own.pem)
    assert chained == (LEAF.der, MIDDLE.own.der)
    assert seen([], STRANGER, SSL_CLIENT_CERT="") == ()
    assert seen([], STRANGER, SSL_CLIENT_CERT_CHAIN_0=LEAF.pem) == ()
    assert seen([], STRANGER, SSL_CLIENT_CERT="rubbish") == ()


def test_the_certificate_of_a_proxy_is_never_that_of_its_clients() -> None:
    assert seen([], PROXY, SSL_CLIENT_CERT=OTHER.pem) == ()
    assert seen([(HEADER, LEAF.field)], PROXY, SSL_CLIENT_CERT=OTHER.pem) == (LEAF.der,)


def test_a_header_does_not_become_what_the_tls_layer_says() -> None:
    for name in ("SSL_CLIENT_CERT", "SSL-Client-Cert", "Ssl-Client-Cert"):
        assert seen([(name, LEAF.pem.replace("\n", " "))], STRANGER) == ()
