"""RFC 7523 section 3, RFC 8725 section 3.8: what may be said of issuers, workloads and recipients by itself; pure."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from broker.admin import provider_rules
from broker.admin.estate_file import EstateFile
from broker.admin.model import Problem
from broker.admin.provider_entry import ClaimsEntry, WorthEntry
from broker.admin.trusted_entry import IssuerEntry, ReadingEntry, RecipientEntry, WorkloadEntry
from broker.identity.clients import keys
from broker.identity.federation.model import ALGORITHMS
from broker.protocol import acr
from broker.protocol import resource as resource_uri
from broker.protocol import scope as scope_rules
from broker.protocol.redirect_uri import is_loopback

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,126}")
_LONGEST = 500
_LONGEST_TENANT = 128
_LONGEST_PAIR = 511
"""Of issuer and tenant there, by which its people are kept with a character between them."""
_LIFETIMES = range(30, 86401)
_OURS = range(10, 601)
_MOST_RULES = 20


def check(file: EstateFile) -> Iterator[Problem]:
    """Everything that is wrong within one entry, or between two of the same file that claim one name."""
    for i, entry in enumerate(file.trusted_issuers):
        yield from _issuer(f"trusted_issuers[{i}]", entry)
    for i, workload in enumerate(file.workloads):
        yield from _workload(f"workloads[{i}]", workload)
    for i, recipient in enumerate(file.assertion_recipients):
        yield from _recipient(f"assertion_recipients[{i}]", recipient)
    for section in ("trusted_issuers", "workloads", "assertion_recipients"):
        entries = getattr(file, section)
        for i, one in enumerate(entries):
            if _ID.fullmatch(one.id) is None:
                text = "an id is 1 to 127 of a-z, 0-9, dot, underscore and hyphen"
                yield Problem(f"{section}[{i}].id", text)
            if any(other.id == one.id for other in entries[:i]):
                yield Problem(f"{section}[{i}].id", f"{one.id} stands there already")


def _issuer(path: str, entry: IssuerEntry) -> Iterator[Problem]:
    yield from _address(f"{path}.issuer", entry.issuer)
    yield from _tenants(path, entry.tenant, entry.tenants)
    if not entry.trusted_for or len(set(entry.trusted_for)) != len(entry.trusted_for):
        yield Problem(f"{path}.trusted_for", "say what for, each once: id_jag, workload, subject_tokens")
    if not entry.algorithms or not set(entry.algorithms) <= set(ALGORITHMS):
        yield Problem(f"{path}.algorithms", f"use some of {', '.join(ALGORITHMS)}")
    if entry.jwks is not None or entry.jwks_uri is not None:
        at_home = is_loopback(entry.issuer)
        if fault := keys.check((), entry.jwks, entry.jwks_uri, None, loopback=at_home):
            yield Problem(f"{path}.{fault.member}", fault.text)
    if entry.max_lifetime not in _LIFETIMES:
        text = f"a token is good for {_LIFETIMES[0]} to {_LIFETIMES[-1]} seconds"
        yield Problem(f"{path}.max_lifetime", text)
    for i, tenant in enumerate(entry.upstream_tenants):
        longest = min(_LONGEST_TENANT, _LONGEST_PAIR - len(entry.issuer))
        if not (0 < len(tenant) <= longest and tenant.isprintable()):
            text = "it is 1 to 128 printable characters, and 511 at most with the issuer"
            yield Problem(f"{path}.upstream_tenants[{i}]", text)
    if entry.reusable and "workload" not in entry.trusted_for:
        yield Problem(f"{path}.reusable", "only the token of a workload may come again")
    if entry.claims.tenants:
        text = "the tenant is the one that is asked for: name those that count in `tenants`"
        yield Problem(f"{path}.claims.tenants", text)
    yield from provider_rules.mapping(f"{path}.claims", entry.claims)
    for member, unused in (("accounts", "linked"), ("claims", ClaimsEntry()), ("mfa", WorthEntry())):
        if "id_jag" not in entry.trusted_for and getattr(entry, member) != unused:
            yield Problem(
                f"{path}.{member}", "only an issuer that is trusted for id_jag speaks of people of ours"
            )
    yield from _reading(f"{path}.subject_tokens", entry)


def _reading(path: str, entry: IssuerEntry) -> Iterator[Problem]:
    said = entry.subject_tokens
    if "subject_tokens" not in entry.trusted_for and said != ReadingEntry():
        yield Problem(path, "only an issuer that is trusted for subject_tokens has them")
    for member in ("scope", "client"):
        if not _named(getattr(said, member)):
            yield Problem(f"{path}.{member}", "name the claim, or the path to it")
    for theirs, ours in (said.scopes or {}).items():
        yield from _scopes(f"{path}.scopes", [theirs])
        yield from _scopes(f"{path}.scopes.{theirs}", ours)
    if said.scopes == {}:
        yield Problem(f"{path}.scopes", "name at least one, or leave it out where they are called the same")
    if said.client_ids is not None and not (said.client_ids and all(map(_named, said.client_ids))):
        yield Problem(f"{path}.client_ids", "name at least one client, as the issuer calls it")


def _workload(path: str, entry: WorkloadEntry) -> Iterator[Problem]:
    if not 0 < len(entry.claims) <= _MOST_RULES:
        yield Problem(f"{path}.claims", "name the claims by which the workload is known, `sub` at least")
    if "sub" not in entry.claims:
        yield Problem(f"{path}.claims", "`sub` is needed: without it anything of that platform is the client")
    for name, values in entry.claims.items():
        if not values or not all(0 < len(text) <= _LONGEST and text.isprintable() for text in values):
            yield Problem(f"{path}.claims.{name}", "give the value, or a list of values, to the letter")
        elif any("*" in text for text in values):
            yield Problem(f"{path}.claims.{name}", "a value is compared to the letter: * stands for itself")


def _recipient(path: str, entry: RecipientEntry) -> Iterator[Problem]:
    yield from _address(f"{path}.issuer", entry.issuer)
    yield from _tenants(path, entry.tenant, entry.tenants)
    for i, place in enumerate(entry.resources):
        at = f"{path}.resources[{i}]"
        if not resource_uri.valid(place.uri):
            yield Problem(f"{at}.uri", "an absolute http or https URI without fragment is needed")
        yield from _scopes(f"{at}.scopes", place.scopes)
    for i, bearer in enumerate(entry.clients):
        if bearer.scopes is not None:
            yield from _scopes(f"{path}.clients[{i}].scopes", bearer.scopes)
        known_as = bearer.known_as
        if known_as is not None and not (0 < len(known_as) <= _LONGEST and known_as.isprintable()):
            yield Problem(f"{path}.clients[{i}].as", "it is 1 to 500 printable characters")
    if not entry.resources:
        yield Problem(f"{path}.resources", "name at least one")
    if not entry.clients:
        yield Problem(f"{path}.clients", "name at least one")
    if entry.acr is not None and entry.acr not in acr.ORDER:
        yield Problem(f"{path}.acr", f"use one of {', '.join(acr.ORDER)}")
    if entry.max_age is not None and entry.max_age < 1:
        yield Problem(f"{path}.max_age", "it is a number of seconds from 1 on")
    if entry.lifetime not in _OURS:
        yield Problem(
            f"{path}.lifetime", f"an assertion of ours is good for {_OURS[0]} to {_OURS[-1]} seconds"
        )


def _address(path: str, issuer: str) -> Iterator[Problem]:
    try:
        parts = urlsplit(issuer)
        plain = bool(parts.hostname) and parts.username is None and not parts.query and not parts.fragment
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(issuer))
    except ValueError:
        plain = secure = False
    if not (plain and secure and issuer.isascii() and issuer.isprintable() and len(issuer) <= _LONGEST):
        yield Problem(path, "an https URL without query, fragment and user information is needed")


def _tenants(path: str, tenant: str | None, tenants: Sequence[str] | None) -> Iterator[Problem]:
    if tenant is None and not tenants:
        yield Problem(f"{path}.tenants", "name the tenants for which it counts")
    if tenant is not None and tenants not in (None, [tenant]):
        yield Problem(f"{path}.tenants", "what is a tenant's own counts in that tenant alone")


def _named(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable()


def _scopes(path: str, scopes: Sequence[str]) -> Iterator[Problem]:
    if not scopes:
        yield Problem(path, "name at least one")
    for i, name in enumerate(scopes):
        try:
            single = scope_rules.parse(name) == (name,)
        except ValueError:
            single = False
        if not single:
            text = "a scope is one word of printable ASCII without quotes and backslash"
            yield Problem(f"{path}[{i}]", text)
