"""From the nouns of the rooms to the shape of the estate file: what is exported and compared."""

import json
from collections.abc import Mapping

from broker.admin import (
    budget_entry,
    moments,
    policy_entry,
    provider_entry,
    tool_entry,
    trusted_entry,
    vault_entry,
)
from broker.admin.model import Held, key_of
from broker.control.budgets.model import Budget
from broker.control.policy.model import PolicyText
from broker.estate.model import ANY_TENANT, Edge, Resource, ResourceKind, Scope
from broker.identity.clients.model import Client, Registered
from broker.identity.federation.model import Provider
from broker.identity.federation.trusted.model import Recipient, TrustedIssuer, Workload
from broker.identity.tenants.model import Tenant, Trust
from broker.identity.users.model import User
from broker.protocol import certificate_subject
from broker.protocol.names import CLIENT_SECRET_BASIC, NONE

Shape = dict[str, object]
_OWN_CLIENT = (
    "client_id",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "jwks",
    "jwks_uri",
    "dpop_bound_access_tokens",
    "authorization_details_types",
    "introspection_signed_response_alg",
    "tls_client_certificate_bound_access_tokens",
    *certificate_subject.MEMBERS,
)
_UNBOUND = {"dpop_bound_access_tokens": False, "tls_client_certificate_bound_access_tokens": False}
_PUSHED_ONLY = "require_pushed_authorization_requests"
_SAID: Mapping[str, tuple[str, ...]] = {
    "tenant": (),
    "idp": (),
    "issuer": (),
    "workload": ("claims",),
    "recipient": ("resources", "clients"),
    "user": (),
    "client": ("scopes", "resources", "grant_types"),
    "resource": ("tenants",),
    "edge": ("scopes",),
    "policy": ("text",),
    "budget": (),
}


def full(held: Held) -> Shape:
    """Every member, defaults too."""
    match held:
        case Tenant():
            return {
                "id": held.id,
                "name": held.name,
                "root_door": held.root_door,
                "client_documents": _trust(held.documents),
                "require_pushed": held.pushed_only,
                "device": held.device,
                "identity_providers": list(held.providers),
            }
        case Provider():
            return provider_entry.full(held)
        case TrustedIssuer() | Workload() | Recipient():
            return trusted_entry.full(held)
        case User():
            memberships = [
                {"id": item.tenant, "roles": list(item.roles), "attributes": item.attributes}
                for item in held.memberships
            ]
            return {"id": held.id, "name": held.name, "email": held.email, "tenants": memberships}
        case Client():
            return _client(held)
        case Resource():
            return _resource(held)
        case Edge():
            return _edge(held)
        case PolicyText():
            return policy_entry.full(held)
        case Budget():
            return budget_entry.full(held)


def brief(held: Held, own_client: Client | None = None) -> Shape:
    """What the file needs to say: without members that have their default. `own_client` is a resource's."""
    shape = full(held)
    match held:
        case Provider():
            shape = provider_entry.brief(held)
        case TrustedIssuer() | Workload() | Recipient():
            shape = trusted_entry.brief(held)
        case Resource():
            _brief_resource(held, shape, own_client)
        case User():
            shape["tenants"] = [
                {name: value for name, value in item.items() if value not in ([], {})}
                for item in _items(shape["tenants"])
            ]
        case Client():
            usual = NONE if held.public else CLIENT_SECRET_BASIC
            _drop(shape, {"token_endpoint_auth_method": usual, **_UNBOUND, _PUSHED_ONLY: False})
            _drop(shape, {"backchannel_logout_session_required": False})
        case Edge():
            _drop(shape, {"lifetime": 120, "depth": 3, "consent": "user", "release": False})
        case Tenant():
            _drop(shape, {"device": False, "require_pushed": False})
    _drop(shape, {"name": shape.get("id", shape.get("client_id")), "root_door": True})
    # Where an empty list is not the default: a client's cap on everything, a resource of no tenant.
    keep = _SAID[key_of(held)[0]]
    return {
        name: value
        for name, value in shape.items()
        if value is not None and (value not in ([], {}) or name in keep)
    }


def _drop(shape: Shape, defaults: Mapping[str, object]) -> None:
    for name, default in defaults.items():
        if shape.get(name) == default:
            shape.pop(name, None)


def _items(value: object) -> list[Shape]:
    return [dict(item) for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _trust(trust: Trust) -> Shape | None:
    """None where it is the default."""
    shape: Shape = {} if trust.allow is None else {"allow": list(trust.allow)}
    if trust.deny:
        shape["deny"] = list(trust.deny)
    return shape or None


def _client(client: Client) -> Shape:
    shape: Shape = {
        "client_id": client.client_id,
        "name": client.name,
        "type": "public" if client.public else "confidential",
        "tenant": client.tenant,
        "token_endpoint_auth_method": client.method,
        "token_endpoint_auth_signing_alg": client.assertion_alg,
        "jwks": None if client.jwks is None else json.loads(client.jwks),
        "jwks_uri": client.jwks_uri,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "scopes": None if client.scopes is None else list(client.scopes),
        "resources": None if client.resources is None else list(client.resources),
        "dpop_bound_access_tokens": client.dpop_bound,
        "authorization_details_types": list(client.authorization_details_types),
        "tls_client_certificate_bound_access_tokens": client.certificate_bound,
        _PUSHED_ONLY: client.pushed_only,
        "id_token_signed_response_alg": client.id_token_alg,
        "introspection_signed_response_alg": client.introspection_alg,
        "post_logout_redirect_uris": list(client.post_logout_redirect_uris),
        "backchannel_logout_uri": client.logout_uri,
        "backchannel_logout_session_required": client.logout_needs_sid,
    }
    if client.certificate is not None:
        shape[client.certificate.member] = client.certificate.value
    return (
        shape if client.registered is Registered.ADMIN else {**shape, "registered": client.registered.value}
    )


def _resource(resource: Resource) -> Shape:
    return {
        "id": resource.id,
        "kind": resource.kind.value,
        "uri": resource.uri,
        "name": resource.name,
        "tenants": "*" if resource.tenants == (ANY_TENANT,) else list(resource.tenants),
        "default": resource.default,
        "client": {"client_id": resource.client_id} if resource.client_id else None,
        "token": {"lifetime": resource.lifetime, "alg": resource.algorithm},
        "scopes": [_scope(scope) for scope in resource.scopes],
        "tools": [tool_entry.tool_shape(tool) for tool in resource.tools],
        "limits": tool_entry.limits_shape(resource.limits),
        "isolation": tool_entry.isolation_shape(resource.isolation),
        "record": resource.record.value,
        "stage": resource.stage.value,
        "publish": resource.publish,
        "provider": resource.vault.provider if resource.vault else None,
        "vault": vault_entry.full(resource.vault),
    }


def _scope(scope: Scope) -> Shape:
    return {
        "name": scope.name,
        "description": scope.description,
        "default": scope.default,
        "implies": list(scope.implies),
        "acr": scope.acr,
        "max_age": scope.max_age,
    }


def _brief_resource(resource: Resource, shape: Shape, own_client: Client | None) -> None:
    scopes = _items(shape["scopes"])
    for scope in scopes:
        usual_scope = {"description": scope["name"], "default": False, "implies": []}
        _drop(scope, usual_scope | {"acr": None, "max_age": None})
    shape["scopes"] = scopes
    if own_client is not None:
        own = {
            name: value
            for name, value in full(own_client).items()
            if name in _OWN_CLIENT and value not in (None, [])
        }
        _drop(own, {"token_endpoint_auth_method": CLIENT_SECRET_BASIC, **_UNBOUND})
        shape["client"] = own
    published = resource.kind is ResourceKind.MCP
    usual = {
        "default": False,
        "token": {"lifetime": 300, "alg": "ES256"},
        "stage": "full",
        "record": "each",
        "publish": published,
    }
    _drop(shape, usual)


def _edge(edge: Edge) -> Shape:
    return {
        "from": edge.source,
        "to": edge.target,
        "scopes": {own: list(given) for own, given in sorted(edge.scopes.items())},
        "lifetime": edge.lifetime,
        "depth": edge.depth,
        "consent": edge.consent.value,
        "purpose": edge.purpose,
        "expires": moments.written(edge.expires_at),
        "release": edge.release,
    }
