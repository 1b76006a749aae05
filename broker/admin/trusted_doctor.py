"""Diagnosis of trusted issuers and recipients: whether their word can be checked, and whether anybody uses it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broker.admin.doctor import Finding, checked, fail, listed, warn
from broker.identity.federation.trusted import rules
from broker.identity.federation.trusted.issuers import Known
from broker.identity.federation.trusted.keys import IssuerKeys
from broker.identity.federation.trusted.model import TrustedIssuer, Use
from broker.identity.federation.upstream import Unavailable
from broker.identity.tenants.doors import Doors
from broker.protocol import jwk
from broker.protocol.redirect_uri import is_loopback


@dataclass(frozen=True, slots=True)
class Seen:
    """An issuer as it was found. `trouble`: why its tokens cannot be believed."""

    entry: TrustedIssuer
    trouble: str = ""


def look(entry: TrustedIssuer, keys: IssuerKeys) -> Seen:
    """Ask for its keys, as a token of it would make us."""
    try:
        found = keys.of(entry)
    except Unavailable as error:
        return Seen(entry, str(error))
    usable = any(key.alg in entry.algorithms for alg in entry.algorithms for key in jwk.usable(found, alg))
    return Seen(entry, "" if usable else "none of its keys is for one of its algorithms")


def findings(seen: Sequence[Seen], known: Known, doors: Doors) -> list[Finding]:
    return [
        *checked("issuer.keys", "The keys of every trusted issuer can be had.", _keys(seen)),
        *checked("issuer.used", "Every trusted issuer is trusted for something that is used.", _used(known)),
        *checked(
            "issuer.others",
            "Trusted issuers and recipients are others than this server.",
            _ours(known, doors),
        ),
    ]


def _keys(seen: Sequence[Seen]) -> Iterator[Finding]:
    for one in seen:
        if one.trouble:
            text = f"Nothing that {one.entry.id} says can be believed now: {one.trouble}."
            fix = f"Compare its `issuer` {one.entry.issuer}, `jwks_uri` and `algorithms` with what it publishes."
            yield fail("issuer.keys", text, fix)
        elif is_loopback(one.entry.issuer):
            text = f"{one.entry.id} is on this machine: {one.entry.issuer}."
            yield warn(
                "issuer.keys", text, "Outside of development, name an issuer that is reached over https."
            )


def _used(known: Known) -> Iterator[Finding]:
    named = {workload.issuer for workload in known.workloads.values()}
    idle = [
        entry.id
        for entry in known.issuers.values()
        if entry.uses == (Use.WORKLOAD,) and entry.id not in named
    ]
    if idle:
        text = f"No workload of {listed(idle)} is any client."
        yield warn("issuer.used", text, "Write one into `workloads`, or delete the issuer.")


def _ours(known: Known, doors: Doors) -> Iterator[Finding]:
    named = [(entry.id, entry.issuer) for entry in known.issuers.values()]
    named += [(entry.id, entry.issuer) for entry in known.recipients.values()]
    ours = [entry_id for entry_id, issuer in named if rules.ours(issuer, doors)]
    if ours:
        text = f"{listed(ours)} is a door of this server: what it says of itself counts for nothing."
        yield fail("issuer.others", text, "Delete it.")
