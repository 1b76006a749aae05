"""How Alembic reaches the database: given by the command that runs it, never by a file."""

import sqlite3

from alembic import context
from sqlalchemy import Connection, Engine, create_engine, event

config = context.config


def run() -> None:
    url, seconds = config.attributes["url"], config.attributes["lock_seconds"]
    embedded = url.get_backend_name() == "sqlite"
    engine = create_engine(url, connect_args={"timeout": seconds} if embedded else {})
    if embedded:
        _whole(engine)
    try:
        with engine.begin() as connection:
            if not embedded:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({config.attributes['lock']})")
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{int(1000 * seconds)}ms'")
            context.configure(
                connection=connection, target_metadata=config.attributes["metadata"], render_as_batch=True
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        engine.dispose()


def _whole(engine: Engine) -> None:
    """Migrate in one transaction, begun by us: the driver would commit before each change of the schema."""

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL").close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


run()
