"""Diagnosis of identity providers: whether people can sign in there, and what a set of claims would make of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from broker.admin.doctor import Finding, checked, fail, listed, warn
from broker.identity.federation import rules
from broker.identity.federation.model import Identity, Provider
from broker.identity.federation.upstream import Unavailable, Upstream
from broker.identity.tenants.model import Tenant
from broker.protocol.names import NONE
from broker.protocol.redirect_uri import is_loopback


@dataclass(frozen=True, slots=True)
class Seen:
    """A provider as it was found. `trouble`: why it cannot be used; `signing`: the algorithms that it offers."""

    provider: Provider
    has_secret: bool
    trouble: str = ""
    signing: tuple[str, ...] = ()


def look(provider: Provider, has_secret: bool, upstream: Upstream) -> Seen:
    """Ask the provider for its metadata and keys, as a sign-in would."""
    try:
        metadata = upstream.metadata(provider)
        upstream.keys(metadata)
        return Seen(provider, has_secret, signing=upstream.signing(provider))
    except Unavailable as error:
        return Seen(provider, has_secret, str(error))


def findings(found: Sequence[Seen], tenants: Mapping[str, Tenant]) -> list[Finding]:
    return [
        *checked("idp.metadata", "Every identity provider is what its entry says.", _metadata(found)),
        *checked("idp.algorithms", "Every identity provider signs as configured.", _algorithms(found)),
        *checked("idp.secrets", "Every identity provider has its secret.", _secrets(found)),
        *checked(
            "idp.accepted", "Every identity provider is accepted by a tenant.", _accepted(found, tenants)
        ),
    ]


def told(
    provider: Provider, claims: Mapping[str, object], tenants: Mapping[str, Tenant]
) -> dict[str, object]:
    """What a sign-in with these claims would come to."""
    issuer = rules.issuer_of(provider, claims)
    mapped = rules.mapped(provider, claims, tenants)
    acr, amr = rules.strength(provider, claims)
    subject = str(claims.get("sub", ""))
    identity = Identity(issuer or provider.issuer, subject, claims, acr, amr, None)
    return {
        "provider": provider.id,
        "issuer": issuer,
        "subject": subject or None,
        "user_id": list(rules.new_ids(provider, identity, mapped)) if subject else [],
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


def _metadata(found: Sequence[Seen]) -> Iterator[Finding]:
    for seen in found:
        if seen.trouble:
            text = f"Nobody can sign in with {seen.provider.id} now: {seen.trouble}."
            fix = f"Compare its `issuer` {seen.provider.issuer} with what it publishes, and see that it answers."
            yield fail("idp.metadata", text, fix)
        elif is_loopback(seen.provider.issuer):
            text = f"{seen.provider.id} is on this machine: {seen.provider.issuer}."
            yield warn(
                "idp.metadata", text, "Outside of development, name a provider that is reached over https."
            )


def _algorithms(found: Sequence[Seen]) -> Iterator[Finding]:
    for seen in found:
        if seen.signing and not set(seen.signing) & set(seen.provider.algorithms):
            text = f"{seen.provider.id} offers {listed(seen.signing)}, of which none is configured."
            yield fail(
                "idp.algorithms",
                text,
                "Write one of them into its `algorithms`, if it is one of those known.",
            )


def _secrets(found: Sequence[Seen]) -> Iterator[Finding]:
    for seen in found:
        if seen.provider.method != NONE and not seen.has_secret:
            text = f"{seen.provider.id} has no client secret, and {seen.provider.method} needs one."
            yield fail("idp.secrets", text, "Apply its entry with `client_secret_file`.")


def _accepted(found: Sequence[Seen], tenants: Mapping[str, Tenant]) -> Iterator[Finding]:
    idle = [
        seen.provider.id
        for seen in found
        if not any(rules.accepted(seen.provider, tenant) for tenant in tenants.values())
    ]
    if idle:
        text = f"No tenant accepts {listed(idle)}: a sign-in there leads nowhere."
        yield warn("idp.accepted", text, "Write it into the `identity_providers` of a tenant, or delete it.")
