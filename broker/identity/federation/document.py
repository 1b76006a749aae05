"""RFC 8259: a provider as the text that the store keeps."""

import json
from collections.abc import Mapping
from typing import Any

from broker.identity.federation.model import Accounts, Claims, Provider, Rule, Worth


def written(provider: Provider) -> str:
    """Everything but its id, tenant and secret."""
    kept = {
        "name": provider.name,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "method": provider.method,
        "scopes": provider.scopes,
        "algorithms": provider.algorithms,
        "accounts": provider.accounts.value,
        **said(provider.mapping),
        "mfa": {"acr": provider.mfa.acr, "amr": provider.mfa.amr},
        "upstream_tenants": provider.upstream_tenants,
        "authority": provider.authority,
    }
    return json.dumps(kept, sort_keys=True)


def read(provider_id: str, tenant: str | None, text: str) -> Provider:
    kept = json.loads(text)
    return Provider(
        id=provider_id,
        name=kept["name"],
        issuer=kept["issuer"],
        client_id=kept["client_id"],
        tenant=tenant,
        method=kept["method"],
        scopes=tuple(kept["scopes"]),
        algorithms=tuple(kept["algorithms"]),
        accounts=Accounts(kept["accounts"]),
        mapping=claims(kept),
        mfa=Worth(tuple(kept["mfa"]["acr"]), tuple(kept["mfa"]["amr"])),
        upstream_tenants=tuple(kept["upstream_tenants"]),
        authority=kept["authority"],
    )


def said(mapping: Claims) -> dict[str, object]:
    """The members that say what claims mean."""
    return {
        "user_id": _said(mapping.user_id),
        "full_name": _said(mapping.name),
        "email": _said(mapping.email),
        "roles": [_said(rule) for rule in mapping.roles],
        "attributes": {name: _said(rule) for name, rule in mapping.attributes.items()},
        "tenants": [_said(rule) for rule in mapping.tenants],
    }


def claims(kept: Mapping[str, Any]) -> Claims:
    """What `said` wrote."""
    return Claims(
        _optional(kept["user_id"]),
        _optional(kept["full_name"]),
        _optional(kept["email"]),
        tuple(_rule(item) for item in kept["roles"]),
        {name: _rule(item) for name, item in kept["attributes"].items()},
        tuple(_rule(item) for item in kept["tenants"]),
    )


def _said(rule: Rule | None) -> dict[str, object] | None:
    return None if rule is None else {"path": rule.path, "values": rule.values, "always": rule.always}


def _rule(kept: Mapping[str, Any]) -> Rule:
    return Rule(kept["path"], kept["values"], kept["always"])


def _optional(kept: Mapping[str, Any] | None) -> Rule | None:
    return None if kept is None else _rule(kept)
