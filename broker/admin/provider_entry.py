"""An identity provider in the estate file (docs/federation.md): its members, the noun that they make, and back."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr

from broker.identity.federation.model import ALGORITHMS, SCOPES, Accounts, Claims, Provider, Rule, Worth
from broker.protocol.names import CLIENT_SECRET_BASIC

Shape = dict[str, object]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class RuleEntry(_Entry):
    """From a `claim`, mapped by `values` where they are given; or `always` the same."""

    claim: str | None = None
    values: dict[str, str] | None = None
    always: str | None = None


class ClaimsEntry(_Entry):
    """A text stands for the claim of that name, as it is."""

    id: str | RuleEntry | None = None
    name: str | RuleEntry | None = "name"
    email: str | RuleEntry | None = "email"
    roles: list[RuleEntry] = []
    attributes: dict[str, str | RuleEntry] = {}
    tenants: list[RuleEntry] = []


class WorthEntry(_Entry):
    acr: list[str] = []
    amr: list[str] = []


class EntraEntry(_Entry):
    """`tenants`: the ids of the directories from which people may come; `authority` stands for them in addresses."""

    tenants: list[str]
    authority: Literal["organizations", "common", "consumers"] = "organizations"


class ProviderEntry(_Entry):
    id: str
    name: str | None = None
    issuer: str
    client_id: str
    client_secret: SecretStr | None = None
    client_secret_file: str | None = None
    token_endpoint_auth_method: str = CLIENT_SECRET_BASIC
    tenant: str | None = None
    scopes: list[str] = list(SCOPES)
    algorithms: list[str] = list(ALGORITHMS)
    accounts: Literal["linked", "create"] = "linked"
    claims: ClaimsEntry = ClaimsEntry()
    mfa: WorthEntry = WorthEntry()
    entra: EntraEntry | None = None


def noun(entry: ProviderEntry) -> Provider:
    return Provider(
        id=entry.id,
        name=entry.name or entry.id,
        issuer=entry.issuer,
        client_id=entry.client_id,
        tenant=entry.tenant,
        method=entry.token_endpoint_auth_method,
        scopes=tuple(entry.scopes),
        algorithms=tuple(entry.algorithms),
        accounts=Accounts(entry.accounts),
        mapping=claims_of(entry.claims),
        mfa=Worth(tuple(entry.mfa.acr), tuple(entry.mfa.amr)),
        upstream_tenants=tuple(entry.entra.tenants) if entry.entra else (),
        authority=entry.entra.authority if entry.entra else "organizations",
    )


def claims_of(entry: ClaimsEntry) -> Claims:
    """What claims mean."""
    return Claims(
        _optional(entry.id),
        _optional(entry.name),
        _optional(entry.email),
        tuple(_rule(rule) for rule in entry.roles),
        {name: _rule(rule) for name, rule in entry.attributes.items()},
        tuple(_rule(rule) for rule in entry.tenants),
    )


def full(provider: Provider) -> Shape:
    """Every member but the secret, defaults too."""
    mapping = provider.mapping
    return {
        "id": provider.id,
        "name": provider.name,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "token_endpoint_auth_method": provider.method,
        "tenant": provider.tenant,
        "scopes": list(provider.scopes),
        "algorithms": list(provider.algorithms),
        "accounts": provider.accounts.value,
        "claims": {
            "id": _said(mapping.user_id),
            "name": _said(mapping.name),
            "email": _said(mapping.email),
            "roles": [_whole(rule) for rule in mapping.roles],
            "attributes": {name: _said(rule) for name, rule in mapping.attributes.items()},
            "tenants": [_whole(rule) for rule in mapping.tenants],
        },
        "mfa": {"acr": list(provider.mfa.acr), "amr": list(provider.mfa.amr)},
        "entra": {"tenants": list(provider.upstream_tenants), "authority": provider.authority}
        if provider.templated
        else None,
    }


def brief(provider: Provider) -> Shape:
    """Without members that have their default."""
    shape = full(provider)
    for name, default in full(Provider(provider.id, "", "", "", mapping=_DEFAULT)).items():
        if shape[name] == default:
            shape.pop(name, None)
    claims, usual = full(provider)["claims"], full(Provider("", "", "", "", mapping=_DEFAULT))["claims"]
    assert isinstance(claims, dict) and isinstance(usual, dict)
    if "claims" in shape:
        shape["claims"] = {name: value for name, value in claims.items() if value != usual[name]}
    return {"id": provider.id, **shape}


_DEFAULT = Claims(None, Rule("name"), Rule("email"))


def _rule(entry: str | RuleEntry) -> Rule:
    if isinstance(entry, str):
        return Rule(entry)
    return Rule(entry.claim, entry.values, entry.always)


def _optional(entry: str | RuleEntry | None) -> Rule | None:
    return None if entry is None else _rule(entry)


def _said(rule: Rule | None) -> object:
    if rule is None:
        return None
    return rule.path if rule.values is None and rule.always is None else _whole(rule)


def _whole(rule: Rule) -> Shape:
    members = {
        "claim": rule.path,
        "values": None if rule.values is None else dict(rule.values),
        "always": rule.always,
    }
    return {name: value for name, value in members.items() if value is not None}
