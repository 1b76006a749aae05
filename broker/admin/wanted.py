"""From the shape of the estate file to the nouns of the rooms; total, so that rules report on everything."""

import unicodedata
from collections.abc import Callable
from urllib.parse import urlsplit

from broker.admin import budget_entry, policy_entry, provider_entry, tool_entry, trusted_entry, vault_entry
from broker.admin.estate_file import (
    ClientEntry,
    Credentials,
    EdgeEntry,
    EstateFile,
    ResourceEntry,
    TenantEntry,
    UserEntry,
)
from broker.admin.model import Held, Holdings, Key, Wanted, key_of
from broker.admin.provider_entry import ProviderEntry
from broker.admin.vault_entry import VaultEntry
from broker.estate.model import (
    Edge,
    EdgeConsent,
    Recording,
    Resource,
    ResourceKind,
    Scope,
    Stage,
)
from broker.identity.clients import keys
from broker.identity.clients.model import Client, Registered, Subject
from broker.identity.tenants.model import Tenant, Trust
from broker.identity.users.model import Membership, User
from broker.protocol import certificate_subject, redirect_uri
from broker.protocol.names import CLIENT_SECRET_BASIC, NONE, TOKEN_EXCHANGE


def wanted(
    file: EstateFile, secret_of: Callable[[Credentials | ProviderEntry | VaultEntry], str | None]
) -> Wanted:
    """What `file` asks for; `secret_of` looks a client's secret up, in the file or beside it."""
    held: dict[Key, Held] = {}
    paths: dict[Key, str] = {}
    secrets: dict[str, str] = {}
    passwords: dict[str, str] = {}
    provider_secrets: dict[str, str] = {}
    vault_secrets: dict[str, str] = {}

    def keep(found: Held, path: str) -> None:
        key = key_of(found)
        held[key], paths[key] = found, path

    def keep_secret(entry: Credentials) -> None:
        if (secret := secret_of(entry)) is not None:
            secrets[entry.client_id] = secret

    for i, tenant in enumerate(file.tenants):
        keep(_tenant(tenant), f"tenants[{i}]")
    for i, provider in enumerate(file.identity_providers):
        keep(provider_entry.noun(provider), f"identity_providers[{i}]")
        if (secret := secret_of(provider)) is not None:
            provider_secrets[provider.id] = secret
    for i, issuer in enumerate(file.trusted_issuers):
        keep(trusted_entry.issuer(issuer), f"trusted_issuers[{i}]")
    for i, person in enumerate(file.users):
        keep(_user(person), f"users[{i}]")
        if person.password is not None:
            passwords[user_id(person.id)] = person.password.get_secret_value()
    for i, client in enumerate(file.clients):
        keep(_client(client), f"clients[{i}]")
        keep_secret(client)
    for i, workload in enumerate(file.workloads):
        keep(trusted_entry.workload(workload), f"workloads[{i}]")
    for i, recipient in enumerate(file.assertion_recipients):
        keep(trusted_entry.recipient(recipient), f"assertion_recipients[{i}]")
    for i, resource in enumerate(file.resources):
        keep(_resource(resource), f"resources[{i}]")
        if resource.client is not None:
            keep(_own_client(resource, resource.client), f"resources[{i}].client")
            keep_secret(resource.client)
        if resource.vault is not None and (secret := secret_of(resource.vault)) is not None:
            vault_secrets[resource.id] = secret
    for i, edge in enumerate(file.edges):
        keep(_edge(edge), f"edges[{i}]")
    for i, policy in enumerate(file.policies):
        keep(policy_entry.noun(policy), f"policies[{i}]")
    for i, budget in enumerate(file.budgets):
        keep(budget_entry.noun(budget), f"budgets[{i}]")
    return Wanted(Holdings(held), secrets, passwords, provider_secrets, vault_secrets, paths)


def user_id(written: str) -> str:
    """The one form of a user id, the same that sign-in folds to."""
    return unicodedata.normalize("NFKC", written).strip().casefold()


def application_type(redirect_uris: list[str]) -> str:
    """RFC 7591: native when any redirect URI is on loopback or of a private scheme."""
    native = any(
        redirect_uri.is_loopback(uri) or _scheme(uri) not in ("https", "http") for uri in redirect_uris
    )
    return "native" if native else "web"


def _scheme(uri: str) -> str:
    try:
        return urlsplit(uri).scheme
    except ValueError:
        return "https"


def _tenant(entry: TenantEntry) -> Tenant:
    allow, deny = entry.client_documents.allow, entry.client_documents.deny
    trust = Trust(None if allow is None else tuple(allow), tuple(deny))
    return Tenant(
        entry.id,
        entry.name or entry.id,
        entry.root_door,
        trust,
        pushed_only=entry.require_pushed,
        device=entry.device,
        providers=tuple(entry.identity_providers),
    )


def _user(entry: UserEntry) -> User:
    identifier = user_id(entry.id)
    memberships = sorted(
        (Membership(item.id, tuple(item.roles), dict(item.attributes)) for item in entry.tenants),
        key=lambda membership: membership.tenant,
    )
    return User(identifier, entry.name or identifier, entry.email, tuple(memberships))


def _client(entry: ClientEntry) -> Client:
    usual = NONE if entry.type == "public" else CLIENT_SECRET_BASIC
    return Client(
        client_id=entry.client_id,
        name=entry.name or entry.client_id,
        tenant=entry.tenant,
        method=entry.token_endpoint_auth_method or usual,
        registered=Registered.ADMIN,
        redirect_uris=tuple(entry.redirect_uris),
        grant_types=tuple(entry.grant_types),
        scopes=None if entry.scopes is None else tuple(entry.scopes),
        resources=None if entry.resources is None else tuple(entry.resources),
        application_type=application_type(entry.redirect_uris),
        jwks=_jwks(entry),
        jwks_uri=entry.jwks_uri,
        assertion_alg=entry.token_endpoint_auth_signing_alg,
        dpop_bound=entry.dpop_bound_access_tokens,
        authorization_details_types=tuple(entry.authorization_details_types),
        certificate=_certificate(entry),
        certificate_bound=entry.tls_client_certificate_bound_access_tokens,
        introspection_alg=entry.introspection_signed_response_alg,
        pushed_only=entry.require_pushed_authorization_requests,
        id_token_alg=entry.id_token_signed_response_alg,
        post_logout_redirect_uris=tuple(entry.post_logout_redirect_uris),
        logout_uri=entry.backchannel_logout_uri,
        logout_needs_sid=entry.backchannel_logout_session_required,
    )


def _own_client(resource: ResourceEntry, entry: Credentials) -> Client:
    only = resource.tenants[0] if len(resource.tenants) == 1 and resource.tenants != ["*"] else None
    return Client(
        client_id=entry.client_id,
        name=resource.name or resource.id,
        tenant=only,
        method=entry.token_endpoint_auth_method or CLIENT_SECRET_BASIC,
        registered=Registered.RESOURCE,
        grant_types=(TOKEN_EXCHANGE,),
        jwks=_jwks(entry),
        jwks_uri=entry.jwks_uri,
        assertion_alg=entry.token_endpoint_auth_signing_alg,
        dpop_bound=entry.dpop_bound_access_tokens,
        authorization_details_types=tuple(entry.authorization_details_types),
        certificate=_certificate(entry),
        certificate_bound=entry.tls_client_certificate_bound_access_tokens,
        introspection_alg=entry.introspection_signed_response_alg,
    )


def _certificate(entry: Credentials) -> Subject | None:
    return next(
        (
            Subject(member, value)
            for member in certificate_subject.MEMBERS
            if (value := getattr(entry, member)) is not None
        ),
        None,
    )


def _jwks(entry: Credentials) -> str | None:
    return None if entry.jwks is None else keys.text_of(entry.jwks)


def _resource(entry: ResourceEntry) -> Resource:
    kind = ResourceKind(entry.kind)
    return Resource(
        id=entry.id,
        kind=kind,
        uri=entry.uri,
        name=entry.name or entry.id,
        tenants=tuple(entry.tenants),
        default=entry.default,
        client_id=entry.client.client_id if entry.client else None,
        lifetime=entry.token.lifetime,
        algorithm=entry.token.alg,
        scopes=tuple(
            Scope(
                scope.name,
                scope.name if scope.description is None else scope.description,
                scope.default,
                tuple(scope.implies),
                scope.acr,
                scope.max_age,
            )
            for scope in entry.scopes
        ),
        tools=tuple(tool_entry.tool(tool) for tool in entry.tools),
        stage=Stage(entry.stage),
        publish=kind is ResourceKind.MCP if entry.publish is None else entry.publish,
        limits=tool_entry.limits(entry.limits),
        isolation=tool_entry.isolation(entry.isolation),
        record=Recording(entry.record),
        vault=vault_entry.noun(entry.provider, entry.vault) if kind is ResourceKind.VAULT else None,
    )


def _edge(entry: EdgeEntry) -> Edge:
    scopes = {own: tuple(given) for own, given in entry.scopes.items()}
    return Edge(
        entry.source,
        entry.target,
        scopes,
        entry.lifetime,
        entry.depth,
        EdgeConsent(entry.consent),
        purpose=entry.purpose,
        expires_at=entry.expires,
        release=entry.release,
    )
