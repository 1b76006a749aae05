"""RFC 9728 sections 3.1 and 3.3: whether an address says that a tenant speaks for it, and what that allows; pure."""

from collections.abc import Mapping

from broker.estate.claims.model import Claim, State
from broker.estate.model import Resource
from broker.protocol import strict_json
from broker.protocol.errors import Reason
from wellknown import paths

FRESH = 86400.0
"""Seconds for which a proof is good for registering something, and after which the address is looked at again."""


def proof_url(uri: str) -> str:
    """Where a resource describes itself: at its own origin, and nowhere else."""
    return paths.inserted(uri, paths.PROTECTED_RESOURCE)


def heard(uri: str, issuer: str, status: int, headers: Mapping[str, str], body: bytes) -> Reason | None:
    """Why an answer is no proof, or None: it is the metadata of `uri` and names the issuer, which is a tenant's own.

    The root door would not do: it stands for every tenant that it serves.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if status != 200 or kind != "application/json":
        return Reason.PROOF_MISSING
    try:
        document = strict_json.parse(body)
    except ValueError:
        return Reason.PROOF_MISSING
    if not isinstance(document, dict) or document.get("resource") != uri:
        return Reason.PROOF_OF_ANOTHER
    servers = document.get("authorization_servers")
    if not isinstance(servers, list) or issuer not in servers:
        return Reason.PROOF_WITHOUT_DOOR
    return None


def settled(before: State, why: Reason | None) -> State:
    """The state after an address was heard. A root admin's word stands whatever it says."""
    if before is State.VOUCHED:
        return before
    if why is None:
        return State.PROVED
    return State.LAPSED if before in (State.PROVED, State.LAPSED) else before


def stands(claim: Claim | None, now: float) -> bool:
    """Whether the tenant may register the address now, or change what it registered there."""
    if claim is None:
        return False
    proved = claim.state is State.PROVED and claim.checked_at is not None and now < claim.checked_at + FRESH
    return proved or claim.state is State.VOUCHED


def owns(tenant: str, resource: Resource, claim: Claim | None) -> bool:
    """Whether a resource is this tenant's alone: registered under its claim, and serving nobody else since."""
    return claim is not None and claim.resource_id == resource.id and resource.tenants == (tenant,)


def unfit(
    tenant: str, resource: Resource, known: Resource | None, claim: Claim | None, now: float, *, alone: bool
) -> str | None:
    """Why a tenant's admin may not register `resource`, in plain words; None where they may.

    `known`: what has that id so far, its own only where its claim says so. `alone`: the tenant has a door to itself.
    """
    if claim is None or not stands(claim, now):
        return f"{resource.uri} is not proved: claim it, let it name your door, and prove it"
    if known is not None and not owns(tenant, known, claim):
        return f"there is a resource {resource.id} already, and it is not this tenant's"
    if resource.tenants != (tenant,):
        return f"a tenant registers for itself: tenants must be [{tenant}]"
    if resource.default and not alone:
        return "what is the default at the root door is the server's to say"
    return None
