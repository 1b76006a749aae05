"""RFC 8705: clients that are known by their certificate, and tokens that are worth nothing without one."""

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from werkzeug.test import TestResponse

from broker.identity.clients.authentication.tls_client_auth import read_authorities
from broker.identity.clients.model import Client, Registered, Subject
from broker.protocol.certificate import thumbprint
from tests.certificates import DAY, Authority, Issued
from tests.lab import CALLBACK, EXCHANGE, SECRETS, TICKETS, VERIFIER, Lab, assert_refused, basic, claims

HEADER, PROXY = "ClientCert", "10.0.0.1"
GRANT = {"grant_type": "client_credentials"}
SUBJECT = "CN=nightly,O=Acme"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return Authority()


@pytest.fixture
def mtls(make_lab: Callable[..., Lab], ca: Authority, tmp_path: Path) -> Lab:
    """Behind a proxy that asks for certificates; `certified` is known by its subject."""
    return lab_of(make_lab, ca, tmp_path)


def lab_of(make_lab: Callable[..., Lab], authority: Authority, folder: Path) -> Lab:
    lab = make_lab(
        trusted_proxies=(PROXY,),
        client_certificate_header=HEADER,
        client_certificate_authorities=authority.file(folder),
    )
    certified(lab)
    return lab


def certified(lab: Lab, member: str = "tls_client_auth_subject_dn", value: str = SUBJECT) -> None:
    lab.put_client(
        Client(
            "certified",
            "Certified",
            "acme",
            "tls_client_auth",
            Registered.ADMIN,
            grant_types=("client_credentials",),
            scopes=("tickets:read",),
            resources=("tickets",),
            certificate=Subject(member, value),
        )
    )


def beside(certificate: Issued | None, *chain: Authority) -> dict[str, str]:
    """What the proxy adds to a request that came with this certificate."""
    if certificate is None:
        return {}
    others = {f"{HEADER}-Chain": ", ".join(a.own.field for a in chain)} if chain else {}
    return {HEADER: certificate.field, **others}


def asked(
    lab: Lab,
    certificate: Issued | None,
    *chain: Authority,
    client_id: str = "certified",
    door: str = "",
    **form: str,
) -> TestResponse:
    """Client credentials, through the proxy."""
    sent = {**GRANT, "client_id": client_id, **form}
    return lab.post(f"{door}/token", sent, beside(certificate, *chain), PROXY)


def refused(
    lab: Lab, certificate: Issued | None, *chain: Authority, reason: str = "client_certificate_invalid"
) -> dict[str, object]:
    return lab.refused(asked(lab, certificate, *chain), 401, "invalid_client", reason)


def test_the_certificate_of_a_trusted_authority_that_names_the_client_is_the_client(
    mtls: Lab, ca: Authority
) -> None:
    answer = asked(mtls, ca.issue(SUBJECT))
    assert answer.status_code == 200
    token = claims(answer.json["access_token"])
    assert (token["sub"], token["client_id"]) == ("certified", "certified")
    assert "cnf" not in token  # it was not registered for bound tokens


@pytest.mark.parametrize(
    ("member", "value", "name"),
    [
        ("tls_client_auth_san_dns", "nightly.acme.example", x509.DNSName("nightly.acme.example")),
        ("tls_client_auth_san_uri", "spiffe://acme/job", x509.UniformResourceIdentifier("spiffe://acme/job")),
        ("tls_client_auth_san_ip", "192.0.2.7", x509.IPAddress(ipaddress.ip_address("192.0.2.7"))),
        ("tls_client_auth_san_email", "job@acme.example", x509.RFC822Name("job@acme.example")),
    ],
)
def test_each_registered_name_works_for_certificates_that_have_it_and_for_no_other(
    mtls: Lab, ca: Authority, member: str, value: str, name: x509.GeneralName
) -> None:
    certified(mtls, member, value)
    assert asked(mtls, ca.issue("CN=whatever", [x509.DNSName("other.example"), name])).status_code == 200
    assert asked(mtls, ca.issue("", [name])).status_code == 200
    refused(mtls, ca.issue("CN=whatever", [x509.DNSName("other.example")]))
    refused(mtls, ca.issue(SUBJECT))
    refused(mtls, ca.issue(f"CN={value}"))


def test_every_way_to_be_wrong_gets_the_same_answer(mtls: Lab, ca: Authority) -> None:
    wrong = {
        "no certificate": None,
        "names somebody else": ca.issue("CN=daily,O=Acme"),
        "not valid at validation time": ca.issue(SUBJECT, starts=-2 * DAY, ends=-1),
        "cert is not valid": ca.issue(SUBJECT, starts=DAY, ends=2 * DAY),
        "required EKU not found": ca.issue(SUBJECT, usages=[ExtendedKeyUsageOID.SERVER_AUTH]),
        "signature does not match": Authority().issue(SUBJECT),
        "candidates exhausted": Authority("CN=Other").issue(SUBJECT),
    }
    answers = []
    for detail, certificate in wrong.items():
        record = refused(mtls, certificate)
        assert detail in str(record["detail"]), (detail, record)
        mtls.clock.advance(30)  # below the limits on failures and on records of them
        answers.append(asked(mtls, certificate).get_data())
    answers.append(asked(mtls, ca.issue(SUBJECT), client_id="nobody").get_data())
    assert len(set(answers)) == 1
    assert not mtls.facts("token.issued")


@pytest.mark.parametrize(
    "written",
    [b"\x30\x04\xa3\x02\x30\x00", b"\x30\x04\x87\x02\x01\x02", b"\x30\x02\x85\x00", b"\x30\x80", b""],
    ids=["x400Address", "short address", "other tag", "endless", "empty"],
)
def test_names_that_cannot_be_read_are_nobody(mtls: Lab, ca: Authority, written: bytes) -> None:
    certified(mtls, "tls_client_auth_san_dns", "a.example")
    odd = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, written)
    refused(mtls, ca.issue("CN=a.example", more=[odd]))
    assert asked(mtls, ca.issue("CN=a", [x509.DNSName("a.example")])).status_code == 200


def test_a_certificate_works_while_it_is_valid(mtls: Lab, ca: Authority) -> None:
    certificate = ca.issue(SUBJECT, starts=100, ends=200)
    refused(mtls, certificate)
    mtls.clock.advance(150)
    assert asked(mtls, certificate).status_code == 200
    mtls.clock.advance(100)
    refused(mtls, certificate)


def test_an_authority_that_is_over_vouches_for_nobody(make_lab: Callable[..., Lab], tmp_path: Path) -> None:
    short = Authority("CN=Short", ends=100)
    lab = lab_of(make_lab, short, tmp_path)
    certificate = short.issue(SUBJECT)
    assert asked(lab, certificate).status_code == 200
    lab.clock.advance(200)
    refused(lab, certificate)


def test_what_rfc_5280_lets_private_authorities_leave_out_may_be_missing(
    make_lab: Callable[..., Lab], tmp_path: Path
) -> None:
    plain = Authority("CN=Plain", signs=None)
    lab = lab_of(make_lab, plain, tmp_path)
    assert asked(lab, plain.issue(SUBJECT, usages=(), identified=False)).status_code == 200


def test_a_key_that_may_sign_no_certificates_vouches_for_nobody(
    make_lab: Callable[..., Lab], tmp_path: Path
) -> None:
    mute = Authority("CN=Mute", signs=False)
    refused(lab_of(make_lab, mute, tmp_path), mute.issue(SUBJECT))


def test_an_authority_in_between_has_to_be_shown(mtls: Lab, ca: Authority) -> None:
    middle = Authority("CN=Middle", ca)
    low = Authority("CN=Low", middle)
    certificate = low.issue(SUBJECT)
    assert asked(mtls, certificate, low, middle).status_code == 200
    refused(mtls, certificate)
    refused(mtls, certificate, low)
    refused(mtls, certificate, low, Authority("CN=Middle", Authority()))


def test_a_client_is_no_authority(mtls: Lab, ca: Authority) -> None:
    """A certificate for a client signs another one in the name of somebody else."""
    leaf = ca.issue("CN=daily")
    forger = Authority("CN=daily")
    forger.own = leaf
    refused(mtls, forger.issue(SUBJECT), forger)
    certified(mtls, value="CN=daily")
    assert asked(mtls, leaf).status_code == 200


def test_a_certificate_proves_nothing_for_a_client_of_another_method(mtls: Lab, ca: Authority) -> None:
    for name in ("nightly", "web-app", "post-app"):
        answer = asked(mtls, ca.issue(f"CN={name}"), client_id=name)
        mtls.refused(answer, 401, "invalid_client", "client_method_mismatch")
    wrong = mtls.post(
        "/token", GRANT, {**basic("nightly", "x" * 43), **beside(ca.issue("CN=nightly"))}, PROXY
    )
    mtls.refused(wrong, 401, "invalid_client", "client_authentication_failed")
    right = mtls.post("/token", GRANT, {**basic("nightly"), **beside(ca.issue("CN=nightly"))}, PROXY)
    assert right.status_code == 200


def test_a_secret_is_not_the_certificate(mtls: Lab, ca: Authority) -> None:
    certificate = ca.issue(SUBJECT)
    for headers, form in (
        (basic("certified", SECRETS["nightly"]), {}),
        ({}, {"client_id": "certified", "client_secret": SECRETS["nightly"]}),
    ):
        answer = mtls.post("/token", {**GRANT, **form}, {**headers, **beside(certificate)}, PROXY)
        mtls.refused(answer, 401, "invalid_client", "client_method_mismatch")
    assert asked(mtls, certificate).status_code == 200


def test_a_certificate_without_a_client_id_is_nobody(mtls: Lab, ca: Authority) -> None:
    answer = mtls.post("/token", GRANT, beside(ca.issue(SUBJECT)), PROXY)
    mtls.refused(answer, 401, "invalid_client", "client_unknown")


def test_failures_are_counted_like_those_of_any_client(mtls: Lab, ca: Authority) -> None:
    for _ in range(mtls.broker.settings.failures_per_minute):
        refused(mtls, ca.issue("CN=daily"))
    assert_refused(asked(mtls, ca.issue(SUBJECT)), 429, "temporarily_unavailable")
    mtls.clock.advance(61)
    assert asked(mtls, ca.issue(SUBJECT)).status_code == 200


def test_a_client_known_by_its_certificate_works_at_its_doors_and_no_other(mtls: Lab, ca: Authority) -> None:
    assert asked(mtls, ca.issue(SUBJECT), door="/t/acme").status_code == 200
    answer = asked(mtls, ca.issue(SUBJECT), door="/t/globex")
    mtls.refused(answer, 401, "invalid_client", "client_unknown")


def test_without_authorities_nobody_is_known_by_a_certificate(
    make_lab: Callable[..., Lab], ca: Authority
) -> None:
    lab = make_lab(trusted_proxies=(PROXY,), client_certificate_header=HEADER)
    certified(lab)
    mismatch = asked(lab, ca.issue(SUBJECT))
    lab.refused(mismatch, 401, "invalid_client", "client_method_mismatch")
    methods = lab.get("/.well-known/oauth-authorization-server").json["token_endpoint_auth_methods_supported"]
    assert "tls_client_auth" not in methods and "client_secret_basic" in methods


def test_a_resource_may_be_known_by_its_certificate(mtls: Lab, ca: Authority) -> None:
    token = mtls.tokens()["access_token"]
    mtls.put_client(
        Client(
            "tickets-server",
            "Tickets",
            "acme",
            "tls_client_auth",
            Registered.RESOURCE,
            grant_types=(EXCHANGE,),
            certificate=Subject("tls_client_auth_san_dns", "mcp1.example"),
        )
    )
    form = {"client_id": "tickets-server", "token": token}
    own = beside(ca.issue("", [x509.DNSName("mcp1.example")]))
    assert mtls.post("/introspect", form, own, PROXY).json["active"] is True
    other = beside(ca.issue("", [x509.DNSName("mcp2.example")]))
    for headers in (other, {}):
        answer = mtls.post("/introspect", form, headers, PROXY)
        mtls.refused(answer, 401, "invalid_client", "client_certificate_invalid")


# Tokens that are bound to a certificate


def bound(lab: Lab, client_id: str, **changes: object) -> None:
    """Register a client of the lab for tokens that are bound to its certificate."""
    lab.put_client(replace(lab.client(client_id), certificate_bound=True, **changes))


def cnf(token: str) -> object:
    return claims(token).get("cnf")


def test_a_client_that_registers_itself_is_bound_as_it_asked(mtls: Lab, ca: Authority) -> None:
    name = "tls_client_certificate_bound_access_tokens"
    made = mtls.register(**{name: True}).json
    assert made[name] is True and mtls.client(made["client_id"]).certificate_bound
    uri, token = made["registration_client_uri"], made["registration_access_token"]
    assert mtls.manage("GET", uri, token).json[name] is True
    kept = {"client_id": made["client_id"]}
    assert_refused(mtls.manage("PUT", uri, token, **kept), 400, "invalid_client_metadata")
    assert mtls.manage("PUT", uri, token, **kept, **{name: True}).status_code == 200
    both = mtls.register(**{name: True, "dpop_bound_access_tokens": True})
    mtls.refused(both, 400, "invalid_client_metadata", "metadata_refused", "client.refused")
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **kept}
    code = mtls.code(made["client_id"])
    without = mtls.post("/token", {**form, "code": code}, {}, PROXY)
    mtls.refused(without, 400, "invalid_request", "certificate_missing")
    own = ca.issue("CN=own")
    answer = mtls.post("/token", {**form, "code": code}, beside(own), PROXY)
    assert cnf(answer.json["access_token"]) == {"x5t#S256": thumbprint(own.der)}


def test_a_token_is_bound_to_the_certificate_that_it_was_asked_with(mtls: Lab, ca: Authority) -> None:
    certified(mtls)
    bound(mtls, "certified")
    one, other = ca.issue(SUBJECT), ca.issue(SUBJECT)
    for certificate in (one, other):
        answer = asked(mtls, certificate).json
        assert answer["token_type"] == "Bearer"
        assert cnf(answer["access_token"]) == {"x5t#S256": thumbprint(certificate.der)}
    shown = mtls.introspect(answer["access_token"]).json
    assert shown["active"] and shown["cnf"] == {"x5t#S256": thumbprint(other.der)}
    assert shown["token_type"] == "Bearer"


def test_any_certificate_will_do_to_bind_a_token_to(mtls: Lab) -> None:
    """RFC 8705 section 4: no authority is needed where the certificate is not what identifies the client."""
    bound(mtls, "nightly")
    own = Authority("CN=Self").issue("CN=whoever")
    answer = mtls.post("/token", GRANT, {**basic("nightly"), **beside(own)}, PROXY)
    assert cnf(answer.json["access_token"]) == {"x5t#S256": thumbprint(own.der)}


def test_a_client_registered_for_bound_tokens_gets_no_others(mtls: Lab, ca: Authority) -> None:
    bound(mtls, "nightly")
    certificate = ca.issue("CN=any")
    for headers, source in (
        ({}, PROXY),
        ({HEADER: "rubbish"}, PROXY),
        ({HEADER: f"{certificate.field},{certificate.field}"}, PROXY),
        (beside(certificate), "203.0.113.7"),
    ):
        answer = mtls.post("/token", GRANT, {**basic("nightly"), **headers}, source)
        mtls.refused(answer, 400, "invalid_request", "certificate_missing")
    answer = mtls.post("/token", GRANT, {**basic("nightly"), **beside(certificate)}, PROXY)
    assert cnf(answer.json["access_token"])


def redeemed(lab: Lab, certificate: Issued | None, client_id: str = "desk-app") -> TestResponse:
    code = lab.code(client_id, scope="tickets:read offline_access")
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": "https://client.example/cb",
        "code_verifier": "v" * 43,
        "resource": TICKETS,
    }
    return used(lab, certificate, client_id, form)


def refreshed(lab: Lab, token: str, certificate: Issued | None, client_id: str = "desk-app") -> TestResponse:
    return used(lab, certificate, client_id, {"grant_type": "refresh_token", "refresh_token": token})


def used(lab: Lab, certificate: Issued | None, client_id: str, form: dict[str, str]) -> TestResponse:
    who = (form, basic(client_id)) if client_id in SECRETS else ({**form, "client_id": client_id}, {})
    return lab.post("/token", who[0], {**who[1], **beside(certificate)}, PROXY)


def test_a_public_client_refreshes_with_the_same_certificate_only(mtls: Lab, ca: Authority) -> None:
    """RFC 8705 sections 4 and 7.1."""
    bound(mtls, "desk-app")
    own, other = ca.issue("CN=own"), ca.issue("CN=other")
    first = redeemed(mtls, own).json
    assert cnf(first["access_token"]) == {"x5t#S256": thumbprint(own.der)}
    before = mtls.table("refresh_token")
    answer = refreshed(mtls, first["refresh_token"], other)
    mtls.refused(answer, 400, "invalid_grant", "certificate_mismatch")
    answer = refreshed(mtls, first["refresh_token"], None)
    mtls.refused(answer, 400, "invalid_request", "certificate_missing")
    assert mtls.table("refresh_token") == before
    second = refreshed(mtls, first["refresh_token"], own).json
    assert cnf(second["access_token"]) == {"x5t#S256": thumbprint(own.der)}
    third = refreshed(mtls, second["refresh_token"], other)
    mtls.refused(third, 400, "invalid_grant", "certificate_mismatch")
    assert refreshed(mtls, second["refresh_token"], own).status_code == 200


def test_a_confidential_client_may_renew_its_certificate_and_not_leave_it_out(
    mtls: Lab, ca: Authority
) -> None:
    bound(mtls, "web-app")
    own, renewed = ca.issue("CN=own"), ca.issue("CN=own")
    token = redeemed(mtls, own, "web-app").json["refresh_token"]
    answer = refreshed(mtls, token, None, "web-app")
    mtls.refused(answer, 400, "invalid_request", "certificate_missing")
    after = refreshed(mtls, token, renewed, "web-app").json
    assert cnf(after["access_token"]) == {"x5t#S256": thumbprint(renewed.der)}


@pytest.mark.parametrize("client_id", ["desk-app", "web-app"])
def test_a_line_of_refresh_tokens_stays_bound_when_the_registration_is_loosened(
    mtls: Lab, ca: Authority, client_id: str
) -> None:
    bound(mtls, client_id)
    own = ca.issue("CN=own")
    token = redeemed(mtls, own, client_id).json["refresh_token"]
    mtls.put_client(replace(mtls.client(client_id), certificate_bound=False))
    answer = refreshed(mtls, token, own, client_id)
    mtls.refused(answer, 400, "invalid_grant", "constraint_lost")
    bound(mtls, client_id)
    assert refreshed(mtls, token, own, client_id).status_code == 200


def test_a_bound_token_is_exchanged_by_a_server_that_binds_its_own(mtls: Lab, ca: Authority) -> None:
    bound(mtls, "desk-app")
    subject = redeemed(mtls, ca.issue("CN=own")).json["access_token"]
    mtls.refused(mtls.exchange(subject), 400, "invalid_request", "constraint_lost")
    form = {
        "grant_type": EXCHANGE,
        "subject_token": subject,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": "https://crm.internal.example",
    }
    server = ca.issue("CN=tickets-server")
    unregistered = mtls.post("/token", form, {**basic("tickets-server"), **beside(server)}, PROXY)
    mtls.refused(unregistered, 400, "invalid_request", "constraint_lost")
    bound(mtls, "tickets-server")
    without = mtls.post("/token", form, basic("tickets-server"), PROXY)
    mtls.refused(without, 400, "invalid_request", "certificate_missing")
    answer = mtls.post("/token", form, {**basic("tickets-server"), **beside(server)}, PROXY)
    assert cnf(answer.json["access_token"]) == {"x5t#S256": thumbprint(server.der)}


# What the server says of it, and how it starts


def test_discovery_says_what_is_offered(mtls: Lab, make_lab: Callable[..., Lab]) -> None:
    for door in ("", "/t/acme"):
        found = mtls.get(f"/.well-known/oauth-authorization-server{door}").json
        assert found["tls_client_certificate_bound_access_tokens"] is True
        for endpoint in ("token", "introspection", "revocation"):
            assert "tls_client_auth" in found[f"{endpoint}_endpoint_auth_methods_supported"]
        assert "mtls_endpoint_aliases" not in found
    plain = make_lab().get("/.well-known/oauth-authorization-server").json
    assert "tls_client_certificate_bound_access_tokens" not in plain


def test_the_address_for_certificates_is_named_where_there_is_one(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(
        trusted_proxies=(PROXY,),
        client_certificate_header=HEADER,
        mtls_origin="https://mtls.as.example:8443",
    )
    found = lab.get("/.well-known/oauth-authorization-server/t/acme").json
    assert found["mtls_endpoint_aliases"] == {
        "token_endpoint": "https://mtls.as.example:8443/t/acme/token",
        "introspection_endpoint": "https://mtls.as.example:8443/t/acme/introspect",
        "revocation_endpoint": "https://mtls.as.example:8443/t/acme/revoke",
        "pushed_authorization_request_endpoint": "https://mtls.as.example:8443/t/acme/par",
        "userinfo_endpoint": "https://mtls.as.example:8443/t/acme/userinfo",
    }
    assert found["token_endpoint"] == "https://as.example/t/acme/token"


def test_a_file_of_authorities_holds_authorities(ca: Authority, tmp_path: Path) -> None:
    file = tmp_path / "clients.pem"
    file.write_text(ca.own.pem + Authority("CN=Second").own.pem, "ascii")
    assert len(read_authorities(file)) == 2
    file.write_text(ca.own.pem + ca.issue("CN=client").pem, "ascii")
    with pytest.raises(ValueError, match="CN=client is not an authority"):
        read_authorities(file)
    for text in ("", "rubbish", ca.own.key_pem):
        file.write_text(text, "ascii")
        with pytest.raises(ValueError, match="holds no certificates"):
            read_authorities(file)
