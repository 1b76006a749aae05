"""What a tenant's own admins may change of the estate: resources at addresses that it proved, and policies; pure."""

from collections.abc import Iterable, Iterator, Mapping

from broker.admin.model import Change, Holdings, Problem, Wanted
from broker.estate.claims import rules
from broker.estate.claims.model import Claim
from broker.identity.clients.model import Client, Registered


def addresses(changes: Iterable[Change], wanted: Wanted, current: Holdings) -> set[str]:
    """The addresses that these changes are about, before and after."""
    both = (wanted.holdings, current)
    named = (
        held.resources.get(change.id) for change in changes if change.noun == "resource" for held in both
    )
    return {resource.uri for resource in named if resource is not None}


def check(
    changes: Iterable[Change],
    wanted: Wanted,
    current: Holdings,
    tenant: str,
    claims: Mapping[str, Claim],
    now: float,
) -> Iterator[Problem]:
    """Everything in `changes` that is not the tenant's to change. `claims` are its own, by address."""
    alone = not current.tenants[tenant].root_door
    for change in changes:
        path = wanted.path(change.key)
        known = current.resources.get(change.id) if change.noun == "resource" else None
        coming = wanted.holdings.resources.get(change.id) if change.noun == "resource" else None
        if change.noun == "client":
            if not _own_client(change, wanted, current, tenant):
                yield Problem(path, f"{change.id} is not the identity of a resource of this tenant")
        elif change.action == "delete" and known is not None:
            if not rules.owns(tenant, known, claims.get(known.uri)):
                yield Problem(path, f"{change.id} is not this tenant's")
        elif coming is not None:
            wrong = rules.unfit(tenant, coming, known, claims.get(coming.uri), now, alone=alone)
            if wrong is not None:
                yield Problem(path, wrong)
        elif change.key != ("policy", tenant):  # it can only forbid, and only within the tenant
            yield Problem(path, f"only an administrator of the server changes a {change.noun}")


def _own_client(change: Change, wanted: Wanted, current: Holdings, tenant: str) -> bool:
    """The own client of a resource, before and after, and nobody else's at any time."""
    held = (current.clients.get(change.id), wanted.holdings.clients.get(change.id))
    return all(client is None or _of_resource(client, tenant) for client in held)


def _of_resource(client: Client, tenant: str) -> bool:
    return client.registered is Registered.RESOURCE and client.tenant == tenant
