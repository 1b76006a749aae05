"""What `broker doctor` says of trusted issuers and recipients of assertions; nothing where there are none."""

from broker.admin import trusted_doctor
from broker.admin.doctor import Finding
from broker.estate.estate import STAMP, Estate
from broker.identity.federation.trusted.issuers import Issuers
from broker.identity.federation.trusted.keys import IssuerKeys
from broker.runtime.egress import Egress
from broker.runtime.world import World
from broker.settings import Settings


def findings(settings: Settings, world: World, estate: Estate) -> list[Finding]:
    """Asks each issuer for its keys, as a token of it would make us."""
    known = Issuers(world, STAMP).known()
    if not known.issuers and not known.recipients:
        return []
    egress = Egress(
        settings.development and settings.loopback, world.clock, authorities=settings.egress_authorities
    )
    keys = IssuerKeys(egress, world.clock)
    try:
        seen = [trusted_doctor.look(entry, keys) for entry in known.issuers.values()]
    finally:
        egress.close()
    return trusted_doctor.findings(seen, known, estate.doors)
