"""From a resource of the estate to all that its provider is asked with: the row, and what the file says beside it."""

from urllib.parse import urlsplit

from broker.estate.estate import Estate
from broker.estate.model import Resource
from broker.protocol.redirect_uri import is_loopback
from broker.vault.model import Provider, Reach
from broker.vault.providers import atlassian, generic, github

PROVIDERS: dict[str, Provider] = {
    row.name: row for row in (generic.PROVIDER, github.PROVIDER, atlassian.PROVIDER)
}
LONGEST_URL = 2048


def of(resource: Resource | None) -> Reach | None:
    """None for a resource that is not of kind `vault`, or whose provider this release does not know.

    Where the file names a token endpoint of its own, no address of the row is shown tokens or the secret.
    """
    if resource is None or resource.vault is None:
        return None
    said, row = resource.vault, PROVIDERS.get(resource.vault.provider)
    authorization = said.authorization_endpoint or (row.authorization_endpoint if row else None)
    token = said.token_endpoint or (row.token_endpoint if row else None)
    if row is None or authorization is None or token is None:
        return None
    theirs = row if token == row.token_endpoint else None
    return Reach(
        resource,
        row,
        said.client_id,
        said.method or row.method,
        authorization,
        token,
        said.revocation_endpoint or (theirs.revocation_endpoint if theirs else None),
        said.account_endpoint or (theirs.account_endpoint if theirs else None),
        said.issuer,
        row.pkce if said.pkce is None else said.pkce,
        said.scope_separator or row.scope_separator,
        {**row.parameters, **said.parameters},
        said.account,
    )


def at(estate: Estate, resource_id: str, tenant: str) -> Reach | None:
    """As `of`, where the resource serves that tenant."""
    resource = estate.resources.get(resource_id)
    return of(resource) if resource is not None and resource.serves(tenant) else None


def without_always(aim: Reach, scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Of what a provider gave, that which is anybody's business: not what every visit asks for."""
    return tuple(name for name in scopes if name not in aim.provider.always)


def usable(url: str) -> bool:
    """RFC 9700 section 2.6: an address that a browser may be sent to, and that egress may ask; nothing but https."""
    if not (url.isascii() and url.isprintable() and " " not in url and len(url) <= LONGEST_URL):
        return False
    try:
        parts = urlsplit(url)
        plain = bool(parts.hostname) and parts.username is None and "#" not in url and "\\" not in url
        return plain and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)))
    except ValueError:
        return False
