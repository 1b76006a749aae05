"""RFC 6749 section 4.4, RFC 9068 section 2.2: a client's own work, without a user."""

import hashlib
from dataclasses import dataclass

from broker.denials.model import Kind, Target
from broker.estate import rules as estate_rules
from broker.estate.calls import PARAMETER
from broker.estate.model import Resource
from broker.protocol import scope as scope_rules
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import CLIENT_CREDENTIALS
from broker.runtime.database import Transaction
from broker.runtime.entropy import Entropy
from broker.tokens import calls, consented
from broker.tokens.model import Authority, TokenRequest


@dataclass(frozen=True, slots=True)
class _Verified:
    resource: Resource
    tenant: str
    scopes: tuple[str, ...]


class ClientCredentials:
    name = CLIENT_CREDENTIALS
    parameters = frozenset({"scope", "resource", "authorization_details"})
    public_clients = False

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy

    def verify(self, request: TokenRequest) -> _Verified:
        resource = consented.resource_asked(request) or _only_resource(request)
        if resource.door is not None or not resource.asked_by(request.client.resources):
            raise OAuthError(
                "invalid_target", "The client may not ask for this resource.", Reason.RESOURCE_NOT_ALLOWED
            )
        return _Verified(resource, _tenant(request, resource), _scopes(request, resource))

    def redeem(self, tx: Transaction, request: TokenRequest, verified: object) -> Authority:
        assert isinstance(verified, _Verified)
        details, scopes = calls.narrowed(request, verified.resource, (), verified.scopes)
        return Authority(
            subject=request.client.client_id,
            tenant=verified.tenant,
            resource=verified.resource,
            scopes=scopes,
            details=details,
            grant_id=grant_id(request.client.client_id, verified.tenant),
            txn=self._entropy.identifier("txn", request.now),
            issuer=request.door.issuer,
            client=request.client,
            confirmation=request.confirmation,
            latest_expiry=request.now + verified.resource.lifetime,
            user=False,
            targets=(Target(Kind.GRANT, grant_id(request.client.client_id, verified.tenant)),),
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
        asked = scope_rules.parse(request.parameters.get("scope"))
    except ValueError:
        raise OAuthError("invalid_scope", "The scope is malformed.", Reason.SCOPE_UNKNOWN) from None
    cap = request.client.scopes
    offered = [name for name in estate_rules.offered(resource) if cap is None or name in cap]
    if any(name not in offered for name in asked):
        raise OAuthError("invalid_scope", "The client may not ask for that scope.", Reason.SCOPE_WIDENED)
    named = cap is not None or request.parameters.get(PARAMETER) is not None
    usual = offered if named else estate_rules.defaults(resource)
    scopes = asked or tuple(usual)
    if not scopes:
        raise OAuthError("invalid_scope", "Nothing is left to allow.", Reason.SCOPE_EMPTY)
    return scopes
