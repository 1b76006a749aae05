"""`broker doctor`: each finding with what brings it about and what does not; it looks and changes nothing."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker import app
from broker.admin import doctor as rules
from broker.admin import knobs, lint
from broker.admin.doctor import FileFacts, Finding, Level
from broker.cli.doctor import doctor, examine
from broker.cli.local import Place, settings_for
from broker.estate.estate import Estate
from broker.estate.model import Edge, Impact, Registration, Resource, ResourceKind, Scope, Tool
from broker.identity.clients.model import Client, Registered, Subject
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Tenant
from broker.runtime.clock import SystemClock
from broker.runtime.engines import open_database
from broker.runtime.facts import EngineFacts, facts
from keys.rotation import RotationPolicy
from keys.sealed import create_key_file
from tests.engines import Engine, Postgres
from tests.lab import ACME, ISSUER, Lab

DAY = 86400.0


@dataclass(frozen=True)
class Knobs:
    """Settings of a production server behind a proxy."""

    issuer: str = "https://as.example"
    development: bool = False
    trusted_proxies: tuple[str, ...] = ("10.0.0.7",)
    proxies_drop_underscores: bool = True
    registration_open: bool = False
    registration_unused_lifetime: int = 86400
    interaction_lifetime: int = 600
    refresh_lifetime: int = 30 * 86400
    grant_lifetime: int = 90 * 86400
    session_idle: int = 1800
    session_absolute: int = 43200
    metadata_max_age: int = 300
    key_publish_before: int = 3600
    key_active: int = 30 * 86400
    key_retire_after: int = 3600


def troubles(found: list[Finding]) -> dict[str, Level]:
    """What is not well; every trouble comes with a fix, and nothing else does."""
    assert all(bool(finding.fix) == (finding.level is not Level.OK) for finding in found)
    return {finding.id: finding.level for finding in found if finding.level is not Level.OK}


def test_settings_that_fit_have_no_finding() -> None:
    assert troubles(knobs.settings(Knobs())) == {}
    assert troubles(knobs.settings(Knobs(issuer="https://127.0.0.1", registration_open=True))) == {}


@pytest.mark.parametrize(
    ("wrong", "name", "level"),
    [
        ({"issuer": "http://127.0.0.1:8400"}, "issuer", Level.WARN),
        ({"development": True}, "development", Level.FAIL),
        ({"development": True, "issuer": "https://localhost"}, "development", Level.WARN),
        ({"trusted_proxies": ("10.0.0.7", "0.0.0.0/0")}, "proxies", Level.FAIL),
        ({"trusted_proxies": ("::/0",)}, "proxies", Level.FAIL),
        ({"trusted_proxies": ()}, "proxies", Level.WARN),
        ({"proxies_drop_underscores": False}, "proxies", Level.WARN),
        ({"registration_open": True}, "registration", Level.WARN),
        ({"metadata_max_age": 3600}, "lifetimes", Level.FAIL),
        ({"key_active": 3600}, "lifetimes", Level.FAIL),
        ({"grant_lifetime": 3600}, "lifetimes", Level.WARN),
        ({"session_idle": 50000}, "lifetimes", Level.WARN),
        ({"registration_unused_lifetime": 600}, "lifetimes", Level.WARN),
    ],
)
def test_a_setting_that_is_unsafe_beside_others_is_found(wrong: dict, name: str, level: Level) -> None:
    assert troubles(knobs.settings(Knobs(**wrong))) == {f"settings.{name}": level}


SEARCH = Tool("search", ("tickets:read",), Impact.READ, digest="d")
TICKETS = Resource(
    "tickets", ResourceKind.MCP, "https://mcp.example/mcp", "Tickets", ("acme",),
    default=True, client_id="tickets-server", scopes=(Scope("tickets:read", "Read"),), tools=(SEARCH,),
)  # fmt: skip
CRM = Resource(
    "crm", ResourceKind.DOWNSTREAM, "http://127.0.0.1:9000", "CRM", ("acme",), client_id="crm-server"
)
EDGE = Edge("tickets", "crm", {"tickets:read": ("crm:read",)})
APP = Client(
    "app",
    "App",
    None,
    "none",
    Registered.ADMIN,
    ("https://app.example/cb", "http://127.0.0.1/cb", "app.example:/cb"),
)
ACME_ALONE = [Tenant("acme", "Acme"), Tenant("globex", "Globex", root_door=False)]


def linted(
    *,
    tenants: list[Tenant] = ACME_ALONE,
    resources: tuple[Resource, ...] = (TICKETS, CRM),
    clients: tuple[Client, ...] = (APP,),
    retire_after: int = 3600,
    edge: Edge = EDGE,
) -> dict[str, Level]:
    found = Estate.of(Doors.of(ISSUER, tenants), resources, [edge])
    return troubles(lint.estate(found, clients, retire_after, 1000.0))


def test_an_estate_that_is_well_has_no_finding() -> None:
    assert linted() == {}


def test_a_system_that_verifies_offline_is_told_and_is_no_trouble() -> None:
    found = Estate.of(Doors.of(ISSUER, ACME_ALONE), (TICKETS, replace(CRM, client_id=None)), [EDGE])
    told = {finding.id: finding for finding in lint.estate(found, (), 3600, 1000.0)}
    assert told["estate.offline"].level is Level.OK and "crm" in told["estate.offline"].what
    assert troubles(list(told.values())) == {}


def test_a_second_tenant_at_the_root_door_is_warned_of() -> None:
    assert linted(tenants=[Tenant("acme", "Acme"), Tenant("globex", "Globex")]) == {
        "estate.root-door": Level.WARN
    }


REFUND = Tool("refund", ("tickets:read",), Impact.EXTERNAL_WRITE, digest="d")
NOTES = replace(TICKETS, id="notes", uri="https://notes.example/mcp", tenants=("globex",))


@pytest.mark.parametrize(
    ("resources", "name", "level"),
    [
        ((replace(TICKETS, client_id=None), CRM), "edges", Level.WARN),
        ((TICKETS,), "edges", Level.FAIL),
        ((replace(TICKETS, uri="http://mcp.example/mcp"), CRM), "uris", Level.WARN),
        ((replace(TICKETS, tools=(SEARCH, REFUND)), CRM), "scopes", Level.WARN),
        ((replace(TICKETS, tools=(replace(SEARCH, scopes=()),)), CRM), "tools", Level.WARN),
        ((replace(TICKETS, lifetime=3600), CRM), "lifetimes", Level.FAIL),
    ],
)
def test_what_is_likely_a_mistake_in_the_estate_is_found(
    resources: tuple[Resource, ...], name: str, level: Level
) -> None:
    assert linted(resources=resources) == {f"estate.{name}": level}


def test_an_edge_that_has_ended_is_warned_of() -> None:
    assert linted(edge=replace(EDGE, expires_at=1001.0)) == {}
    assert linted(edge=replace(EDGE, expires_at=1000.0)) == {"estate.edges": Level.WARN}


def test_a_vault_that_an_edge_cannot_release_is_warned_of() -> None:
    scopes = (Scope("crm:read", "Read"), Scope("crm:write", "Write"))
    registration = Registration("github", "broker")
    whole = replace(CRM, kind=ResourceKind.VAULT, client_id=None, scopes=scopes[:1], vault=registration)
    released = replace(EDGE, release=True)
    assert linted(resources=(TICKETS, whole), edge=released) == {}
    assert linted(resources=(TICKETS, whole)) == {"estate.edges": Level.WARN}
    wider = replace(whole, scopes=scopes)
    assert linted(resources=(TICKETS, wider), edge=released) == {"estate.vaults": Level.WARN}
    chosen = replace(wider, scopes=(replace(scopes[0], default=True), scopes[1]))
    assert linted(resources=(TICKETS, chosen), edge=released) == {}


def test_two_defaults_are_ambiguous_only_at_a_door_that_has_both() -> None:
    assert linted(resources=(TICKETS, CRM, NOTES)) == {}
    both = [Tenant("acme", "Acme"), Tenant("globex", "Globex")]
    assert linted(tenants=both, resources=(TICKETS, CRM, NOTES))["estate.defaults"] is Level.WARN


def test_a_redirect_in_clear_is_found_for_public_clients() -> None:
    clear = replace(APP, redirect_uris=("http://app.example/cb",))
    assert linted(clients=(clear,)) == {"clients.redirects": Level.WARN}
    assert linted(clients=(replace(clear, method="client_secret_basic"),)) == {}


def test_missing_passwords_and_secrets_are_named_and_counted() -> None:
    assert troubles(lint.credentials([], [])) == {}
    found = lint.credentials([f"user{i}" for i in range(7)], ["nightly"])
    assert troubles(found) == {"users.passwords": Level.WARN, "clients.secrets": Level.WARN}
    assert "user4 and 2 more" in found[0].what and "nightly" in found[1].what


def test_clients_with_certificates_that_can_do_nothing_are_named() -> None:
    known = replace(
        APP, method="tls_client_auth", certificate=Subject("tls_client_auth_san_dns", "a.example")
    )
    bound = replace(APP, certificate_bound=True)

    def found(client: Client, *, trusted: bool, seen: bool) -> dict[str, Level]:
        return troubles(lint.certificates([client], trusted=trusted, seen=seen))

    assert found(known, trusted=False, seen=True) == {"clients.certificates": Level.FAIL}
    assert found(known, trusted=True, seen=True) == {}
    assert found(bound, trusted=False, seen=False) == {"clients.certificates": Level.WARN}
    assert found(bound, trusted=False, seen=True) == {}
    assert found(APP, trusted=False, seen=False) == {}


GOOD = EngineFacts(
    "PostgreSQL",
    "17.2",
    170002,
    0.0,
    (("synchronous_commit", "on", ("on", "local")), ("fsync", "on", ("on",))),
    True,
)


def test_a_database_that_is_well_has_no_finding() -> None:
    assert troubles(rules.engine(GOOD, False)) == {}


@pytest.mark.parametrize(
    ("wrong", "name", "level"),
    [
        ({"version_number": 140011}, "engine", Level.FAIL),
        ({"durability": (("fsync", "off", ("on",)),)}, "durability", Level.FAIL),
        ({"superuser": True, "bypasses_walls": True, "unwalled": ("client",)}, "role", Level.FAIL),
        ({"bypasses_walls": True}, "role", Level.FAIL),
        ({"unwalled": ("client",)}, "role", Level.FAIL),
        ({"evidence_guarded": False}, "evidence", Level.FAIL),
        ({"may_change_evidence": True}, "evidence", Level.WARN),
    ],
)
def test_what_weakens_a_database_is_found(wrong: dict, name: str, level: Level) -> None:
    assert troubles(rules.engine(replace(GOOD, **wrong), False)) == {f"database.{name}": level}


def test_in_development_a_superuser_is_only_warned_of() -> None:
    assert troubles(rules.engine(replace(GOOD, superuser=True), True)) == {"database.role": Level.WARN}


@pytest.mark.parametrize(
    ("before", "database", "after", "newest", "well"),
    [
        (100.0, 100.5, 101.0, 99.0, True),
        (100.0, 98.5, 101.0, None, True),
        (100.0, 97.0, 101.0, None, False),
        (100.0, 104.0, 101.0, None, False),
        (100.0, 100.0, 99.0, None, False),
        (100.0, 100.5, 101.0, 102.0, True),
        (100.0, 100.5, 101.0, 104.0, False),
    ],
)
def test_clocks_that_disagree_are_found(
    before: float, database: float, after: float, newest: float | None, well: bool
) -> None:
    assert (troubles(rules.clock(before, database, after, newest)) == {}) is well


def test_limits_of_several_processes_want_redis() -> None:
    assert troubles(rules.limits(shared=False, answers=True, several=False)) == {}
    assert troubles(rules.limits(shared=True, answers=True, several=True)) == {}
    assert troubles(rules.limits(shared=False, answers=True, several=True)) == {"limits.redis": Level.WARN}
    assert troubles(rules.limits(shared=True, answers=False, several=True)) == {"limits.redis": Level.FAIL}


def test_open_files_are_found_and_grave_when_they_hold_a_secret(tmp_path: Path) -> None:
    assert troubles(rules.files([FileFacts(tmp_path, 0o700, False)])) == {}
    assert troubles(rules.files([FileFacts(tmp_path, 0o755, False)])) == {"files.modes": Level.WARN}
    [found] = rules.files([FileFacts(tmp_path / "broker.toml", 0o640, True)])
    assert found.level is Level.FAIL and found.fix.startswith("chmod 600")


def test_a_ring_without_an_active_key_or_overdue_for_rotation_is_found(lab: Lab) -> None:
    keyring, now = lab.broker.door_keys.refresh(), lab.clock.now()
    policy = RotationPolicy(3600, 30 * DAY, 3600)
    assert troubles(rules.rings(keyring, {(ISSUER, "ES256"), (ACME, "ES256")}, policy, now)) == {}
    assert troubles(rules.rings(keyring, {(ACME, "PS256")}, policy, now)) == {"keys.active": Level.FAIL}
    due = now + 30 * DAY - 3600
    assert troubles(rules.rings(keyring, (), policy, due + 60)) == {}, "the worker has time to do it"
    assert troubles(rules.rings(keyring, (), policy, due + 600)) == {"keys.rotation": Level.WARN}
    assert troubles(rules.rings(keyring, (), None, due + 600)) == {}


# The command.


@pytest.fixture
def seen(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], dict[str, Finding]]:
    """What is not well at the folder, by id."""
    monkeypatch.chdir(tmp_path)

    def look() -> dict[str, Finding]:
        return {
            finding.id: finding for finding in examine(Place(folder, None)) if finding.level is not Level.OK
        }

    return look


def asked(folder: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(doctor, ["--data", str(folder), *words])
    assert not result.exception or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout


def test_a_broker_that_is_well_ends_with_0_and_tells_what_was_looked_at(folder, applied) -> None:
    code, shown = asked(folder)
    assert code == 0 and "fail" not in shown
    for name in ("keys.opened", "database.schema", "clock", "estate.edges", "audit.refusals"):
        assert f"  {name} " in shown
    code, shown = asked(folder, "-o", "json")
    told = json.loads(shown)
    assert code == 0 and told["status"] == "warn"
    assert {frozenset(finding) for finding in told["findings"]} == {frozenset({"id", "level", "what", "fix"})}
    assert {finding["level"] for finding in told["findings"]} == {"ok", "warn"}


def test_what_is_unhealthy_ends_with_5_and_says_what_to_do(folder, applied) -> None:
    (folder / "kek").chmod(0o644)
    code, shown = asked(folder)
    assert code == 5 and "chmod 600" in shown and "-> Put the right file back." in shown


def test_the_doctor_changes_nothing(folder, applied) -> None:
    with sqlite3.connect(folder / "broker.db") as connection:
        connection.execute("DELETE FROM signing_key WHERE door LIKE '%/t/acme'")
    before = _everything(folder)
    assert asked(folder)[0] == 5
    assert _everything(folder) == before


def _everything(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "broker.db") as connection:
        return list(connection.iterdump())


def test_a_door_without_its_key_is_found(folder, applied, seen) -> None:
    assert "keys.active" not in seen()
    with sqlite3.connect(folder / "broker.db") as connection:
        connection.execute("DELETE FROM signing_key WHERE door LIKE '%/t/acme'")
    assert "/t/acme has no active ES256 key" in seen()["keys.active"].what


def test_a_sealing_key_that_is_gone_or_another_is_found(folder, applied, seen) -> None:
    (folder / "kek").unlink()
    assert seen()["keys.sealing"].level is Level.FAIL
    create_key_file(folder / "kek")
    found = seen()
    assert found["keys.opened"].level is Level.FAIL and "keys.sealing" not in found


def test_a_sealing_key_in_a_setting_is_warned_of(folder, applied, seen, monkeypatch) -> None:
    monkeypatch.setenv("BROKER_KEY_ENCRYPTION_KEY", (folder / "kek").read_text().strip())
    assert seen()["keys.sealing"].level is Level.WARN


def test_settings_that_cannot_be_read_are_the_only_finding(folder, tmp_path, seen) -> None:
    assert "settings.readable" not in seen()
    (tmp_path / "broker.toml").write_text("isuer = 'https://as.example'\n")
    found = seen()
    assert list(found) == ["settings.readable"] and "isuer" in found["settings.readable"].what


def test_what_keeps_the_server_from_starting_is_found(folder, applied, seen, monkeypatch) -> None:
    for name in [name for name in os.environ if name.startswith("BROKER_")]:
        monkeypatch.delenv(name)
    assert "settings.start" not in seen()
    monkeypatch.setenv("BROKER_ISUER", "https://as.example")
    found = seen()["settings.start"]
    assert found.level is Level.FAIL and "BROKER_ISUER" in found.what


def test_a_settings_file_with_a_secret_is_the_owners_alone(folder, tmp_path, seen) -> None:
    config = tmp_path / "broker.toml"
    config.write_text("port = 8400\n")
    config.chmod(0o644)
    assert seen()["files.modes"].level is Level.WARN
    config.write_text('redis_url = "redis://:canary@127.0.0.1:1/0"\n')
    found = seen()
    assert found["files.modes"].level is Level.FAIL and found["limits.redis"].level is Level.FAIL
    assert "canary" not in str(found)
    config.chmod(0o600)
    assert "files.modes" not in seen()


def test_a_database_that_is_missing_broken_or_behind_is_found(folder, applied, seen, tmp_path) -> None:
    with sqlite3.connect(folder / "broker.db") as connection:
        connection.execute("ALTER TABLE edge ADD COLUMN own TEXT")
    assert "by hand" in seen()["database.schema"].what
    with sqlite3.connect(folder / "broker.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    assert seen()["database.schema"].fix == "Run `broker migrate`."
    for name in ("broker.db", "broker.db-wal", "broker.db-shm"):
        (folder / name).unlink(missing_ok=True)
    assert "There is no database" in seen()["database.engine"].what
    (folder / "broker.db").write_bytes(b"not a database" * 100)
    assert "does not answer" in seen()["database.engine"].what


def test_evidence_without_its_guard_and_from_the_future_is_found(folder, applied, seen) -> None:
    assert not {"clock", "database.evidence"} & set(seen())

    class Ahead(SystemClock):
        def now(self) -> float:
            return super().now() + 3600

    broker = app.compose(settings_for(Place(folder, None)), clock=Ahead())
    broker.door_keys.rotate(broker.settings.issuer, "ES256")
    broker.close()
    assert "in the future" in seen()["clock"].what
    with sqlite3.connect(folder / "broker.db") as connection:
        connection.execute("DROP TRIGGER audit_record_stays")
        connection.execute("DROP TRIGGER audit_record_is_final")
    assert seen()["database.evidence"].level is Level.FAIL


def test_users_without_a_password_and_clients_without_a_secret_are_named(folder, run, applied, seen) -> None:
    assert not {"users.passwords", "clients.secrets"} & set(seen())
    run("user", "create", "--file", "-", given='{"id": "bob"}')
    job = {"client_id": "job", "type": "confidential", "grant_types": ["client_credentials"]}
    run("client", "create", "--file", "-", given=json.dumps(job))
    found = seen()
    assert "bob" in found["users.passwords"].what and "alice" not in found["users.passwords"].what
    assert "job" in found["clients.secrets"].what and "nightly" not in found["clients.secrets"].what


def test_refusals_of_the_last_hour_are_counted_by_reason(folder, applied) -> None:
    assert "No refusals" in _what(folder, "audit.refusals")
    broker = app.compose(settings_for(Place(folder, None)))
    http = app.create_app(broker).test_client()
    for _ in range(12):
        form = {"grant_type": "client_credentials", "client_id": "nightly", "client_secret": "wrong"}
        http.post("/token", data=form, base_url=broker.settings.issuer)
    broker.close()
    assert _what(folder, "audit.refusals").startswith("10 refusals in the last hour: ")


def _what(folder: Path, name: str) -> str:
    return next(finding.what for finding in examine(Place(folder, None)) if finding.id == name)


def test_redis_that_answers_is_well_and_one_that_is_gone_is_not(
    folder, applied, seen, redis_url, monkeypatch
) -> None:
    monkeypatch.setenv("BROKER_REDIS_URL", redis_url)
    assert "limits.redis" not in seen()
    monkeypatch.setenv("BROKER_REDIS_URL", "redis://127.0.0.1:1/0")
    assert seen()["limits.redis"].level is Level.FAIL


# PostgreSQL.


@pytest.fixture
def postgres(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Postgres]:
    if isinstance(engine, Postgres):
        yield engine
        return
    made = Postgres(request.getfixturevalue("postgres_url"))
    yield made
    made.close()


def test_the_roles_of_postgresql_are_told_apart(folder, postgres, postgres_url, tmp_path) -> None:
    url = postgres.fresh(tmp_path)
    found = {}
    for name, where in (
        ("application", url),
        ("owner", postgres.owner(url)),
        ("superuser", _as_super(url, postgres_url)),
    ):
        database = open_database(where)
        found[name] = database.read(facts)
        database.close()
    well = replace(found["application"], durability=())
    assert troubles(rules.engine(well, False)) == {} and well.version_number >= 150000
    assert found["owner"].may_change_evidence and not found["owner"].superuser and not found["owner"].unwalled
    assert found["superuser"].superuser and "client" in found["superuser"].unwalled
    clock = SystemClock().now()
    assert abs(found["application"].time - clock) < 60
    said = {finding.id: finding for finding in examine(Place(folder, url))}
    assert said["database.engine"].level is said["database.schema"].level is Level.OK
    assert "fsync is off" in said["database.durability"].what, (
        "tests run a server that may lose a test's data"
    )
    assert said["limits.redis"].level is Level.WARN
    postgres.drop(url)


def _as_super(url: str, server: str) -> str:
    """The server's own URL, for the database that `url` names."""
    name = url.split("?")[0].rpartition("/")[2]
    where, mark, how = server.partition("?")
    return f"{where.rpartition('/')[0]}/{name}{mark}{how}"


def test_postgresql_that_does_not_answer_is_found_without_telling_its_password(folder) -> None:
    found = examine(Place(folder, "postgresql://broker:canary@127.0.0.1:1/broker"))
    assert troubles(found)["database.engine"] is Level.FAIL and "canary" not in str(found)
