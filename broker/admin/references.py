"""What the objects of an estate say about each other, judged on the outcome; pure."""

from collections.abc import Iterable, Iterator

from broker.admin import budget_rules, provider_rules, trusted_references, vault_rules
from broker.admin.model import Holdings, Problem, Wanted
from broker.estate.model import ANY_TENANT, Edge, Resource
from broker.identity.clients.model import Client, Registered
from broker.protocol import resource as resource_uri
from broker.protocol.names import IDENTITY_SCOPES, OFFLINE_ACCESS

_SERVER_SCOPES = (OFFLINE_ACCESS, *IDENTITY_SCOPES)


def check(after: Holdings, wanted: Wanted, before: Holdings) -> list[Problem]:
    """Everything that does not fit together in `after`; `wanted` says where in the file an object stands."""
    return list(_check(after, wanted, before))


def _check(after: Holdings, wanted: Wanted, before: Holdings) -> Iterator[Problem]:
    tenants, users, clients = after.tenants, after.users, after.clients
    resources = after.resources
    for tenant in tenants.values():
        path = wanted.path(("tenant", tenant.id))
        yield from provider_rules.accepted(path, tenant, after.providers)
    for provider in after.providers.values():
        path = wanted.path(("idp", provider.id))
        yield from provider_rules.fits(path, provider, before.providers.get(provider.id), tenants)
    yield from trusted_references.check(after, wanted, before)
    for user in users.values():
        path = wanted.path(("user", user.id))
        if user.id in clients:
            yield Problem(
                f"{path}.id", f"{user.id} is a client already: users and clients share one namespace"
            )
        for i, membership in enumerate(user.memberships):
            yield from _tenant(f"{path}.tenants[{i}].id", membership.tenant, tenants)
    for client in clients.values():
        if client.registered is Registered.ADMIN:
            yield from _client(wanted.path(("client", client.client_id)), client, tenants, resources)
    for client in wanted.holdings.clients.values():
        known = before.clients.get(client.client_id)
        if known is not None and known.registered is Registered.DYNAMIC:
            path = wanted.path(("client", client.client_id))
            yield Problem(f"{path}.client_id", f"{client.client_id} registered itself: choose another id")
    owners: dict[str, str] = {}
    uris: dict[str, str] = {}
    for resource in resources.values():
        path = wanted.path(("resource", resource.id))
        yield from _resource(path, resource, tenants, clients, owners)
        yield from vault_rules.stays(path, resource, before.resources.get(resource.id))
        uri = resource_uri.folded(resource.uri)
        if uri in uris and not _same_file(wanted, resource.id, uris[uri]):
            yield Problem(f"{path}.uri", f"{resource.uri} is the URI of resource {uris[uri]}")
        uris.setdefault(uri, resource.id)
    yield from _defaults(resources.values(), wanted)
    yield from budget_rules.fits(after, wanted)
    for name, edge in after.edges.items():
        yield from _edge(wanted.path(("edge", name)), edge, resources)


def _same_file(wanted: Wanted, one: str, other: str) -> bool:
    """Both stand in the file, where `rules` says it with better paths."""
    return ("resource", one) in wanted.paths and ("resource", other) in wanted.paths


def _tenant(path: str, tenant: str, tenants: Iterable[str]) -> Iterator[Problem]:
    if tenant not in tenants:
        yield Problem(path, f"there is no tenant {tenant}")


def _client(
    path: str, client: Client, tenants: Iterable[str], resources: dict[str, Resource]
) -> Iterator[Problem]:
    if client.tenant is not None:
        yield from _tenant(f"{path}.tenant", client.tenant, tenants)
    for name in client.resources or ():
        if name not in resources:
            yield Problem(f"{path}.resources", f"there is no resource {name}")
    asked = resources if client.resources is None else client.resources
    offered = {name for which in asked if which in resources for name in resources[which].scope_names}
    for name in client.scopes or ():
        if name not in offered and name not in _SERVER_SCOPES:
            yield Problem(
                f"{path}.scopes", f"{name} is not a scope of any resource that this client may ask for"
            )


def _resource(
    path: str, resource: Resource, tenants: Iterable[str], clients: dict[str, Client], owners: dict[str, str]
) -> Iterator[Problem]:
    for name in resource.tenants:
        if name != ANY_TENANT:
            yield from _tenant(f"{path}.tenants", name, tenants)
    if resource.client_id is None:
        return
    own = clients.get(resource.client_id)
    if own is None:
        yield Problem(
            f"{path}.client.client_id", f"{resource.client_id} is the resource's own client: it stays with it"
        )
    elif own.registered is Registered.ADMIN:
        yield Problem(f"{path}.client.client_id", f"{resource.client_id} is a client of its own already")
    elif resource.client_id in owners:
        text = f"{resource.client_id} is the identity of resource {owners[resource.client_id]}"
        yield Problem(f"{path}.client.client_id", text)
    owners.setdefault(resource.client_id, resource.id)


def _defaults(resources: Iterable[Resource], wanted: Wanted) -> Iterator[Problem]:
    """At most one default where two could be meant."""
    marked: list[Resource] = []
    for resource in resources:
        if not resource.default:
            continue
        for other in marked:
            everywhere = ANY_TENANT in (*resource.tenants, *other.tenants)
            if everywhere or set(resource.tenants) & set(other.tenants):
                path = wanted.path(("resource", resource.id))
                yield Problem(f"{path}.default", f"{other.id} is the default for the same tenant")
        marked.append(resource)


def _edge(path: str, edge: Edge, resources: dict[str, Resource]) -> Iterator[Problem]:
    source, target = resources.get(edge.source), resources.get(edge.target)
    if source is None:
        yield Problem(f"{path}.from", f"there is no resource {edge.source}")
    if target is None:
        yield Problem(f"{path}.to", f"there is no resource {edge.target}")
    if edge.release and target is not None and target.kind != "vault":
        yield Problem(f"{path}.release", f"{edge.target} is no vault: there is nothing to release")
    for own, given in edge.scopes.items():
        if source is not None and own not in source.scope_names:
            yield Problem(f"{path}.scopes", f"{own} is not a scope of {edge.source}")
        for name in given:
            if target is not None and name not in target.scope_names:
                yield Problem(f"{path}.scopes.{own}", f"{name} is not a scope of {edge.target}")
