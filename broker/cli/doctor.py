"""`broker doctor`: how this broker is, with a fix for each finding. It changes nothing."""

import json
import stat
import tomllib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import click

from broker import app, schema
from broker.admin import claims_doctor, knobs, lint, policy_lint, provider_doctor
from broker.admin import doctor as rules
from broker.admin.doctor import FileFacts, Finding, Level, fail, warn
from broker.audit import trace as evidence
from broker.audit.model import Outcome
from broker.cli import idp, trusted
from broker.cli.local import Failed, Place, Unhealthy, local, settings_for, sqlite_file
from broker.cli.output import JSON, output, text
from broker.cli.safety import unsafe
from broker.compose import counters
from broker.control.policy import policies
from broker.estate.changes import Changes
from broker.estate.claims import claims
from broker.estate.estate import Estate
from broker.identity.clients.clients import Clients
from broker.identity.federation.links import good_links
from broker.identity.tenants.tenants import Tenants
from broker.identity.users.shut_out import shut_out
from broker.runtime.clock import SystemClock
from broker.runtime.database import Database, Unavailable
from broker.runtime.engines import open_database
from broker.runtime.entropy import SystemEntropy
from broker.runtime.ephemeral.memory import Memory
from broker.runtime.facts import facts
from broker.runtime.snapshot import Snapshots
from broker.runtime.world import World
from broker.settings import Settings
from keys.ring import Keyring
from keys.rotation import RotationPolicy
from keys.sealed import KeyEncryptionKey, SealError

_HOUR = 3600.0
_ALWAYS = "ES256"  # what a door signs its own statements with
_SEVERITY = list(Level)


@click.command("doctor")
@click.option(
    "--provider", metavar="ID", help="Look at this identity provider alone: at its mapping, with --claims."
)
@click.option(
    "--claims",
    type=click.File("r", encoding="utf-8"),
    help="A JSON object with the claims of an id_token; - is standard input.",
)
@local
@output
def doctor(
    provider: str | None, claims: IO[str] | None, data: Path | None, database: str | None, output: str
) -> None:
    """Look at settings, keys, database, clock and estate; exit code 5 when something is unhealthy."""
    if (provider is None) != (claims is None):
        raise click.UsageError("Give --provider and --claims together.")
    place, more = Place(data, database), {}
    if provider is None or claims is None:
        found = examine(place)
    else:
        named, said, tenants = idp.read(place, provider, claims)
        found = [
            *provider_doctor.mappings([named], tenants),
            claims_doctor.weighed(named, said, tenants),
        ]
        more = {"claims": claims_doctor.told(named, said, tenants)}
    worst = max((finding.level for finding in found), key=_SEVERITY.index)
    if output == JSON:
        members = [
            {"id": finding.id, "level": finding.level.value, "what": finding.what, "fix": finding.fix}
            for finding in found
        ]
        answer = {"status": worst.value, "findings": members, **more}
        click.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        for line in _lines(found):
            click.echo(line)
    if worst is Level.FAIL:
        unhealthy = sum(finding.level is Level.FAIL for finding in found)
        raise Unhealthy(f"{unhealthy} of {len(found)} findings must be mended.")


def examine(place: Place) -> list[Finding]:
    """Everything found, in the order looked at; what cannot be looked at is left out, the cause is a finding."""
    try:
        settings = settings_for(place)
    except Failed as error:
        fix = "Correct the names and values in broker.toml and BROKER_*: docs/settings.md lists them."
        return [fail("settings.readable", error.message, fix)]
    return [
        Finding("settings.readable", Level.OK, "The settings can be read and hold nothing unknown."),
        *_start(settings),
        *knobs.settings(settings),
        *rules.files(list(_files(settings))),
        *_looked(settings),
    ]


def _start(settings: Settings) -> list[Finding]:
    """What the server itself would say; what `broker dev` made is not for serving."""
    if settings.development:
        return []
    refusals = [f"`broker serve` refuses: {said}" for said in unsafe(settings, settings.workers)]
    fix = "Do as it says, then look again."
    return rules.checked(
        "settings.start",
        "`broker serve` would start.",
        (fail("settings.start", said, fix) for said in refusals),
    )


def _files(settings: Settings) -> Iterator[FileFacts]:
    path = sqlite_file(settings.database)
    config = Path(str(Settings.model_config.get("toml_file")))
    for file, secret in ((config, _holds_secret(config)), (settings.data, False), (path, False)):
        if (
            file is None
            or not file.exists()
            or (file == path and not path.parent.stat().st_mode & stat.S_IXOTH)
        ):
            continue
        yield FileFacts(file, stat.S_IMODE(file.stat().st_mode), secret)


def _holds_secret(config: Path) -> bool:
    """Whether a settings file has the sealing key, or an address with a password in it."""
    try:
        values = tomllib.loads(config.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return any(
        name == "key_encryption_key" or (name.endswith("_url") and "@" in str(value))
        for name, value in values.items()
    )


def _looked(settings: Settings) -> list[Finding]:
    kek, sealing = _sealing(settings)
    return [*sealing, *_limits(settings, kek), *_database(settings, kek)]


def _limits(settings: Settings, kek: KeyEncryptionKey | None) -> list[Finding]:
    """Nothing when Redis is named and cannot be asked: its keys are made with the sealing key."""
    if settings.redis_url is None:
        return rules.limits(shared=False, answers=True, several=sqlite_file(settings.database) is None)
    if kek is None:
        return []
    try:
        shared = counters(settings, kek)
    except ValueError as error:
        return [fail("limits.redis", f"`redis_url` cannot be used: {error}", "Correct it.")]
    answers = shared.healthy()
    shared.close()
    return rules.limits(shared=True, answers=answers, several=True)


def _database(settings: Settings, kek: KeyEncryptionKey | None) -> list[Finding]:
    path = sqlite_file(settings.database)
    if path is not None and not path.exists():
        said = f"There is no database at {path}."
        return [fail("database.engine", said, "`broker init` or `broker migrate` makes one.")]
    try:
        database = open_database(settings.database)
    except ValueError as error:
        return [fail("database.engine", str(error), "Correct `database_url`.")]
    try:
        return _inside(settings, database, kek)
    except Unavailable as error:
        fix = "Start the database, or correct `database_url`; its own log says more."
        return [fail("database.engine", f"The database does not answer ({error}).", fix)]
    finally:
        database.close()


def _sealing(settings: Settings) -> tuple[KeyEncryptionKey | None, list[Finding]]:
    """The sealing key, and how it is kept."""
    name = "keys.sealing"
    try:
        kek = app.sealing_key(settings)
    except FileNotFoundError as error:
        fix = "Restore it from its backup: nothing else opens the private keys. A new broker: `broker init`."
        return None, [fail(name, f"There is no sealing key at {error.filename}.", fix)]
    except OSError as error:
        return None, [fail(name, f"{error.filename}: {error.strerror}.", "Let the server's user read it.")]
    except ValueError as error:
        return None, [fail(name, f"The sealing key cannot be used: {error}.", "Put the right file back.")]
    if settings.key_encryption_key is not None:
        said = "The sealing key comes from a setting: other programs of this user can see it."
        return kek, [warn(name, said, "Keep it in a file of mode 0600: `key_encryption_key_file`.")]
    return kek, [Finding(name, Level.OK, "The sealing key is there, in a file of its owner alone.")]


def _inside(settings: Settings, database: Database, kek: KeyEncryptionKey | None) -> list[Finding]:
    clock = SystemClock()
    before = clock.now()
    known = database.read(facts)
    after = clock.now()
    found = rules.engine(known, settings.development)
    found += _schema(settings.database)
    if any(finding.id == "database.schema" and finding.level is Level.FAIL for finding in found):
        return [*found, *rules.clock(before, known.time, after, None)]
    newest = evidence.query(database, most=1)
    times = [datetime.fromisoformat(str(record.members["time"])).timestamp() for record in newest]
    found += rules.clock(before, known.time, after, max(times, default=None))
    world = World(clock, SystemEntropy(), database, Memory(), Snapshots(database, clock))
    clients = Clients(world, settings.development, settings.registration_idle_lifetime)
    changes = Changes(world, Tenants(world), settings.issuer)
    estate, known_clients = database.read(lambda tx: (changes.load(tx), clients.every(tx)))
    nowhere = database.read(
        lambda tx: [user.id for user in shut_out(tx) if not good_links(tx, user, estate.doors.tenants)]
    )
    secretless = [
        client.client_id
        for client in known_clients
        if lint.needs_secret(client) and not clients.with_secrets(estate.doors.root, client.client_id)[1]
    ]
    if kek is not None:
        found += _keys(settings, database, kek, estate, after)
        found += idp.examined(settings, world, kek, estate.doors.tenants)
    found += trusted.findings(settings, world, estate)
    found += lint.estate(estate, known_clients, settings.key_retire_after, world.clock.now())
    found += lint.credentials(nowhere, secretless)
    found += lint.lapsed(claims.every(database))
    found += policy_lint.findings(policies.every(database), list(estate.resources.values()), after)
    found += lint.certificates(
        known_clients,
        trusted=settings.client_certificate_authorities is not None,
        seen=settings.sees_certificates,
    )
    denied = evidence.query(database, outcome=Outcome.DENIED.value, since=after - _HOUR, most=10_000)
    return [*found, rules.refusals([record.members for record in denied])]


def _schema(url: str) -> list[Finding]:
    def wrong() -> Iterator[Finding]:
        if app.migrations_pending(url):
            yield fail("database.schema", "The schema is not this release's.", "Run `broker migrate`.")
        elif drift := schema.drifted(url):
            said = (
                f"The schema differs from this release's in {len(drift)} places: somebody changed it by hand."
            )
            yield fail(
                "database.schema", said, "Undo it by hand, or restore a backup; migrations stay as they are."
            )

    return rules.checked("database.schema", "The schema is this release's.", wrong())


def _keys(
    settings: Settings, database: Database, kek: KeyEncryptionKey, estate: Estate, now: float
) -> list[Finding]:
    try:
        keyring = database.read(lambda tx: Keyring.load(tx.connection, kek))
    except SealError as error:
        fix = "Restore the sealing key that this database was made with; a key that is lost can only be replaced."
        return [fail("keys.opened", f"A private key does not open: {error}.", fix)]
    doors = estate.doors.all()
    needed = {(door.issuer, _ALWAYS) for door in doors}
    needed |= {(door.issuer, resource.algorithm) for door in doors for resource in estate.at_door(door)}
    try:
        policy = RotationPolicy(settings.key_publish_before, settings.key_active, settings.key_retire_after)
    except ValueError:  # said among the settings
        policy = None
    opened = Finding("keys.opened", Level.OK, "The sealing key opens every active key.")
    return [opened, *rules.rings(keyring, needed, policy, now)]


def _lines(found: Iterable[Finding]) -> Iterator[str]:
    for finding in found:
        yield f"{finding.level.value:<4}  {finding.id:<22}  {text(finding.what)}"
        if finding.fix:
            yield f"{'':<4}  {'':<22}  -> {text(finding.fix)}"
