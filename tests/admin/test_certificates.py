"""Clients with certificates in the estate file (RFC 8705 sections 2.1.2 and 3.4)."""

from collections.abc import Callable

import pytest

from broker.admin.credentials import NoCredential
from broker.admin.export import export
from broker.identity.clients.model import Subject
from broker.protocol.origin import Origin

ESTATE = """
tenants: [{id: acme}]
clients:
  - {client_id: nightly, type: confidential, grant_types: [client_credentials], resources: [tickets],
     token_endpoint_auth_method: tls_client_auth, tls_client_auth_subject_dn: "CN=nightly,O=Acme",
     tls_client_certificate_bound_access_tokens: true}
  - {client_id: desk-app, type: public, redirect_uris: ["http://127.0.0.1/cb"],
     tls_client_certificate_bound_access_tokens: true}
resources:
  - {id: tickets, kind: mcp, uri: "https://mcp.example/mcp", tenants: [acme], scopes: [{name: "tickets:read"}],
     client: {client_id: tickets-server, token_endpoint_auth_method: tls_client_auth,
              tls_client_auth_san_dns: mcp.example}}
"""
JOB = "clients: [{client_id: job, type: confidential, grant_types: [client_credentials], %s}]"
KNOWN = "token_endpoint_auth_method: tls_client_auth, "


def test_clients_with_certificates_are_exported_and_apply_back_to_no_change(make_desk: Callable) -> None:
    one, other = make_desk(), make_desk()
    one.put(ESTATE)
    assert one.put(ESTATE) == []
    exported = export(one.apply.holdings())
    other.put(exported)
    assert other.put(ESTATE) == [] and export(other.apply.holdings()) == exported
    held = other.apply.holdings().clients
    assert held["nightly"].certificate == Subject("tls_client_auth_subject_dn", "CN=nightly,O=Acme")
    assert held["nightly"].certificate_bound and held["desk-app"].certificate_bound
    assert held["tickets-server"].certificate == Subject("tls_client_auth_san_dns", "mcp.example")
    assert not held["tickets-server"].certificate_bound


def test_a_change_of_whom_the_certificate_names_is_a_change(desk) -> None:
    desk.put(ESTATE)
    [change] = desk.put(ESTATE.replace("O=Acme", "O=Globex"))
    assert (change.id, change.members) == ("nightly", ["tls_client_auth_subject_dn"])
    other = ESTATE.replace(
        'tls_client_auth_subject_dn: "CN=nightly,O=Acme"', "tls_client_auth_san_dns: n.example"
    )
    [change] = desk.put(other)
    assert sorted(change.members) == ["tls_client_auth_san_dns", "tls_client_auth_subject_dn"]
    loose = ESTATE.replace(",\n     tls_client_certificate_bound_access_tokens: true", "", 1)
    desk.put(ESTATE)
    [change] = desk.put(loose)
    assert change.members == ["tls_client_certificate_bound_access_tokens"]


def test_a_client_with_a_certificate_has_no_secret(desk) -> None:
    desk.put(ESTATE)
    with pytest.raises(NoCredential, match="tls_client_auth"):
        desk.credentials.rotate_secret("nightly", Origin("req_test", "cli", "http://127.0.0.1:8400"))
    assert desk.problems(
        JOB % (KNOWN + "tls_client_auth_san_dns: a.example, client_secret: " + "x" * 43)
    ) == ["clients[0].client_secret: a client of tls_client_auth has a certificate instead of a secret"]


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        (KNOWN, "token_endpoint_auth_method: say whom the certificate names, by exactly one of tls_client_"),
        (
            KNOWN + "tls_client_auth_san_dns: a.example, tls_client_auth_san_email: a@a.example",
            "token_endpoint_auth_method: say whom the certificate names, by exactly one of tls_client_auth_",
        ),
        (
            "tls_client_auth_san_dns: a.example",
            "tls_client_auth_san_dns: this is for tls_client_auth: write it as token_endpoint_auth_method",
        ),
        (
            KNOWN + 'tls_client_auth_subject_dn: "CN=a, O=b"',
            "tls_client_auth_subject_dn: write it as RFC 4514 does",
        ),
        (KNOWN + "tls_client_auth_san_ip: nowhere", "tls_client_auth_san_ip: this is no IP address"),
        (KNOWN + 'tls_client_auth_san_dns: "*.a.example"', "tls_client_auth_san_dns: name one host"),
        (KNOWN + 'tls_client_auth_san_uri: ""', "tls_client_auth_san_uri: give 1 to 1024 printable"),
        (KNOWN + "tls_client_auth_san_email: 7", "tls_client_auth_san_email: write a text"),
        (
            "dpop_bound_access_tokens: true, tls_client_certificate_bound_access_tokens: true",
            "dpop_bound_access_tokens: tokens are bound to a key or to a certificate, not both",
        ),
        (
            "token_endpoint_auth_method: self_signed_tls_client_auth",
            "token_endpoint_auth_method: use one of none, client_secret_basic",
        ),
    ],
)
def test_what_does_not_fit_is_said(desk, members: str, problem: str) -> None:
    [found] = desk.problems(JOB % members.rstrip(", "))
    assert found.startswith(f"clients[0].{problem}"), found


def test_a_public_client_is_known_by_no_certificate(desk) -> None:
    text = "clients: [{client_id: app, type: public, redirect_uris: [https://a.example/cb], %s}]"
    assert desk.problems(text % (KNOWN + "tls_client_auth_san_dns: a.example")) == [
        "clients[0].token_endpoint_auth_method: none is for public clients, and they have no other"
    ]
    assert desk.problems(text % "tls_client_certificate_bound_access_tokens: true") == []
