"""RFC 8259: trusted issuers, workloads and recipients as the text that the store keeps."""

import json
from collections.abc import Mapping
from typing import Any

from broker.identity.federation import document
from broker.identity.federation.model import Accounts, Worth
from broker.identity.federation.trusted.model import (
    Bearer,
    Place,
    Reading,
    Recipient,
    TrustedIssuer,
    Use,
    Workload,
)

Entry = TrustedIssuer | Workload | Recipient


def written(entry: Entry) -> str:
    """Everything but its id and tenant."""
    match entry:
        case TrustedIssuer():
            kept = _issuer(entry)
        case Workload():
            kept = {"issuer": entry.issuer, "client_id": entry.client_id, "claims": dict(entry.claims)}
        case Recipient():
            kept = _recipient(entry)
    return json.dumps(kept, sort_keys=True)


def issuer(entry_id: str, tenant: str | None, text: str) -> TrustedIssuer:
    kept = json.loads(text)
    return TrustedIssuer(
        id=entry_id,
        issuer=kept["issuer"],
        tenant=tenant,
        tenants=tuple(kept["tenants"]),
        uses=tuple(Use(use) for use in kept["uses"]),
        algorithms=tuple(kept["algorithms"]),
        jwks=kept["jwks"],
        jwks_uri=kept["jwks_uri"],
        upstream_tenants=tuple(kept["upstream_tenants"]),
        longest=kept["longest"],
        reusable=kept["reusable"],
        accounts=Accounts(kept["accounts"]),
        mapping=document.claims(kept["mapping"]),
        mfa=Worth(tuple(kept["mfa"]["acr"]), tuple(kept["mfa"]["amr"])),
        reading=_reading(kept.get("reading")),
    )


def workload(entry_id: str, tenant: str | None, text: str) -> Workload:
    kept = json.loads(text)
    claims = {name: tuple(values) for name, values in kept["claims"].items()}
    return Workload(entry_id, tenant, kept["issuer"], kept["client_id"], claims)


def recipient(entry_id: str, tenant: str | None, text: str) -> Recipient:
    kept = json.loads(text)
    return Recipient(
        id=entry_id,
        issuer=kept["issuer"],
        tenant=tenant,
        tenants=tuple(kept["tenants"]),
        places=tuple(Place(item["uri"], tuple(item["scopes"])) for item in kept["places"]),
        bearers=tuple(_bearer(item) for item in kept["bearers"]),
        acr=kept["acr"],
        max_age=kept["max_age"],
        lifetime=kept["lifetime"],
    )


def _issuer(entry: TrustedIssuer) -> dict[str, object]:
    return {
        "issuer": entry.issuer,
        "tenants": entry.tenants,
        "uses": [use.value for use in entry.uses],
        "algorithms": entry.algorithms,
        "jwks": entry.jwks,
        "jwks_uri": entry.jwks_uri,
        "upstream_tenants": entry.upstream_tenants,
        "longest": entry.longest,
        "reusable": entry.reusable,
        "accounts": entry.accounts.value,
        "mapping": document.said(entry.mapping),
        "mfa": {"acr": entry.mfa.acr, "amr": entry.mfa.amr},
        "reading": {
            "scope": entry.reading.scope,
            "client": entry.reading.client,
            "scopes": entry.reading.scopes if entry.reading.scopes is None else dict(entry.reading.scopes),
            "clients": entry.reading.clients,
        },
    }


def _reading(kept: Mapping[str, Any] | None) -> Reading:
    """Entries that were written before there was one have none."""
    if kept is None:
        return Reading()
    scopes, clients = kept["scopes"], kept["clients"]
    return Reading(
        kept["scope"],
        kept["client"],
        None if scopes is None else {name: tuple(ours) for name, ours in scopes.items()},
        None if clients is None else tuple(clients),
    )


def _recipient(entry: Recipient) -> dict[str, object]:
    return {
        "issuer": entry.issuer,
        "tenants": entry.tenants,
        "places": [{"uri": place.uri, "scopes": place.scopes} for place in entry.places],
        "bearers": [
            {"client_id": one.client_id, "known_as": one.known_as, "scopes": one.scopes}
            for one in entry.bearers
        ],
        "acr": entry.acr,
        "max_age": entry.max_age,
        "lifetime": entry.lifetime,
    }


def _bearer(kept: Mapping[str, Any]) -> Bearer:
    scopes = kept["scopes"]
    return Bearer(kept["client_id"], kept["known_as"], None if scopes is None else tuple(scopes))
