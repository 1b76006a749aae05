"""RFC 6749 section 4.4: a client's own work: which resource, tenant and scopes it may ask for, and its authority."""

import hashlib
from dataclasses import dataclass

from broker.denials.model import Kind, Target
from broker.estate import rules as estate_rules
from broker.estate.calls import PARAMETER
from broker.estate.model import Resource
from broker.protocol import scope as scope_rules
from broker.protocol.errors import OAuthError, Reason
from broker.runtime.entropy import Entropy
from broker.tokens import calls, consented
from broker.tokens.caps import Handles
from broker.tokens.model import Authority, TokenRequest


@dataclass(frozen=True, slots=True)
class OwnWork:
    """What the client asks for, and may; `handles` say whose it is, before it is redeemed."""

    resource: Resource
    tenant: str
    scopes: tuple[str, ...]
    handles: Handles


def asked(request: TokenRequest) -> OwnWork:
    """OAuthError when the client may not."""
    resource = consented.resource_asked(request) or _only_resource(request)
    if resource.door is not None or not resource.asked_by(request.client.resources):
        raise OAuthError(
            "invalid_target", "The client may not ask for this resource.", Reason.RESOURCE_NOT_ALLOWED
        )
    tenant = _tenant(request, resource)
    handles = Handles(grant_id(request.client.client_id, tenant))
    return OwnWork(resource, tenant, _scopes(request, resource), handles)


def authority(
    request: TokenRequest,
    work: OwnWork,
    entropy: Entropy,
    vouched_by: str | None = None,
    parent_jti: str | None = None,
) -> Authority:
    """`vouched_by`: the issuer whose word alone says that this is the client; `parent_jti`: the token that says it."""
    details, scopes = calls.narrowed(request, work.resource, (), work.scopes)
    client_id = request.client.client_id
    return Authority(
        subject=client_id,
        tenant=work.tenant,
        resource=work.resource,
        scopes=scopes,
        details=details,
        grant_id=grant_id(client_id, work.tenant),
        txn=entropy.identifier("txn", request.now),
        issuer=request.door.issuer,
        client=request.client,
        confirmation=request.confirmation,
        latest_expiry=request.now + work.resource.lifetime,
        user=False,
        targets=(Target(Kind.GRANT, grant_id(client_id, work.tenant)),),
        parent_jti=parent_jti,
        vouched_by=vouched_by,
    )


def grant_id(client_id: str, tenant: str) -> str:
    """One fixed handle for a client's own work in a tenant."""
    return "own_" + hashlib.sha256(f"{tenant}\0{client_id}".encode()).hexdigest()[:26]


def _only_resource(request: TokenRequest) -> Resource:
    """The client's only resource; a default is for people."""
    found = request.estate.only_of(request.client)
    if found is None:
        raise OAuthError("invalid_target", "Name the resource.", Reason.RESOURCE_MISSING)
    return found


def _tenant(request: TokenRequest, resource: Resource) -> str:
    reached = request.estate.tenants_of(resource, request.door)
    own = request.client.tenant
    tenants = [tenant for tenant in reached if own in (None, tenant)]
    if not tenants:
        raise OAuthError("invalid_target", "The resource is not known here.", Reason.TENANT_NOT_SERVED)
    if len(tenants) > 1:
        raise OAuthError(
            "invalid_target",
            "The resource serves several tenants: use the tenant's own door.",
            Reason.TENANT_UNKNOWN,
        )
    return tenants[0]


def _scopes(request: TokenRequest, resource: Resource) -> tuple[str, ...]:
    try:
        wanted = scope_rules.parse(request.parameters.get("scope"))
    except ValueError:
        raise OAuthError("invalid_scope", "The scope is malformed.", Reason.SCOPE_UNKNOWN) from None
    cap = request.client.scopes
    offered = [name for name in estate_rules.offered(resource) if cap is None or name in cap]
    if any(name not in offered for name in wanted):
        raise OAuthError("invalid_scope", "The client may not ask for that scope.", Reason.SCOPE_WIDENED)
    named = cap is not None or request.parameters.get(PARAMETER) is not None
    usual = offered if named else estate_rules.defaults(resource)
    scopes = wanted or tuple(usual)
    if not scopes:
        raise OAuthError("invalid_scope", "Nothing is left to allow.", Reason.SCOPE_EMPTY)
    return scopes
