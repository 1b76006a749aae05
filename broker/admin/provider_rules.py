"""RFC 8725 section 3.8, OpenID Connect Discovery section 3: what may be said of an identity provider; pure."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from broker.admin.model import Problem
from broker.admin.provider_entry import ClaimsEntry, ProviderEntry, RuleEntry
from broker.identity.federation.model import ALGORITHMS, TENANT_ID, Accounts, Provider, Rule
from broker.identity.tenants.model import Tenant
from broker.protocol import scope as scope_rules
from broker.protocol.names import CLIENT_SECRET_BASIC, CLIENT_SECRET_POST, NONE, OFFLINE_ACCESS, OPENID
from broker.protocol.redirect_uri import is_loopback

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_METHODS = (CLIENT_SECRET_BASIC, CLIENT_SECRET_POST, NONE)
_LONGEST = 500


def check(path: str, entry: ProviderEntry) -> Iterator[Problem]:
    """What an entry has wrong by itself; id and name are looked at with everybody's."""
    yield from _issuer(path, entry)
    if not (
        0 < len(entry.client_id) <= _LONGEST and entry.client_id.isascii() and entry.client_id.isprintable()
    ):
        yield Problem(f"{path}.client_id", f"it is 1 to {_LONGEST} printable characters of ASCII")
    if entry.token_endpoint_auth_method not in _METHODS:
        yield Problem(f"{path}.token_endpoint_auth_method", f"use one of {', '.join(_METHODS)}")
    has_secret = entry.client_secret is not None or entry.client_secret_file is not None
    if entry.token_endpoint_auth_method == NONE and has_secret:
        yield Problem(f"{path}.client_secret", f"with token_endpoint_auth_method {NONE} there is no secret")
    if entry.client_secret is not None and entry.client_secret_file is not None:
        yield Problem(f"{path}.client_secret_file", "give the secret or its file, not both")
    yield from _scopes(f"{path}.scopes", entry.scopes)
    if not entry.algorithms or not set(entry.algorithms) <= set(ALGORITHMS):
        yield Problem(f"{path}.algorithms", f"use some of {', '.join(ALGORITHMS)}")
    yield from _claims(f"{path}.claims", entry)


def fits(
    path: str,
    provider: Provider,
    before: Provider | None,
    tenants: Mapping[str, Tenant],
) -> Iterator[Problem]:
    """What does not fit to the tenants, or to what this id was before."""
    if before is not None and before.tenant != provider.tenant:
        yield Problem(f"{path}.tenant", "a provider stays where it is: make another one")
    if before is not None and before.issuer != provider.issuer:
        yield Problem(f"{path}.issuer", "a provider keeps its issuer: make another one")
    if provider.tenant is not None and provider.tenant not in tenants:
        yield Problem(f"{path}.tenant", f"there is no tenant {provider.tenant}")
    for i, rule in enumerate(provider.mapping.tenants):
        for name in outcomes(rule):
            if name not in tenants:
                yield Problem(f"{path}.claims.tenants[{i}]", f"there is no tenant {name}")
            elif provider.id not in tenants[name].providers:
                text = f"tenant {name} does not accept it: write it into its identity_providers"
                yield Problem(f"{path}.claims.tenants[{i}]", text)


def accepted(path: str, tenant: Tenant, providers: Mapping[str, Provider]) -> Iterator[Problem]:
    for name in tenant.providers:
        known = providers.get(name)
        if known is None:
            yield Problem(f"{path}.identity_providers", f"there is no identity provider {name}")
        elif known.tenant is not None:
            text = f"{name} is the own provider of {known.tenant}: only the server's are accepted by name"
            yield Problem(f"{path}.identity_providers", text)


def _issuer(path: str, entry: ProviderEntry) -> Iterator[Problem]:
    issuer = entry.issuer.replace(TENANT_ID, "x")
    try:
        parts = urlsplit(issuer)
        plain = (
            parts.hostname is not None and parts.username is None and not parts.query and not parts.fragment
        )
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(issuer))
    except ValueError:
        plain = secure = False
    if not (plain and secure and issuer.isascii() and issuer.isprintable() and len(issuer) <= _LONGEST):
        yield Problem(f"{path}.issuer", "an https URL without query, fragment and user information is needed")
    if entry.entra is None:
        if TENANT_ID in entry.issuer:
            yield Problem(f"{path}.entra", f"with {TENANT_ID} in the issuer, say which tenants are allowed")
        return
    if entry.issuer.count(TENANT_ID) != 1 or f"/{TENANT_ID}/" not in entry.issuer:
        yield Problem(f"{path}.issuer", f"with entra, the issuer has {TENANT_ID} as one part of its path")
    if not entry.entra.tenants:
        yield Problem(f"{path}.entra.tenants", "name at least one tenant")
    for i, name in enumerate(entry.entra.tenants):
        if _GUID.fullmatch(name) is None:
            yield Problem(f"{path}.entra.tenants[{i}]", "a tenant is the id of a directory, in lower case")


def _scopes(path: str, scopes: list[str]) -> Iterator[Problem]:
    for i, name in enumerate(scopes):
        try:
            single = scope_rules.parse(name) == (name,)
        except ValueError:
            single = False
        if not single:
            yield Problem(
                f"{path}[{i}]", "a scope is one word of printable ASCII without quotes and backslash"
            )
    if OPENID not in scopes:
        yield Problem(path, f"{OPENID} is needed: without it nobody is vouched for")
    if OFFLINE_ACCESS in scopes:
        yield Problem(path, f"{OFFLINE_ACCESS} is not asked for: nothing of the provider's tokens is kept")


def mapping(path: str, claims: ClaimsEntry) -> Iterator[Problem]:
    """What is wrong in what claims mean."""
    named: list[tuple[str, str | RuleEntry | None, bool]] = [
        (f"{path}.id", claims.id, False),
        (f"{path}.name", claims.name, False),
        (f"{path}.email", claims.email, False),
        *((f"{path}.attributes.{name}", rule, False) for name, rule in claims.attributes.items()),
        *((f"{path}.roles[{i}]", rule, True) for i, rule in enumerate(claims.roles)),
        *((f"{path}.tenants[{i}]", rule, True) for i, rule in enumerate(claims.tenants)),
    ]
    for at, rule, closed in named:
        if isinstance(rule, RuleEntry):
            yield from _rule(at, rule, closed)
        elif rule == "":
            yield Problem(at, "name a claim")


def _claims(path: str, entry: ProviderEntry) -> Iterator[Problem]:
    claims = entry.claims
    yield from mapping(path, claims)
    if entry.tenant is not None and claims.tenants:
        yield Problem(f"{path}.tenants", "a tenant's own provider maps into its tenant, always")
    if entry.accounts == Accounts.CREATE.value and entry.tenant is None and not claims.tenants:
        yield Problem(f"{path}.tenants", "say of which tenants the accounts that it creates are")


def _rule(path: str, rule: RuleEntry, closed: bool) -> Iterator[Problem]:
    """`closed`: only outcomes that stand in the file are possible."""
    if (rule.claim is None) == (rule.always is None):
        yield Problem(path, "give claim or always")
    if rule.always is not None and rule.values is not None:
        yield Problem(f"{path}.values", "they are for a claim")
    if closed and rule.claim is not None and rule.values is None:
        yield Problem(f"{path}.values", "say which values count, and as what: a provider invents none")
    for text in (rule.always, *(rule.values or {}).values()):
        if text is not None and not (0 < len(text) <= 128 and text.isprintable()):
            yield Problem(path, "what is mapped to is 1 to 128 printable characters")


def outcomes(rule: Rule) -> list[str]:
    """All that a rule can come to, where it stands in the file."""
    return [rule.always] if rule.always is not None else list(dict.fromkeys((rule.values or {}).values()))
