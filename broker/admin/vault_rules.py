"""RFC 6749 section 3, RFC 9700 section 2.6: what may be said of a system that is not ours; pure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from broker.admin.estate_file import ResourceEntry
from broker.admin.model import Problem
from broker.admin.vault_entry import VaultEntry
from broker.estate.model import Resource, ResourceKind
from broker.protocol.names import CLIENT_SECRET_BASIC, CLIENT_SECRET_POST, NONE
from broker.vault.model import Provider
from broker.vault.reach import PROVIDERS, of, usable

_METHODS = (CLIENT_SECRET_BASIC, CLIENT_SECRET_POST, NONE)
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "account_endpoint")
_OURS = frozenset(
    {
        *("client_id", "redirect_uri", "response_type", "state", "scope", "code_challenge"),
        *("code_challenge_method", "client_secret", "nonce", "response_mode", "request", "request_uri"),
    }
)
_LONGEST = 500
_THEIRS = "what people connected belongs to it: make another resource"


def check(path: str, resource: ResourceEntry) -> Iterator[Problem]:
    """What a resource of kind `vault` has wrong by itself, or another has of it."""
    if resource.kind != ResourceKind.VAULT.value:
        for member in ("provider", "vault"):
            if getattr(resource, member) is not None:
                yield Problem(f"{path}.{member}", "only a resource of kind vault has it")
        return
    row = PROVIDERS.get(resource.provider or "")
    if row is None:
        yield Problem(f"{path}.provider", f"use one of {', '.join(sorted(PROVIDERS))}")
    if resource.vault is None:
        yield Problem(f"{path}.vault", "say what this server is there: client_id, and client_secret_file")
    else:
        yield from _registration(f"{path}.vault", resource.vault)
        if row is not None:
            yield from _server(f"{path}.vault", resource.vault, row)
    if resource.client is not None:
        yield Problem(f"{path}.client", "a system that is not ours has no identity here")
    if resource.default:
        yield Problem(f"{path}.default", "nobody gets our tokens for a system that is not ours")
    if resource.publish:
        yield Problem(f"{path}.publish", "a system that is not ours publishes its own metadata")
    if resource.tools:
        yield Problem(f"{path}.tools", "tools are called at servers of ours")


def stays(path: str, resource: Resource, before: Resource | None) -> Iterator[Problem]:
    """What people connected is of one provider, and is shown to no other address than theirs."""
    if before is None or resource.vault == before.vault:
        return
    if resource.vault is None or before.vault is None:
        yield Problem(
            f"{path}.kind", "a vault stays one, and nothing else becomes one: make another resource"
        )
        return
    if resource.vault.provider != before.vault.provider:
        yield Problem(f"{path}.provider", _THEIRS)
    now, then = of(resource), of(before)
    if now is None or then is None:
        return
    for member in ("client_id", "token_endpoint", "issuer"):
        if getattr(now, member) != getattr(then, member):
            yield Problem(f"{path}.vault.{member}", _THEIRS)
    for member in ("revocation_endpoint", "account_endpoint"):
        url, known = getattr(now, member), getattr(then, member)
        if known is not None and url not in (None, known):
            yield Problem(f"{path}.vault.{member}", _THEIRS)
        if known is None and url is not None and not _beside(url, now.token_endpoint):
            yield Problem(
                f"{path}.vault.{member}", "it has to be where token_endpoint is, or a new resource's"
            )


def _server(path: str, entry: VaultEntry, row: Provider) -> Iterator[Problem]:
    """Both addresses are of one server: the row's, or another that is written down."""
    pair = ("authorization_endpoint", "token_endpoint")
    said = {member: getattr(entry, member) for member in pair}
    own = any(url not in (None, getattr(row, member)) for member, url in said.items())
    for member in pair:
        if said[member] is not None:
            continue
        if getattr(row, member) is None:
            yield Problem(f"{path}.{member}", f"provider {row.name} does not know it: write it down")
        elif own:
            yield Problem(f"{path}.{member}", "the server is not the provider's own: write it down too")


def _beside(url: str, token_endpoint: str) -> bool:
    """At the server that is shown tokens and secret anyway."""
    one, other = urlsplit(url), urlsplit(token_endpoint)
    return (one.scheme, one.netloc) == (other.scheme, other.netloc)


def _registration(path: str, entry: VaultEntry) -> Iterator[Problem]:
    if not (
        0 < len(entry.client_id) <= _LONGEST and entry.client_id.isascii() and entry.client_id.isprintable()
    ):
        yield Problem(f"{path}.client_id", f"it is 1 to {_LONGEST} printable characters of ASCII")
    if entry.token_endpoint_auth_method not in (None, *_METHODS):
        yield Problem(f"{path}.token_endpoint_auth_method", f"use one of {', '.join(_METHODS)}")
    if entry.client_secret is not None and entry.client_secret_file is not None:
        yield Problem(f"{path}.client_secret_file", "give the secret or its file, not both")
    for member in _ENDPOINTS:
        url = getattr(entry, member)
        if url is not None and not usable(url):
            yield Problem(f"{path}.{member}", "an https URL without fragment and user information is needed")
    if entry.issuer is not None and (not usable(entry.issuer) or "?" in entry.issuer):
        yield Problem(f"{path}.issuer", "an https URL without query, fragment and user information is needed")
    if entry.scope_separator not in (None, " ", ","):
        yield Problem(f"{path}.scope_separator", "use a space or a comma")
    for name, value in entry.parameters.items():
        if name in _OURS:
            yield Problem(f"{path}.parameters.{name}", "this server says it itself")
        if not (name.isidentifier() and name.isascii() and value.isprintable() and len(value) <= _LONGEST):
            yield Problem(f"{path}.parameters", "names are words, values printable text")
    if len(entry.account) > 4 or not all(
        0 < len(name) <= 64 and name.isprintable() for name in entry.account
    ):
        yield Problem(
            f"{path}.account", "name the member that has the account's id, then those with its name"
        )
