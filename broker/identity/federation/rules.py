"""RFC 8725 section 3.8, OpenID Connect Core section 5.7: where a provider's word counts, and what claims mean; pure."""

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from broker.identity.federation.model import TENANT_ID, Identity, Link, Mapped, Place, Provider, Rule
from broker.identity.tenants.model import Door, Tenant
from broker.identity.users.model import User
from broker.protocol import acr

LONGEST_NAME = 200
LONGEST_SUBJECT = 255
LONGEST_EMAIL = 320
LONGEST_TEXT = 256
_MOST_VALUES = 1000
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,126}")
_NOT_IN_IDS = re.compile(r"[^a-z0-9._-]+")
_DIGITS = 10
# RFC 8176 section 2
_METHODS = frozenset(
    (
        *("face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin", "pop"),
        *("pwd", "rba", "retina", "sc", "sms", "swk", "tel", "user", "vbm", "wia"),
    )
)


def offered(provider: Provider, door: Door, tenants: Mapping[str, Tenant]) -> bool:
    """Whether people may sign in with this provider at this door."""
    if provider.tenant is not None:
        return door.tenant == provider.tenant
    return door.tenant is None or accepted(provider, tenants.get(door.tenant))


def accepted(provider: Provider | None, tenant: Tenant | None) -> bool:
    """Whether a tenant accepts that this provider says who somebody is; None is a provider that is gone."""
    if provider is None or tenant is None:
        return False
    return provider.tenant == tenant.id or (provider.tenant is None and provider.id in tenant.providers)


def good_for(
    by: str | None, tenant: str, providers: Mapping[str, Provider], tenants: Mapping[str, Tenant]
) -> bool:
    """Whether a session made by `by` (`Session.provider`; None is this server itself) counts in a tenant."""
    return by is None or accepted(providers.get(by), tenants.get(tenant))


def good_at(
    by: str | None, door: Door, providers: Mapping[str, Provider], tenants: Mapping[str, Tenant]
) -> bool:
    """Whether such a session counts at a door at all."""
    if by is None:
        return True
    provider = providers.get(by)
    return provider is not None and offered(provider, door, tenants)


def whole(by: str | None, providers: Mapping[str, Provider]) -> bool:
    """Whether such a session is good for the account itself, and not only for work in one tenant."""
    provider = None if by is None else providers.get(by)
    return by is None or (provider is not None and provider.tenant is None)


def issuer_of(provider: Provider, claims: Mapping[str, object]) -> str | None:
    """The issuer that a token with these claims must have; None when its tenant there is not allowed."""
    if not provider.templated:
        return provider.issuer
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or tenant not in provider.upstream_tenants:
        return None
    return provider.issuer.replace(TENANT_ID, tenant)


def subject_of(claims: Mapping[str, object]) -> str | None:
    """OpenID Connect Core section 2: whom claims are about; None where `sub` is none."""
    found = claims.get("sub")
    plain = isinstance(found, str) and found.isascii() and found.isprintable()
    return str(found) if plain and 0 < len(str(found)) <= LONGEST_SUBJECT else None


def issuers(provider: Provider) -> tuple[str, ...]:
    """Every issuer that this provider may be."""
    if not provider.templated:
        return (provider.issuer,)
    return tuple(provider.issuer.replace(TENANT_ID, tenant) for tenant in provider.upstream_tenants)


def joins(link: Link, provider: Provider) -> bool:
    """Whether people of this provider are found by such a link: it is to the issuer, behind the same wall."""
    return link.tenant == provider.tenant and link.issuer in issuers(provider)


def good_link(link: Link, user: User, providers: Iterable[Provider], tenants: Mapping[str, Tenant]) -> bool:
    """Whether its person can sign in with it: by a provider that is there, in a tenant of theirs that accepts it."""
    return any(
        joins(link, provider) and any(accepted(provider, tenants.get(name)) for name in user.tenants())
        for provider in providers
    )


def strength(provider: Provider, claims: Mapping[str, object]) -> tuple[str, tuple[str, ...]]:
    """(`acr`, `amr`) that a sign-in with these claims is worth here."""
    stated = claims.get("amr")
    methods = (
        [item for item in stated if isinstance(item, str)][:_MOST_VALUES] if isinstance(stated, list) else []
    )
    strong = claims.get("acr") in provider.mfa.acr or any(item in provider.mfa.amr for item in methods)
    known = tuple(dict.fromkeys(item for item in methods if item in _METHODS))
    return acr.MFA if strong else acr.PASSWORD, ("fed", *known)


def mapped(provider: Provider, claims: Mapping[str, object], tenants: Mapping[str, Tenant]) -> Mapped:
    """What the provider's mapping makes of these claims, as far as the tenants let it."""
    mapping = provider.mapping
    email = _address(next(_texts(mapping.email, claims), None))
    named = (
        [provider.tenant]
        if provider.tenant
        else [t for rule in mapping.tenants for t in _texts(rule, claims)]
    )
    places = [t for t in dict.fromkeys(named) if accepted(provider, tenants.get(t))]
    roles = tuple(dict.fromkeys(role for rule in mapping.roles for role in _texts(rule, claims)))
    attributes = {
        name: value
        for name, rule in mapping.attributes.items()
        if (value := _value(rule, claims)) is not None
    }
    name = next(_texts(mapping.name, claims), None)
    return Mapped(
        next(_texts(mapping.user_id, claims), None),
        None if name is None else name[:LONGEST_NAME],
        email if claims.get("email_verified") is True else None,
        email,
        tuple(Place(t, roles if mapping.roles else None, attributes) for t in places),
    )


def new_ids(provider: Provider, identity: Identity, found: Mapped) -> Iterator[str]:
    """Ids for a new account, best first: the mapped claim, then one that nobody else can come to have."""
    wished = unicodedata.normalize("NFKC", found.user_id or "").strip().casefold()
    if _ID.fullmatch(wished):
        yield wished
    readable = _NOT_IN_IDS.sub("-", wished or (found.name or "").casefold()).strip("-._")[:60]
    digest = hashlib.sha256(f"{identity.issuer}\0{identity.subject}".encode()).hexdigest()
    yield f"{readable or provider.id}-{digest[:_DIGITS]}"


def refreshed(
    place: Place, provider: Provider, roles: tuple[str, ...], attributes: Mapping[str, object]
) -> tuple[tuple[str, ...], dict[str, object]]:
    """The roles and attributes of a member after a sign-in: what the mapping names is the provider's to say."""
    others = {name: value for name, value in attributes.items() if name not in provider.mapping.attributes}
    return roles if place.roles is None else place.roles, {**others, **place.attributes}


def spoken(provider: Provider, claims: Mapping[str, object]) -> Provider:
    """With the mapping of what these claims speak of: of a short word, the rest is kept as it was."""
    mapping = provider.mapping
    said = any(rule.path is not None and _look(rule.path, claims) is not None for rule in mapping.roles)
    fixed = all(rule.path is None for rule in mapping.roles)
    attributes = {
        name: rule
        for name, rule in mapping.attributes.items()
        if rule.path is None or _look(rule.path, claims) is not None
    }
    roles = mapping.roles if said or fixed else ()
    return replace(provider, mapping=replace(mapping, roles=roles, attributes=attributes))


def _texts(rule: Rule | None, claims: Mapping[str, object]) -> Iterator[str]:
    if rule is None:
        return
    if rule.always is not None:
        yield rule.always
        return
    found = _look(rule.path or "", claims)
    for item in (found if isinstance(found, list) else [found])[:_MOST_VALUES]:
        if isinstance(item, str) and 0 < len(item) <= LONGEST_EMAIL and item.isprintable():
            if rule.values is None:
                yield item
            elif item in rule.values:
                yield rule.values[item]


def _value(rule: Rule, claims: Mapping[str, object]) -> object:
    """As an attribute: a text, number, truth value or list of texts; None for what is none of these."""
    found = _look(rule.path or "", claims) if rule.always is None else rule.always
    texts = list(_texts(rule, claims))
    if isinstance(found, list):
        return texts
    if isinstance(found, str):
        return next((text for text in texts if len(text) <= LONGEST_TEXT), None)
    if rule.values is not None or (isinstance(found, float) and not math.isfinite(found)):
        return None
    return (
        found if isinstance(found, (bool, float)) or (isinstance(found, int) and abs(found) < 2**53) else None
    )


def _look(path: str, claims: Mapping[str, object]) -> object:
    """A claim by its name, which may have dots in it, or by a path into objects."""
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _address(text: str | None) -> str | None:
    return text if text is not None and "@" in text else None
