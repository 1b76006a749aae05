"""Diagnosis of identity providers: whether people can sign in there, and whether what they say leads anywhere."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from broker.admin import provider_rules
from broker.admin.doctor import Finding, checked, fail, listed, warn
from broker.identity.federation import rules
from broker.identity.federation.model import Provider
from broker.identity.federation.upstream import Unavailable, Upstream
from broker.identity.tenants.model import Tenant
from broker.identity.users.credentials.model import PRIVILEGED
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
        *mappings([seen.provider for seen in found], tenants),
    ]


def mappings(providers: Sequence[Provider], tenants: Mapping[str, Tenant]) -> list[Finding]:
    """What can be said of mappings without claims."""

    def wrong() -> Iterator[Finding]:
        for provider in providers:
            yield from _mapping(provider, tenants)

    return checked("idp.mapping", "Every mapping of claims leads to what there is.", wrong())


def _mapping(provider: Provider, tenants: Mapping[str, Tenant]) -> Iterator[Finding]:
    fix = "Correct its `claims` in the estate file and apply it."
    problems = list(provider_rules.fits(provider.id, provider, None, tenants))
    if problems:
        yield fail("idp.mapping", f"{'; '.join(str(problem) for problem in problems)}.", fix)
    outcomes = [(rule, role) for rule in provider.mapping.roles for role in provider_rules.outcomes(rule)]
    given = [role for rule, role in outcomes if rule.always is not None and role in PRIVILEGED]
    if given:
        text = f"{provider.id} makes everybody {listed(given)}."
        yield warn("idp.mapping", text, "Map such a role from values of a claim.")
    near = [role for _, role in outcomes if role not in PRIVILEGED and role.strip().casefold() in PRIVILEGED]
    if near:
        text = (
            f"{provider.id} maps to {listed(near)}, which is another role than {near[0].strip().casefold()}."
        )
        yield warn("idp.mapping", text, fix)


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
