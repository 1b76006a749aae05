"""Trusted issuers, workloads and recipients in the estate file (docs/identity-assertions.md), and back."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from broker.admin import provider_entry
from broker.admin.provider_entry import ClaimsEntry, WorthEntry
from broker.identity.clients import keys
from broker.identity.federation.model import ALGORITHMS, Accounts, Provider, Worth
from broker.identity.federation.trusted.document import Entry
from broker.identity.federation.trusted.model import (
    LIFETIME,
    LONGEST,
    Bearer,
    Place,
    Reading,
    Recipient,
    TrustedIssuer,
    Use,
    Workload,
)

Shape = dict[str, object]


def _texts(value: object) -> object:
    return (
        {name: [item] if isinstance(item, str) else item for name, item in value.items()}
        if isinstance(value, dict)
        else value
    )


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class ReadingEntry(_Entry):
    """`scope`, `client`: claims by name or path; `scopes`: what the issuer's are here; `client_ids`: whose count."""

    scope: str = "scope"
    client: str = "client_id"
    scopes: dict[str, list[str]] | None = None
    client_ids: list[str] | None = None


class IssuerEntry(_Entry):
    """Without `jwks` and `jwks_uri` the keys are found by the issuer's metadata."""

    id: str
    issuer: str
    tenant: str | None = None
    tenants: list[str] | None = None
    trusted_for: list[Literal["id_jag", "workload", "subject_tokens"]]
    algorithms: list[str] = list(ALGORITHMS)
    jwks: dict[str, object] | None = None
    jwks_uri: str | None = None
    upstream_tenants: list[str] = []
    max_lifetime: int = LONGEST
    reusable: bool = False
    accounts: Literal["linked", "create"] = "linked"
    claims: ClaimsEntry = ClaimsEntry()
    mfa: WorthEntry = WorthEntry()
    subject_tokens: ReadingEntry = ReadingEntry()


class WorkloadEntry(_Entry):
    """`claims`: a claim by name or path, and its value, or one of several."""

    id: str
    tenant: str | None = None
    issuer: str
    client_id: str
    claims: Annotated[dict[str, list[str]], BeforeValidator(_texts)]


class PlaceEntry(_Entry):
    uri: str
    scopes: list[str]


class BearerEntry(_Entry):
    """`as`: the client's id at that server, where it has another one there."""

    client_id: str
    known_as: str | None = Field(default=None, alias="as")
    scopes: list[str] | None = None


class RecipientEntry(_Entry):
    id: str
    issuer: str
    tenant: str | None = None
    tenants: list[str] | None = None
    resources: list[PlaceEntry]
    clients: list[BearerEntry]
    acr: str | None = None
    max_age: int | None = None
    lifetime: int = LIFETIME


def issuer(entry: IssuerEntry) -> TrustedIssuer:
    return TrustedIssuer(
        id=entry.id,
        issuer=entry.issuer,
        tenant=entry.tenant,
        tenants=_tenants(entry.tenant, entry.tenants),
        uses=tuple(Use(use) for use in entry.trusted_for),
        algorithms=tuple(entry.algorithms),
        jwks=None if entry.jwks is None else keys.text_of(entry.jwks),
        jwks_uri=entry.jwks_uri,
        upstream_tenants=tuple(entry.upstream_tenants),
        longest=entry.max_lifetime,
        reusable=entry.reusable,
        accounts=Accounts(entry.accounts),
        mapping=provider_entry.claims_of(entry.claims),
        mfa=Worth(tuple(entry.mfa.acr), tuple(entry.mfa.amr)),
        reading=_reading(entry.subject_tokens),
    )


def _reading(entry: ReadingEntry) -> Reading:
    return Reading(
        entry.scope,
        entry.client,
        None if entry.scopes is None else {theirs: tuple(ours) for theirs, ours in entry.scopes.items()},
        None if entry.client_ids is None else tuple(entry.client_ids),
    )


def workload(entry: WorkloadEntry) -> Workload:
    claims = {name: tuple(values) for name, values in entry.claims.items()}
    return Workload(entry.id, entry.tenant, entry.issuer, entry.client_id, claims)


def recipient(entry: RecipientEntry) -> Recipient:
    return Recipient(
        id=entry.id,
        issuer=entry.issuer,
        tenant=entry.tenant,
        tenants=_tenants(entry.tenant, entry.tenants),
        places=tuple(Place(place.uri, tuple(place.scopes)) for place in entry.resources),
        bearers=tuple(
            Bearer(
                one.client_id,
                one.known_as or one.client_id,
                None if one.scopes is None else tuple(one.scopes),
            )
            for one in entry.clients
        ),
        acr=entry.acr,
        max_age=entry.max_age,
        lifetime=entry.lifetime,
    )


def full(entry: Entry) -> Shape:
    """Every member, defaults too."""
    match entry:
        case TrustedIssuer():
            said = provider_entry.full(Provider(entry.id, "", "", "", mapping=entry.mapping, mfa=entry.mfa))
            return {
                "id": entry.id,
                "issuer": entry.issuer,
                "tenant": entry.tenant,
                "tenants": list(entry.tenants),
                "trusted_for": [use.value for use in entry.uses],
                "algorithms": list(entry.algorithms),
                "jwks": None if entry.jwks is None else json.loads(entry.jwks),
                "jwks_uri": entry.jwks_uri,
                "upstream_tenants": list(entry.upstream_tenants),
                "max_lifetime": entry.longest,
                "reusable": entry.reusable,
                "accounts": entry.accounts.value,
                "claims": said["claims"],
                "mfa": said["mfa"],
                "subject_tokens": _read(entry.reading),
            }
        case Workload():
            return {
                "id": entry.id,
                "tenant": entry.tenant,
                "issuer": entry.issuer,
                "client_id": entry.client_id,
                "claims": {name: list(values) for name, values in entry.claims.items()},
            }
        case Recipient():
            return _recipient(entry)


def brief(entry: Entry) -> Shape:
    """Without members that have their default."""
    shape = full(entry)
    if isinstance(entry, TrustedIssuer):
        brief = provider_entry.brief(Provider(entry.id, "", "", "", mapping=entry.mapping, mfa=entry.mfa))
        _drop(shape, _issuer_defaults())
        for name in ("claims", "mfa"):
            shape.pop(name, None)
            if brief.get(name):
                shape[name] = brief[name]
        usual, reading = _read(Reading()), _read(entry.reading)
        shape["subject_tokens"] = {name: said for name, said in reading.items() if said != usual[name]}
        _drop(shape, {"subject_tokens": {}})
    if isinstance(entry, Recipient):
        _drop(shape, {"lifetime": LIFETIME})
        shape["clients"] = [
            {name: value for name, value in one.items() if value is not None and (name, value) != same}
            for one in _items(shape["clients"])
            for same in [("as", one["client_id"])]
        ]
    if entry.tenant is not None:
        shape.pop("tenants", None)
    return shape


def _issuer_defaults() -> Shape:
    return {
        "algorithms": list(ALGORITHMS),
        "max_lifetime": LONGEST,
        "reusable": False,
        "accounts": Accounts.LINKED.value,
    }


def _read(reading: Reading) -> Shape:
    return {
        "scope": reading.scope,
        "client": reading.client,
        "scopes": None
        if reading.scopes is None
        else {theirs: list(ours) for theirs, ours in reading.scopes.items()},
        "client_ids": None if reading.clients is None else list(reading.clients),
    }


def _recipient(entry: Recipient) -> Shape:
    return {
        "id": entry.id,
        "issuer": entry.issuer,
        "tenant": entry.tenant,
        "tenants": list(entry.tenants),
        "resources": [{"uri": place.uri, "scopes": list(place.scopes)} for place in entry.places],
        "clients": [
            {
                "client_id": one.client_id,
                "as": one.known_as,
                "scopes": None if one.scopes is None else list(one.scopes),
            }
            for one in entry.bearers
        ],
        "acr": entry.acr,
        "max_age": entry.max_age,
        "lifetime": entry.lifetime,
    }


def _tenants(tenant: str | None, tenants: list[str] | None) -> tuple[str, ...]:
    """A tenant's own entry is for that tenant, without saying so."""
    return tuple(tenants or ()) if tenant is None else tuple(tenants or (tenant,))


def _drop(shape: Shape, defaults: Mapping[str, object]) -> None:
    for name, default in defaults.items():
        if shape.get(name) == default:
            shape.pop(name, None)


def _items(value: object) -> list[Shape]:
    return [dict(item) for item in value if isinstance(item, dict)] if isinstance(value, list) else []
