"""RFC 6749 sections 2 and 3.3: what an object of the estate may say by itself; pure."""

import re
from collections.abc import Iterable, Iterator

from broker.admin import (
    authentication,
    budget_entry,
    budget_rules,
    provider_rules,
    tool_rules,
    trusted_rules,
    vault_rules,
)
from broker.admin.estate_file import (
    ClientEntry,
    Credentials,
    EdgeEntry,
    EstateFile,
    ResourceEntry,
    ScopeEntry,
    TokenEntry,
    UserEntry,
)
from broker.admin.model import Problem
from broker.admin.wanted import application_type, user_id
from broker.estate.model import ANY_TENANT
from broker.identity.clients.documents import address
from broker.identity.clients.documents.address import Here
from broker.protocol import acr, details, jcs, redirect_uri
from broker.protocol import resource as resource_uri
from broker.protocol import scope as scope_rules
from broker.protocol.names import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    IDENTITY_SCOPES,
    JWT_BEARER,
    OFFLINE_ACCESS,
    REFRESH_TOKEN,
    SIGNING_ALGORITHMS,
    TOKEN_EXCHANGE,
)

LONGEST_LIFETIME = 600
DEEPEST = 16
SHORTEST_AGE, LONGEST_AGE = 60, 86400
LONGEST_NAME = 200
GRANT_TYPES = (
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    CLIENT_CREDENTIALS,
    TOKEN_EXCHANGE,
    DEVICE_CODE,
    JWT_BEARER,
)
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,126}")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ID_TEXT = "an id is 1 to 127 of a-z, 0-9, dot, underscore and hyphen, and begins with a letter or digit"


def check(file: EstateFile) -> list[Problem]:
    """Everything that is wrong within one object, or between two of the same file that claim one name."""
    return list(_check(file))


def _check(file: EstateFile) -> Iterator[Problem]:
    for i, tenant in enumerate(file.tenants):
        yield from _identifier(f"tenants[{i}].id", tenant.id)
        yield from _name(f"tenants[{i}].name", tenant.name)
        for member in ("allow", "deny"):
            for n, domain in enumerate(getattr(tenant.client_documents, member) or ()):
                if _DOMAIN.fullmatch(domain) is None:
                    path = f"tenants[{i}].client_documents.{member}[{n}]"
                    yield Problem(
                        path, "a domain is a host name in lower case: what is below it is meant too"
                    )
    for i, provider in enumerate(file.identity_providers):
        yield from _identifier(f"identity_providers[{i}].id", provider.id)
        yield from _name(f"identity_providers[{i}].name", provider.name)
        yield from provider_rules.check(f"identity_providers[{i}]", provider)
    yield from trusted_rules.check(file)
    for i, user in enumerate(file.users):
        yield from _user(f"users[{i}]", user)
    for i, client in enumerate(file.clients):
        yield from _client(f"clients[{i}]", client)
    for i, resource in enumerate(file.resources):
        yield from _resource(f"resources[{i}]", resource)
    for i, edge in enumerate(file.edges):
        yield from _edge(f"edges[{i}]", edge)
    yield from _unique((f"tenants[{i}].id", tenant.id) for i, tenant in enumerate(file.tenants))
    yield from _unique((f"identity_providers[{i}].id", p.id) for i, p in enumerate(file.identity_providers))
    yield from _unique(_principals(file))
    yield from _unique((f"resources[{i}].id", resource.id) for i, resource in enumerate(file.resources))
    yield from _unique(
        (f"resources[{i}].uri", resource_uri.folded(resource.uri))
        for i, resource in enumerate(file.resources)
    )
    yield from _unique((f"edges[{i}]", f"{edge.source}->{edge.target}") for i, edge in enumerate(file.edges))
    yield from _unique((f"policies[{i}].tenant", policy.tenant) for i, policy in enumerate(file.policies))
    for i, budget in enumerate(file.budgets):
        yield from budget_rules.check(f"budgets[{i}]", budget)
    yield from _unique((f"budgets[{i}]", budget_entry.noun(b).key) for i, b in enumerate(file.budgets))


def _principals(file: EstateFile) -> Iterator[tuple[str, str]]:
    """Users and clients share one namespace."""
    for i, user in enumerate(file.users):
        yield f"users[{i}].id", user_id(user.id)
    for i, client in enumerate(file.clients):
        yield f"clients[{i}].client_id", client.client_id
    for i, resource in enumerate(file.resources):
        if resource.client is not None:
            yield f"resources[{i}].client.client_id", resource.client.client_id


def _unique(claims: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for path, name in claims:
        if name in first:
            yield Problem(path, f"{name} is taken by {first[name]}")
        first.setdefault(name, path)


def _identifier(path: str, identifier: str) -> Iterator[Problem]:
    if _ID.fullmatch(identifier) is None:
        yield Problem(path, _ID_TEXT)


def _name(path: str, name: str | None) -> Iterator[Problem]:
    if name is not None and not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
        yield Problem(path, f"a name is 1 to {LONGEST_NAME} printable characters")


def _user(path: str, user: UserEntry) -> Iterator[Problem]:
    yield from _identifier(f"{path}.id", user_id(user.id))
    yield from _name(f"{path}.name", user.name)
    if user.email is not None and (
        "@" not in user.email or len(user.email) > 320 or not user.email.isprintable()
    ):
        yield Problem(f"{path}.email", "this is no e-mail address")
    yield from _unique((f"{path}.tenants[{i}].id", item.id) for i, item in enumerate(user.tenants))
    for i, item in enumerate(user.tenants):
        yield from _json(f"{path}.tenants[{i}].attributes", item.attributes)


def _client(path: str, client: ClientEntry) -> Iterator[Problem]:
    public = client.type == "public"
    yield from _credentials(path, client, public)
    yield from _name(f"{path}.name", client.name)
    for i, name in enumerate(client.grant_types):
        if name not in GRANT_TYPES:
            yield Problem(f"{path}.grant_types[{i}]", f"use one of {', '.join(GRANT_TYPES)}")
        elif public and name in (CLIENT_CREDENTIALS, TOKEN_EXCHANGE, JWT_BEARER):
            yield Problem(f"{path}.grant_types[{i}]", f"a public client cannot use {name}: it has no secret")
    if REFRESH_TOKEN in client.grant_types and not {AUTHORIZATION_CODE, DEVICE_CODE} & set(
        client.grant_types
    ):
        yield Problem(f"{path}.grant_types", "refresh_token needs authorization_code beside it")
    if DEVICE_CODE in client.grant_types and client.scopes is None:
        yield Problem(f"{path}.scopes", "list the scopes that the client may ask for from a device")
    if AUTHORIZATION_CODE in client.grant_types and not client.redirect_uris:
        yield Problem(f"{path}.redirect_uris", "authorization_code needs at least one")
    kind = application_type(client.redirect_uris)
    for i, uri in enumerate(client.redirect_uris):
        if wrong := redirect_uri.check_registration(uri, kind):
            yield Problem(f"{path}.redirect_uris[{i}]", wrong)
    yield from authentication.signing_out(path, client, kind)


def _credentials(path: str, entry: Credentials, public: bool) -> Iterator[Problem]:
    if isinstance(entry, ClientEntry) and address.looks_like_one(entry.client_id):
        if wrong := address.refused(entry.client_id, Here("", frozenset(), loopback=False)):
            yield Problem(f"{path}.client_id", wrong)
    else:
        yield from _identifier(f"{path}.client_id", entry.client_id)
    yield from authentication.check(path, entry, public)
    for i, name in enumerate(entry.authorization_details_types):
        if name not in details.TYPES:
            yield Problem(f"{path}.authorization_details_types[{i}]", f"use {', '.join(details.TYPES)}")


def _resource(path: str, resource: ResourceEntry) -> Iterator[Problem]:
    yield from _identifier(f"{path}.id", resource.id)
    yield from _name(f"{path}.name", resource.name)
    if not resource_uri.valid(resource.uri):
        yield Problem(
            f"{path}.uri", "an absolute http or https URI without fragment and user information is needed"
        )
    if ANY_TENANT in resource.tenants and len(resource.tenants) > 1:
        yield Problem(f"{path}.tenants", '"*" stands alone')
    if resource.client is not None:
        yield from _credentials(f"{path}.client", resource.client, public=False)
    yield from _token(f"{path}.token", resource.token)
    yield from vault_rules.check(path, resource)
    yield from tool_rules.check(path, resource)
    names = [scope.name for scope in resource.scopes]
    for i, scope in enumerate(resource.scopes):
        at = f"{path}.scopes[{i}]"
        yield from _scope_name(f"{at}.name", scope.name)
        yield from _known(f"{at}.implies", scope.implies, names)
        yield from _sign_in(at, scope)
    for i, tool in enumerate(resource.tools):
        at = f"{path}.tools[{i}]"
        yield from _known(f"{at}.scopes", tool.scopes, names)
    yield from _unique((f"{path}.scopes[{i}].name", name) for i, name in enumerate(names))
    yield from _unique((f"{path}.tools[{i}].name", tool.name) for i, tool in enumerate(resource.tools))


def _token(path: str, token: TokenEntry) -> Iterator[Problem]:
    yield from _lifetime(f"{path}.lifetime", token.lifetime)
    if token.alg not in SIGNING_ALGORITHMS:
        yield Problem(f"{path}.alg", f"use one of {', '.join(SIGNING_ALGORITHMS)}")


def _sign_in(path: str, scope: ScopeEntry) -> Iterator[Problem]:
    if scope.acr is not None and scope.acr not in acr.ORDER:
        yield Problem(f"{path}.acr", f"use one of {', '.join(acr.ORDER)}")
    if scope.max_age is not None and not SHORTEST_AGE <= scope.max_age <= LONGEST_AGE:
        yield Problem(f"{path}.max_age", f"a sign-in counts for {SHORTEST_AGE} to {LONGEST_AGE} seconds")


def _scope_name(path: str, name: str) -> Iterator[Problem]:
    if name in (OFFLINE_ACCESS, *IDENTITY_SCOPES):
        yield Problem(path, f"{name} is the server's, never a resource's")
        return
    try:
        single = scope_rules.parse(name) == (name,)
    except ValueError:
        single = False
    if not single:
        yield Problem(path, "a scope is one word of printable ASCII without quotes and backslash")


def _known(path: str, asked: Iterable[str], names: list[str]) -> Iterator[Problem]:
    for name in asked:
        if name not in names:
            yield Problem(path, f"{name} is not a scope of this resource")


def _edge(path: str, edge: EdgeEntry) -> Iterator[Problem]:
    if edge.source == edge.target:
        yield Problem(f"{path}.to", "an edge leads to another resource")
    yield from _lifetime(f"{path}.lifetime", edge.lifetime)
    if not 1 <= edge.depth <= DEEPEST:
        yield Problem(f"{path}.depth", f"a chain has 1 to {DEEPEST} actors")
    if edge.purpose is not None and not (
        0 < len(edge.purpose) <= LONGEST_NAME and edge.purpose.isprintable()
    ):
        yield Problem(f"{path}.purpose", f"a purpose is 1 to {LONGEST_NAME} printable characters")


def _lifetime(path: str, seconds: int) -> Iterator[Problem]:
    if not 1 <= seconds <= LONGEST_LIFETIME:
        yield Problem(path, f"a token lives 1 to {LONGEST_LIFETIME} seconds")


def _json(path: str, value: object) -> Iterator[Problem]:
    try:
        jcs.canonical(value)
    except ValueError as error:
        yield Problem(path, f"only what JSON can say is kept: {error}")
