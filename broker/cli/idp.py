"""Identity providers for the doctor; `broker idp test`: what claims would come to, without anybody signing in."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import click

from broker.admin import claims_doctor, provider_doctor
from broker.admin.doctor import Finding, fail
from broker.cli.local import Failed, NotFound, Place, local, opened
from broker.cli.output import one, output
from broker.estate.estate import STAMP
from broker.identity.federation.model import Provider
from broker.identity.federation.providers import Providers
from broker.identity.federation.upstream import Upstream
from broker.identity.tenants.model import Tenant
from broker.runtime.egress import Egress
from broker.runtime.world import World
from broker.settings import Settings
from keys.sealed import KeyEncryptionKey, SealError


@click.command("test")
@click.argument("identifier", metavar="ID")
@click.option(
    "--claims",
    type=click.File("r", encoding="utf-8"),
    required=True,
    help="A JSON object with the claims of an id_token; - is standard input.",
)
@local
@output
def test_claims(
    identifier: str, claims: IO[str], data: Path | None, database: str | None, output: str
) -> None:
    """What account, tenants, roles and strength these claims would give; nothing is changed."""
    one(claims_doctor.told(*read(Place(data, database), identifier, claims)), output)


def read(
    place: Place, identifier: str, claims: IO[str]
) -> tuple[Provider, dict[str, object], Mapping[str, Tenant]]:
    """The provider, the claims in a file, and the tenants. Failed, NotFound."""
    try:
        found = json.load(claims)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Failed("The claims are not a JSON object.")
    with opened(place) as broker:
        provider = broker.providers.known().get(identifier)
        if provider is None:
            raise NotFound(f"There is no identity provider {identifier}.")
        return provider, found, broker.estate().doors.tenants


def examined(
    settings: Settings, world: World, kek: KeyEncryptionKey, tenants: Mapping[str, Tenant]
) -> list[Finding]:
    """Asks each identity provider as a sign-in would; nothing is said where there is none."""
    known = Providers(world, kek, STAMP)
    egress = Egress(
        settings.development and settings.loopback, world.clock, authorities=settings.egress_authorities
    )
    upstream = Upstream(egress, world.clock)
    try:
        secrets = world.database.read(
            lambda tx: {provider: known.secret(tx, found) for provider, found in known.known().items()}
        )
    except SealError as error:
        fix = "Restore the sealing key that this database was made with, or apply the secrets anew."
        return [fail("idp.secrets", f"The secret of a provider does not open: {error}.", fix)]
    seen = [
        provider_doctor.look(provider, secrets.get(provider.id) is not None, upstream)
        for provider in known.known().values()
    ]
    egress.close()
    return provider_doctor.findings(seen, tenants) if seen else []
