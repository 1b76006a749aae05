"""Diagnosis of the estate: what is allowed and still likely a mistake; pure.

What may not be at all is refused when it is applied (`rules`, `references`).
"""

from collections.abc import Iterable, Iterator, Sequence

from broker.admin import tool_lint
from broker.admin.doctor import Finding, Level, checked, fail, listed, warn
from broker.estate import rules
from broker.estate.claims.model import Claim, State
from broker.estate.estate import Estate
from broker.estate.model import Resource, ResourceKind
from broker.identity.clients.model import Client
from broker.protocol.names import CLIENT_SECRET_BASIC, CLIENT_SECRET_POST
from broker.protocol.redirect_uri import is_loopback

_SECRETS = (CLIENT_SECRET_BASIC, CLIENT_SECRET_POST)
_SKEW = 60


def needs_secret(client: Client) -> bool:
    """Whether the client proves itself with a secret."""
    return client.method in _SECRETS


def estate(found: Estate, clients: Sequence[Client], retire_after: int, now: float) -> list[Finding]:
    """`retire_after`: seconds that a key stays published after it signed last."""
    resources = list(found.resources.values())
    return [
        *checked("estate.root-door", "The root door serves at most one tenant.", _root_door(found)),
        *checked("estate.defaults", "No door has two default resources.", _defaults(found)),
        *checked("estate.edges", "Every edge begins at a resource with a client.", _edges(found, now)),
        *checked("estate.vaults", "Every vault can be released whole.", _vaults(found)),
        *_offline(resources),
        *checked("estate.uris", "Resources are reached over https or on loopback.", _uris(resources)),
        *checked("estate.scopes", "Each scope covers one impact class.", _scopes(resources)),
        *checked("estate.tools", "Every tool needs a scope.", _tools(resources)),
        *tool_lint.findings(resources),
        *checked("estate.lifetimes", "Keys outlive what they signed.", _lifetimes(resources, retire_after)),
        *checked("clients.redirects", "Redirects are https, loopback or an app's.", _redirects(clients)),
    ]


def credentials(users: Sequence[str], clients: Sequence[str]) -> list[Finding]:
    """Users without a way in, confidential clients without a secret."""

    def people() -> Iterator[Finding]:
        if users:
            text = f"Without a password, a passkey or a link that can be used: {listed(users)}."
            fix = "They cannot sign in: `broker user set-password ID`, or delete them."
            yield warn("users.passwords", text, fix)

    def secretless() -> Iterator[Finding]:
        if clients:
            text = f"Confidential and without a secret: {listed(clients)}."
            yield warn(
                "clients.secrets", text, "`broker client rotate-secret ID` makes one and shows it once."
            )

    return [
        *checked("users.passwords", "Every user has a way to sign in.", people()),
        *checked("clients.secrets", "Every confidential client has a secret.", secretless()),
    ]


def lapsed(claims: Iterable[Claim]) -> list[Finding]:
    """Addresses that were proved, have something registered, and say something else by now."""

    def wrong() -> Iterator[Finding]:
        for claim in claims:
            if claim.state is State.LAPSED and claim.resource_id is not None:
                text = f"{claim.uri} no longer names the door of {claim.tenant}, which registered it."
                fix = f"`broker resource prove {claim.id}`; or `broker switch throw resource {claim.resource_id}`."
                yield warn("estate.claims", text, fix)

    return checked("estate.claims", "What tenants registered, their addresses still say.", wrong())


def certificates(clients: Sequence[Client], *, trusted: bool, seen: bool) -> list[Finding]:
    """`trusted`: authorities of clients are named; `seen`: clients' certificates are expected to arrive at all."""
    known = [client.client_id for client in clients if client.certificate is not None]
    bound = [client.client_id for client in clients if client.certificate_bound]

    def wrong() -> Iterator[Finding]:
        if known and not trusted:
            text = (
                f"No authority is trusted for the certificates of {listed(known)}: they cannot authenticate."
            )
            yield fail("clients.certificates", text, "Name a file in `client_certificate_authorities`.")
        if bound and not seen:
            text = f"No certificate is looked for, but the tokens of {listed(bound)} are bound to one."
            fix = "Set `client_certificate_header` to what your proxy sends (docs/clients.md)."
            yield warn("clients.certificates", text, fix)

    return checked("clients.certificates", "Clients with certificates can use them.", wrong())


def _root_door(found: Estate) -> Iterator[Finding]:
    served = [tenant.id for tenant in found.doors.tenants.values() if tenant.root_door]
    if len(served) > 1:
        text = f"Tenants {listed(served)} share the root door: there the tenant claim alone parts them."
        yield warn("estate.root-door", text, "Set `root_door: false`: each of them has a door of its own.")


def _defaults(found: Estate) -> Iterator[Finding]:
    for door in found.doors.all():
        marked = [resource.id for resource in found.at_door(door) if resource.default]
        if len(marked) > 1:
            text = f"At {door.issuer}, {listed(marked)} are all default, so none is."
            yield warn("estate.defaults", text, "Keep `default: true` on one of them.")


def _edges(found: Estate, now: float) -> Iterator[Finding]:
    for edge in found.edges.values():
        source = found.resources.get(edge.source)
        if source is None or edge.target not in found.resources:
            text = f"Edge {edge.source}->{edge.target} leads from or to nothing."
            yield fail("estate.edges", text, f"`broker edge delete {edge.source}->{edge.target}`")
        elif source.client_id is None:
            text = f"Edge {edge.source}->{edge.target}: {edge.source} has no client, so nobody can exchange."
            yield warn("estate.edges", text, f"Give resource {edge.source} a `client`, or delete the edge.")
        elif found.resources[edge.target].kind is ResourceKind.VAULT and not edge.release:
            text = f"Edge {edge.source}->{edge.target} releases nothing: nobody exchanges along it."
            yield warn("estate.edges", text, f"Write `release: true` on edge {edge.source}->{edge.target}.")
        elif edge.ended(now):
            text = f"Edge {edge.source}->{edge.target} has ended: nobody exchanges along it."
            yield warn("estate.edges", text, f"`broker edge delete {edge.source}->{edge.target}`")


def _vaults(found: Estate) -> Iterator[Finding]:
    """A provider's token cannot be narrowed: what an edge never gives keeps it from being released there."""
    for edge in found.edges.values():
        target = found.resources.get(edge.target)
        if target is None or target.vault is None or not edge.release:
            continue
        given = rules.expanded(target, (name for names in edge.scopes.values() for name in names))
        if beyond := [name for name in rules.defaults(target) if name not in given]:
            text = (
                f"Edge {edge.source}->{edge.target} never gives {listed(beyond)}, which people connect with."
            )
            hint = (
                f"Make a resource of its own for what {edge.source} needs, or mark other scopes as default."
            )
            yield warn("estate.vaults", text, hint)


def _offline(resources: Sequence[Resource]) -> Iterator[Finding]:
    found = [r.id for r in resources if r.kind is ResourceKind.DOWNSTREAM and r.client_id is None]
    if found:
        text = f"Without a client, hence verifying offline: {listed(found)}."
        yield Finding("estate.offline", Level.OK, text)


def _uris(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        if resource.uri.lower().startswith("http:") and not is_loopback(resource.uri):
            text = f"Tokens travel to {resource.id} in clear: {resource.uri}."
            yield warn("estate.uris", text, f"Serve {resource.id} over https and change its `uri`.")


def _scopes(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        for scope in resource.scope_names:
            classes = sorted({tool.impact.value for tool in resource.tools if scope in tool.scopes})
            if len(classes) > 1:
                text = f"Scope {scope} of {resource.id} covers {', '.join(classes)}."
                yield warn("estate.scopes", text, "Split it: one scope covers one impact class.")


def _tools(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        free = [tool.name for tool in resource.tools if not tool.scopes]
        if free:
            text = f"Any token for {resource.id} may call {listed(free)}: no scope is named."
            yield warn("estate.tools", text, f"Give these tools of {resource.id} `scopes`.")


def _lifetimes(resources: Sequence[Resource], retire_after: int) -> Iterator[Finding]:
    for resource in resources:
        if resource.lifetime + _SKEW > retire_after:
            text = (
                f"Tokens for {resource.id} live {resource.lifetime} s: a retired key may leave before them."
            )
            yield fail(
                "estate.lifetimes", text, f"Make `key_retire_after` at least {resource.lifetime + _SKEW}."
            )


def _redirects(clients: Sequence[Client]) -> Iterator[Finding]:
    for client in clients:
        for uri in client.redirect_uris if client.public else ():
            if uri.lower().startswith("http:") and not is_loopback(uri):
                text = f"Public client {client.client_id} gets its codes in clear at {uri}."
                yield warn("clients.redirects", text, "Register an https redirect URI instead.")
