"""What issuers, workloads and recipients say of tenants, clients and each other, judged on the outcome; pure."""

from collections.abc import Iterable, Iterator

from broker.admin.model import Holdings, Problem, Wanted
from broker.identity.federation.trusted.model import Recipient, TrustedIssuer, Use, Workload
from broker.protocol.names import CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE, WORKLOAD_JWT


def check(after: Holdings, wanted: Wanted, before: Holdings) -> Iterator[Problem]:
    tenants = after.tenants
    for entry in after.issuers.values():
        path = wanted.path(("issuer", entry.id))
        known = before.issuers.get(entry.id)
        if known is not None and known.issuer != entry.issuer:
            yield Problem(f"{path}.issuer", "an entry keeps its issuer: make another one")
        yield from _stays(path, entry, known)
        yield from _served(path, entry, tenants)
        yield from _alone(path, entry, after.issuers.values())
    for workload in after.workloads.values():
        path = wanted.path(("workload", workload.id))
        yield from _stays(path, workload, before.workloads.get(workload.id))
        yield from _workload(path, workload, after)
    for recipient in after.recipients.values():
        path = wanted.path(("recipient", recipient.id))
        yield from _stays(path, recipient, before.recipients.get(recipient.id))
        yield from _served(path, recipient, tenants)
        yield from _bearers(path, recipient, after)


def _stays(
    path: str,
    entry: TrustedIssuer | Workload | Recipient,
    known: TrustedIssuer | Workload | Recipient | None,
) -> Iterator[Problem]:
    if known is not None and known.tenant != entry.tenant:
        yield Problem(f"{path}.tenant", "an entry stays where it is: make another one")


def _served(path: str, entry: TrustedIssuer | Recipient, tenants: Iterable[str]) -> Iterator[Problem]:
    for name in dict.fromkeys((*entry.tenants, *([entry.tenant] if entry.tenant else ()))):
        if name not in tenants:
            yield Problem(f"{path}.tenants", f"there is no tenant {name}")


def _alone(path: str, entry: TrustedIssuer, entries: Iterable[TrustedIssuer]) -> Iterator[Problem]:
    """What an issuer is trusted for stands in one place, for each of those who keep it."""
    for other in entries:
        same = other.issuer == entry.issuer and other.tenant == entry.tenant and other.id < entry.id
        if same and set(other.uses) & set(entry.uses):
            yield Problem(f"{path}.issuer", f"{other.id} says already what this issuer is trusted for")


def _workload(path: str, workload: Workload, after: Holdings) -> Iterator[Problem]:
    entry = after.issuers.get(workload.issuer)
    client = after.clients.get(workload.client_id)
    if entry is None or Use.WORKLOAD not in entry.uses:
        yield Problem(f"{path}.issuer", f"there is no trusted issuer {workload.issuer} for workloads")
    elif workload.tenant is not None and entry.tenant not in (None, workload.tenant):
        yield Problem(f"{path}.issuer", f"{workload.issuer} is of another tenant")
    if client is None:
        yield Problem(f"{path}.client_id", f"there is no client {workload.client_id}")
        return
    if client.method != WORKLOAD_JWT:
        text = f"write {WORKLOAD_JWT} as the token_endpoint_auth_method of {client.client_id}"
        yield Problem(f"{path}.client_id", text)
    if not {JWT_BEARER, CLIENT_CREDENTIALS, TOKEN_EXCHANGE} & set(client.grant_types):
        yield Problem(f"{path}.client_id", f"{client.client_id} needs {JWT_BEARER} among its grant_types")
    fits = workload.tenant in (None, client.tenant)
    if client.tenant is None or not fits or (entry is not None and client.tenant not in entry.tenants):
        text = f"{client.client_id} has to be of one tenant, for which the issuer counts"
        yield Problem(f"{path}.client_id", text)


def _bearers(path: str, recipient: Recipient, after: Holdings) -> Iterator[Problem]:
    for i, bearer in enumerate(recipient.bearers):
        client = after.clients.get(bearer.client_id)
        at = f"{path}.clients[{i}].client_id"
        if client is None:
            yield Problem(at, f"there is no client {bearer.client_id}")
        elif TOKEN_EXCHANGE not in client.grant_types:
            yield Problem(at, f"{bearer.client_id} needs {TOKEN_EXCHANGE} among its grant_types")
