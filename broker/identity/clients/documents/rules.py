"""CIMD sections 9.4 and 9.9: whom to believe, and what of a client a consent rests on; pure."""

import hashlib
import json

from broker.identity.clients.documents import address
from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.model import Trust
from broker.protocol import redirect_uri

_PUBLIC, _KEYS = "public", "keys"


def urls(client: Client) -> list[str]:
    """Where what is known of a client comes from; nowhere, unless it is known by a document."""
    if client.registered is not Registered.DOCUMENT:
        return []
    return [client.client_id, *([client.jwks_uri] if client.jwks_uri else [])]


def trusted(client: Client, trust: Trust) -> bool:
    """Whether a policy admits every host that speaks for the client."""
    return all(trust.admits(address.host_of(url)) for url in urls(client))


def client_host(client: Client) -> str:
    """The host, with a port that it names, which alone is certain of a client known by its document; else nothing."""
    return address.authority_of(client.client_id) if client.registered is Registered.DOCUMENT else ""


def elsewhere(client: Client, host: str) -> bool:
    """Whether `host`, where credentials go, is another one than a client known by its document names itself by."""
    return client.registered is Registered.DOCUMENT and host != address.host_of(client.client_id)


def only_local(client: Client) -> bool:
    """Whether a client known by its document is nowhere but on the user's machine, where any program may pose as it."""
    return client.registered is Registered.DOCUMENT and all(
        redirect_uri.destination(uri).kind != "web" for uri in client.redirect_uris
    )


def digest(client: Client) -> str | None:
    """What a consent rests on of a client that changes without an administrator; None for others.

    Redirect URIs, methods and keys; names and links are not part of it. It begins with how the client is proven.
    """
    if client.registered not in (Registered.DOCUMENT, Registered.DYNAMIC):
        return None
    certificate = [client.certificate.member, client.certificate.value] if client.certificate else None
    rests_on = [
        sorted(client.redirect_uris),
        sorted(client.methods),
        client.jwks,
        client.jwks_uri,
        certificate,
    ]
    hashed = hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()
    return f"{_PUBLIC if client.public else _KEYS}:{hashed[:48]}"


def weakened(consented: str | None, client: Client) -> bool:
    """Whether a client that had to prove itself when a consent was given need not do so any more."""
    return consented is not None and consented.startswith(_KEYS) and client.public
