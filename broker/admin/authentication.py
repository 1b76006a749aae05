"""RFC 7591 section 2, RFC 8705 section 2.1.2: how a client of the estate file may prove itself; pure."""

from collections.abc import Iterator

from broker.admin.estate_file import ClientEntry, Credentials
from broker.admin.model import Problem
from broker.identity.clients import keys, openid
from broker.identity.clients.documents import address
from broker.identity.clients.documents.address import Here
from broker.identity.clients.model import GIVEN_METHODS
from broker.protocol import certificate_subject
from broker.protocol.certificate_subject import MEMBERS
from broker.protocol.names import (
    NONE,
    PRIVATE_KEY_JWT,
    SIGNING_ALGORITHMS,
    TLS_CLIENT_AUTH,
    WORKLOAD_JWT,
)


def check(path: str, entry: Credentials, public: bool) -> Iterator[Problem]:
    """What does not fit together of method, secret, keys and certificate, or cannot sign answers to it."""
    method = entry.token_endpoint_auth_method
    at = f"{path}.token_endpoint_auth_method"
    if method is not None and method not in GIVEN_METHODS:
        yield Problem(at, f"use one of {', '.join(GIVEN_METHODS)}")
    elif method is not None and public != (method == NONE):
        yield Problem(at, "none is for public clients, and they have no other")
    if public and (entry.client_secret or entry.client_secret_file):
        yield Problem(f"{path}.client_secret", "a public client has no secret")
    if entry.client_secret and entry.client_secret_file:
        yield Problem(f"{path}.client_secret_file", "give the secret or its file, not both")
    if entry.introspection_signed_response_alg not in (None, *SIGNING_ALGORITHMS):
        yield Problem(
            f"{path}.introspection_signed_response_alg", f"use one of {', '.join(SIGNING_ALGORITHMS)}"
        )
    if method == WORKLOAD_JWT and (entry.client_secret or entry.client_secret_file):
        yield Problem(
            f"{path}.client_secret", f"a client of {WORKLOAD_JWT} has no secret: its platform vouches"
        )
    yield from _keys(path, entry)
    yield from _certificate(path, entry)


def signing_out(path: str, client: ClientEntry, application_type: str) -> Iterator[Problem]:
    """OpenID Connect: how the client's id_tokens are signed, and what happens when its users sign out."""
    alg, afterwards = client.id_token_signed_response_alg, client.post_logout_redirect_uris
    if fault := openid.check(alg, afterwards, application_type):
        yield Problem(f"{path}.{fault.member}", fault.text)
    told_at = client.backchannel_logout_uri
    if told_at is not None and (wrong := address.refused(told_at, Here("", frozenset(), loopback=True))):
        yield Problem(f"{path}.backchannel_logout_uri", wrong)


def _keys(path: str, entry: Credentials) -> Iterator[Problem]:
    given = (entry.jwks, entry.jwks_uri, entry.token_endpoint_auth_signing_alg)
    if entry.token_endpoint_auth_method != PRIVATE_KEY_JWT:
        if any(value is not None for value in given):
            text = f"keys are for {PRIVATE_KEY_JWT}: write it as token_endpoint_auth_method"
            yield Problem(f"{path}.{'jwks_uri' if entry.jwks is None else 'jwks'}", text)
        return
    if entry.client_secret or entry.client_secret_file:
        yield Problem(f"{path}.client_secret", f"a client of {PRIVATE_KEY_JWT} has keys instead of a secret")
    if fault := keys.check((PRIVATE_KEY_JWT,), *given):
        yield Problem(f"{path}.{fault.member}", fault.text)


def _certificate(path: str, entry: Credentials) -> Iterator[Problem]:
    """RFC 8705 sections 2.1.2 and 3.4."""
    if entry.tls_client_certificate_bound_access_tokens and entry.dpop_bound_access_tokens:
        yield Problem(
            f"{path}.dpop_bound_access_tokens", "tokens are bound to a key or to a certificate, not both"
        )
    given = {member: value for member in MEMBERS if (value := getattr(entry, member)) is not None}
    if entry.token_endpoint_auth_method != TLS_CLIENT_AUTH:
        for member in given:
            text = f"this is for {TLS_CLIENT_AUTH}: write it as token_endpoint_auth_method"
            yield Problem(f"{path}.{member}", text)
        return
    if entry.client_secret or entry.client_secret_file:
        text = f"a client of {TLS_CLIENT_AUTH} has a certificate instead of a secret"
        yield Problem(f"{path}.client_secret", text)
    if len(given) != 1:
        text = f"say whom the certificate names, by exactly one of {', '.join(MEMBERS)}"
        yield Problem(f"{path}.token_endpoint_auth_method", text)
    for member, value in given.items():
        try:
            certificate_subject.read(member, value)
        except ValueError as error:
            yield Problem(f"{path}.{member}", str(error))
