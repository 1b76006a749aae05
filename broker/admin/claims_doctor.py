"""Diagnosis of a mapping: what a set of claims would come to at a provider, without anybody signing in."""

from collections.abc import Mapping

from broker.admin.doctor import Finding, Level, fail
from broker.identity.federation import rules
from broker.identity.federation.model import Accounts, Identity, Mapped, Place, Provider
from broker.identity.tenants.model import Tenant

Claims = Mapping[str, object]
Tenants = Mapping[str, Tenant]


def weighed(provider: Provider, claims: Claims, tenants: Tenants) -> Finding:
    """Whether a sign-in with these claims would be let in, and to what it would come."""
    mapped = rules.mapped(provider, claims, tenants)
    refusal, fix = _refusal(provider, claims, mapped)
    if refusal:
        return fail("idp.claims", f"{provider.id} would sign nobody in with these claims: {refusal}.", fix)
    places = "; ".join(_place(place) for place in mapped.places) or "in the tenants that it has"
    acr, amr = rules.strength(provider, claims)
    text = f"{_account(provider, claims, mapped)}, {places}; worth {acr} by {', '.join(amr)}."
    return Finding("idp.claims", Level.OK, text)


def told(provider: Provider, claims: Claims, tenants: Tenants) -> dict[str, object]:
    """The same as members, whether they would be let in or not."""
    mapped = rules.mapped(provider, claims, tenants)
    acr, amr = rules.strength(provider, claims)
    return {
        "provider": provider.id,
        "issuer": rules.issuer_of(provider, claims),
        "subject": rules.subject_of(claims),
        "user_id": _ids(provider, claims, mapped),
        "name": mapped.name,
        "email": mapped.email,
        "tenants": [
            {
                "id": place.tenant,
                "roles": None if place.roles is None else list(place.roles),
                "attributes": dict(place.attributes),
            }
            for place in mapped.places
        ],
        "acr": acr,
        "amr": list(amr),
    }


def _refusal(provider: Provider, claims: Claims, mapped: Mapped) -> tuple[str, str]:
    """Why these claims sign nobody in, and what to do about it; empty where they do."""
    issuer, stated = rules.issuer_of(provider, claims), claims.get("iss")
    if issuer is None:
        return "their `tid` is none of the directories allowed", "Add it to `entra.tenants`, or test another."
    if stated is not None and stated != issuer:
        return f"their `iss` is not {issuer}", "Test claims of this provider, or correct its `issuer`."
    if rules.subject_of(claims) is None:
        return "they have no `sub`, by which accounts are linked", "Test the claims of a whole id_token."
    needed = provider.mapping.tenants or provider.tenant or provider.accounts is Accounts.CREATE
    if needed and not mapped.places:
        fix = "Correct its `claims.tenants`, and `identity_providers` of the tenants that they name."
        return "they lead into no tenant", fix
    return "", ""


def _ids(provider: Provider, claims: Claims, mapped: Mapped) -> list[str]:
    """What a new account would be called, best first."""
    subject, (acr, amr) = rules.subject_of(claims), rules.strength(provider, claims)
    issuer = rules.issuer_of(provider, claims) or provider.issuer
    identity = Identity(issuer, subject or "", claims, acr, amr, None)
    return list(rules.new_ids(provider, identity, mapped)) if subject else []


def _account(provider: Provider, claims: Claims, mapped: Mapped) -> str:
    linked = f"The account linked to {rules.subject_of(claims)}"
    if provider.accounts is Accounts.LINKED:
        return linked
    return f"{linked}, or a new one ({' or '.join(_ids(provider, claims, mapped))})"


def _place(place: Place) -> str:
    if place.roles is None:
        named = "with the roles that it has"
    else:
        named = f"as {', '.join(place.roles)}" if place.roles else "without a role"
    more = "".join(f", {name} {value}" for name, value in place.attributes.items())
    return f"in {place.tenant} {named}{more}"
