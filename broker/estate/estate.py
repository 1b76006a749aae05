"""The estate as one immutable value: what every request is judged by until its version stamp moves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from broker.estate import rules, userinfo
from broker.estate.model import CHANGING, Edge, Reached, Resource, ResourceKind
from broker.identity.clients.model import Client
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Door
from broker.protocol import resource as resource_uri

STAMP = "estate"


@dataclass(frozen=True, slots=True)
class Estate:
    """Doors, resources and edges, indexed the ways that requests ask for them.

    `resources` are the estate file's. Each door has one more of its own, for /userinfo: no edge leads to it, nothing
    lists it, and only users get tokens for it.
    """

    doors: Doors
    resources: Mapping[str, Resource]
    edges: Mapping[tuple[str, str], Edge]
    _exact: Mapping[str, Resource]
    _folded: Mapping[str, Resource]
    _clients: Mapping[str, Resource]
    _own: Mapping[str, Resource]

    @classmethod
    def of(cls, doors: Doors, resources: Iterable[Resource], edges: Iterable[Edge]) -> "Estate":
        listed = list(resources)
        ours = [resource for resource in listed if resource.vault is None]
        own = {door.issuer: userinfo.resource(doors, door) for door in doors.all()}
        return cls(
            doors,
            {resource.id: resource for resource in listed},
            {(edge.source, edge.target): edge for edge in edges},
            {resource.uri: resource for resource in listed},
            {resource_uri.folded(resource.uri): resource for resource in (*ours, *own.values())},
            {resource.client_id: resource for resource in listed if resource.client_id},
            own,
        )

    def resource(self, resource_id: str, issuer: str) -> Resource | None:
        """The resource of a grant that was given through a door: of the estate file, or the door's own."""
        return self._own.get(issuer) if resource_id == userinfo.PATH else self.resources.get(resource_id)

    def userinfo_at(self, door: Door) -> Resource:
        """What a client gets a token for that asks who the user is, and for nothing else."""
        return self._own[door.issuer]

    def by_uri(self, uri: str) -> Resource | None:
        """Authorization and user grants: scheme and host folded, default port and one trailing slash dropped.

        No token of ours is for a system that is not ours: those are reached along edges alone.
        """
        return self._folded.get(resource_uri.folded(uri)) if resource_uri.valid(uri) else None

    def by_exact_uri(self, uri: str) -> Resource | None:
        return self._exact.get(uri)

    def of_client(self, client_id: str) -> Resource | None:
        """The resource whose own identity this client is."""
        return self._clients.get(client_id)

    def edge(self, source: str, target: str, now: float) -> Edge | None:
        """The way from one resource to another; one that ended is none."""
        edge = self.edges.get((source, target))
        return None if edge is None or edge.ended(now) else edge

    def at_door(self, door: Door) -> list[Resource]:
        """The resources that this door can issue tokens for."""
        return [resource for resource in self.resources.values() if self.tenants_of(resource, door)]

    def only_of(self, client: Client) -> Resource | None:
        """The one resource that the client is for, if it is for one of ours."""
        if client.resources is None or len(client.resources) != 1:
            return None
        found = self.resources.get(client.resources[0])
        return None if found is None or found.vault is not None else found

    def default_at(self, door: Door) -> Resource | None:
        """What users get at this door when nothing is named."""
        marked = [resource for resource in self.at_door(door) if resource.default]
        return marked[0] if len(marked) == 1 else None

    def published_at(self, door: Door) -> list[Resource]:
        """Those that strangers may know of."""
        return [resource for resource in self.at_door(door) if resource.publish]

    def connectable(self, door: Door, tenants: Iterable[str]) -> bool:
        """Whether there is a system that is not ours, at which members of these tenants can connect an account."""
        mine = set(tenants)
        return any(
            resource.kind is ResourceKind.VAULT and not mine.isdisjoint(self.tenants_of(resource, door))
            for resource in self.resources.values()
        )

    def approvable(self, door: Door, tenants: Iterable[str]) -> bool:
        """Whether there is a tool that changes something, and so may have to be approved, in one of these tenants."""
        mine = set(tenants)
        return any(
            not mine.isdisjoint(self.tenants_of(resource, door))
            and any(tool.approval is not None or tool.impact in CHANGING for tool in resource.tools)
            for resource in self.resources.values()
        )

    def tenants_of(self, resource: Resource, door: Door) -> list[str]:
        """The tenants that `resource` serves and `door` reaches."""
        return [
            tenant
            for tenant in self.doors.tenants
            if resource.serves(tenant)
            and self.doors.serves(door, tenant)
            and resource.door in (None, door.issuer)
        ]

    def door_of(self, resource: Resource) -> Door:
        """Where a client of `resource` should go: its tenant's door if it serves exactly one, else the root."""
        if len(resource.tenants) == 1:
            return self.doors.for_tenant(resource.tenants[0]) or self.doors.root
        return self.doors.root

    def reachable(self, resource: Resource, scopes: Iterable[str], tenant: str, now: float) -> list[Reached]:
        """Every edge that leads on with `scopes` in hand, however far, with the scopes usable at its end.

        One system may be reached along several, each with scopes of its own.
        """
        found: dict[tuple[str, str], dict[str, None]] = {}
        waiting = [(resource.id, frozenset(rules.expanded(resource, scopes)))]
        while waiting:
            here, held = waiting.pop()
            for edge in self.edges.values():
                target = self.resources.get(edge.target)
                if edge.source != here or edge.ended(now) or target is None or not target.serves(tenant):
                    continue
                if target.kind is ResourceKind.VAULT and not edge.release:
                    continue
                given = {name: None for own in sorted(held) for name in edge.scopes.get(own, ())}
                known = found.setdefault((edge.source, edge.target), {})
                if given.keys() - known.keys():
                    known.update(given)
                    waiting.append((target.id, frozenset(rules.expanded(target, given))))
        return [
            Reached(self.resources[source], self.resources[target], tuple(names))
            for (source, target), names in sorted(found.items())
            if names
        ]
