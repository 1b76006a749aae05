"""The schema: every room's tables, and the migrations that bring a database there (Alembic)."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, MetaData, create_engine, make_url
from sqlalchemy.exc import DBAPIError

import broker.audit.store
import broker.authorization.choices.store
import broker.authorization.device.store
import broker.authorization.logout.store
import broker.authorization.pushed.store
import broker.authorization.store
import broker.control.approvals.notices.store
import broker.control.approvals.store
import broker.control.budgets.store
import broker.control.idempotency.store
import broker.control.policy.store
import broker.control.webhooks.store
import broker.denials.store
import broker.estate.catalogue.store
import broker.estate.claims.store
import broker.estate.store
import broker.identity.clients.store
import broker.identity.federation.store
import broker.identity.federation.trusted.store
import broker.identity.sessions.store
import broker.identity.tenants.store
import broker.identity.users.credentials.store
import broker.identity.users.store
import broker.tokens.store
import broker.vault.credentials.store
import broker.vault.farewells.store
import broker.vault.releases.store
import broker.vault.store
import broker.vault.underway.store
import keys.store
from broker.runtime import database, once

# Importing a store puts its tables into the shared metadata.
_STORES = (
    broker.audit.store,
    broker.authorization.choices.store,
    broker.authorization.pushed.store,
    broker.authorization.device.store,
    broker.authorization.logout.store,
    broker.authorization.store,
    broker.control.approvals.notices.store,
    broker.control.approvals.store,
    broker.control.budgets.store,
    broker.control.idempotency.store,
    broker.control.policy.store,
    broker.control.webhooks.store,
    broker.denials.store,
    broker.estate.catalogue.store,
    broker.estate.claims.store,
    broker.estate.store,
    broker.identity.clients.store,
    broker.identity.federation.store,
    broker.identity.federation.trusted.store,
    broker.identity.sessions.store,
    broker.identity.tenants.store,
    broker.identity.users.credentials.store,
    broker.identity.users.store,
    broker.tokens.store,
    broker.vault.credentials.store,
    broker.vault.farewells.store,
    broker.vault.releases.store,
    broker.vault.underway.store,
    broker.vault.store,
    once,
)
METADATA: tuple[MetaData, ...] = (database.metadata, keys.store.metadata)
_LOCK = 0x6D696772  # whoever migrates has it alone: others wait, and find nothing left to do
# A change of a table waits half a second for its turn, as everybody who comes after it waits behind it.
_LOCK_SECONDS, _ATTEMPTS = 0.5, 10
_BUSY = frozenset({"55P03", "40P01", "SQLITE_BUSY"})  # PostgreSQL: lock not available, deadlock


def migrate(url: str, application_url: str | None = None) -> None:
    """Bring the database at `url` to this release's schema.

    Where the application has a role of its own (the user of `application_url`), that role is given what it needs
    and no more: it can only insert into the audit tables, and cannot change the schema. The server may serve
    meanwhile; Unavailable, with nothing changed, when it or somebody else did not let go of a table for some seconds.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            command.upgrade(_config(url), "head")
            break
        except DBAPIError as error:
            names = {getattr(error.orig, name, None) for name in ("sqlstate", "sqlite_errorname")}
            if not names & _BUSY:
                raise
            if attempt == _ATTEMPTS:
                raise database.Unavailable("somebody does not let go of a table") from error
    application, owner = (make_url(given).username if given else None for given in (application_url, url))
    if application and application != owner:
        _grant(url, application)


def _grant(url: str, role: str) -> None:
    engine = create_engine(_driven(url))
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            named = connection.dialect.identifier_preparer.quote(role)
            for statement in (
                f"GRANT USAGE ON SCHEMA public TO {named}",
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {named}",
                f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {named}",
                f"REVOKE UPDATE, DELETE, TRUNCATE ON audit_record, audit_personal FROM {named}",
                f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {named}",
            ):
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def pending(url: str) -> bool:
    """Whether the database at `url` is behind this release."""
    engine = create_engine(_driven(url))
    try:
        with engine.connect() as connection:
            return _behind(connection)
    finally:
        engine.dispose()


def behind(tx: database.Transaction) -> bool:
    """Whether the database in use is behind this release."""
    return _behind(tx.connection)


def _behind(connection: Connection) -> bool:
    """A revision that this release does not know is of a later one: schemas grow before the code that needs them."""
    known, heads = _revisions()
    current = frozenset(MigrationContext.configure(connection).get_current_heads())
    return not current or (current <= known and current != heads)


@cache
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    """Every revision of this release, and the last."""
    scripts = ScriptDirectory.from_config(_config("sqlite://"))
    return frozenset(script.revision for script in scripts.walk_revisions()), frozenset(scripts.get_heads())


def drifted(url: str) -> list[object]:
    """What the tables in code have that the migrated database has not, or the other way round."""
    from alembic.autogenerate import compare_metadata  # only tests and `migrate --check` need it

    engine = create_engine(_driven(url))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"render_as_batch": True})
            found: list[object] = list(compare_metadata(context, _joined()))
            return found
    finally:
        engine.dispose()


def _driven(url: str) -> URL:
    """The URL with the driver that we ship."""
    parsed = make_url(url)
    return parsed if parsed.get_backend_name() == "sqlite" else parsed.set(drivername="postgresql+psycopg")


def _joined() -> MetaData:
    joined = MetaData()
    for metadata in METADATA:
        for table in metadata.sorted_tables:
            table.to_metadata(joined)
    return joined


def _config(url: str) -> Config:
    here = Path(__file__).parent
    script = here / "migrations"  # in the wheel
    if not script.is_dir():
        script = here.parent / "migrations"  # in a checkout
    config = Config()
    config.set_main_option("script_location", str(script))
    config.attributes["url"] = _driven(url)
    config.attributes["metadata"] = list(METADATA)
    config.attributes["lock"] = _LOCK
    config.attributes["lock_seconds"] = _LOCK_SECONDS
    return config
