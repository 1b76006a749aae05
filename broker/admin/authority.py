"""RFC 9728 section 3.3: with whose authority the estate changes: the server's, or that of one tenant's own admins."""

from collections.abc import Mapping

from broker.admin import own
from broker.admin.model import Change, EstateProblems, Holdings, Problem, Wanted
from broker.admin.rooms import Rooms
from broker.estate.claims.claims import Refused
from broker.estate.claims.model import Claim
from broker.runtime.database import Transaction


def claims_for(
    rooms: Rooms,
    tx: Transaction,
    changes: list[Change],
    wanted: Wanted,
    current: Holdings,
    tenant: str | None,
) -> Mapping[str, Claim]:
    """The tenant's claims of the addresses that change; EstateProblems for all that is not its own to change.

    `tenant` None: the estate file and whoever administers the server need none.
    """
    if tenant is None:
        return {}
    if tenant not in current.tenants:
        raise EstateProblems([Problem("", f"there is no tenant {tenant}")])
    try:
        found = {uri: rooms.claims.at(tx, tenant, uri) for uri in own.addresses(changes, wanted, current)}
    except Refused as refused:
        raise EstateProblems([Problem("", f"refused: {refused.reason.value}")]) from None
    claims = {uri: claim for uri, claim in found.items() if claim is not None}
    wrong = list(own.check(changes, wanted, current, tenant, claims, rooms.world.clock.now()))
    if wrong:
        raise EstateProblems(wrong)
    return claims


def registered(
    rooms: Rooms, tx: Transaction, change: Change, wanted: Wanted, claims: Mapping[str, Claim]
) -> None:
    """What a tenant's admins registered is the tenant's from now on."""
    resource = wanted.holdings.resources.get(change.id) if change.noun == "resource" else None
    if resource is not None and resource.uri in claims:
        rooms.claims.registered(tx, claims[resource.uri], resource.id)
