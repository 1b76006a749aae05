"""Releases to come: their migrations, the databases that these change, and the shape that a database has."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from broker import schema
from broker.runtime.database import Unavailable
from tests.engines import OWNER, Engine, Postgres

GROWN = ("browser_session", "client", "refresh_token")
EXPAND = f"""
import sqlalchemy as sa
from alembic import op
revision, down_revision = "expanded", "HEAD"
def upgrade():
    for table in {GROWN}:
        op.add_column(table, sa.Column("later", sa.String(16)))
        op.create_index("ix_later_" + table, table, ["later"])
"""
SHRINK = f"""
from alembic import op
revision, down_revision = "contracted", "expanded"
def upgrade():
    for table in {GROWN}:
        op.drop_index("ix_later_" + table, table)
        op.execute("ALTER TABLE " + table + " DROP COLUMN later")
"""
TURNED_AWAY = 5
_config = schema._config
_IGNORED = shutil.ignore_patterns("__pycache__")


def config_of(scripts: str, url: str) -> Config:
    config = _config(url)
    config.set_main_option("script_location", scripts)
    return config


def revisions() -> list[str]:
    """Of this release, oldest first."""
    scripts = ScriptDirectory.from_config(_config("sqlite://"))
    return [script.revision for script in scripts.walk_revisions()][::-1]


def later_release(folder: Path, *migrations: str) -> str:
    """The scripts of a release to come: today's, and those that it adds."""
    shutil.copytree(str(_config("sqlite://").get_main_option("script_location")), folder, ignore=_IGNORED)
    for number, text in enumerate(migrations):
        (folder / "versions" / f"later_{number}.py").write_text(text.replace("HEAD", revisions()[-1]))
    return str(folder)


def owner(engine: Engine, url: str) -> str:
    return engine.owner(url) if isinstance(engine, Postgres) else url


def migrated(engine: Engine, url: str, scripts: str) -> None:
    """`broker migrate` of another release, given again by an operator whom a busy database turned away unchanged."""
    schema._config = partial(config_of, scripts)
    try:
        for _ in range(TURNED_AWAY):
            try:
                return schema.migrate(owner(engine, url), url)
            except Unavailable:
                continue
        return schema.migrate(owner(engine, url), url)
    finally:
        schema._config = _config


def emptied(engine: Engine, folder: Path) -> str:
    """A database without a schema."""
    url = engine.fresh(folder)
    if isinstance(engine, Postgres):
        engine.behind(url, "DROP SCHEMA public CASCADE")
        engine.behind(url, f"CREATE SCHEMA public AUTHORIZATION {OWNER}")
    else:
        Path(url.removeprefix("sqlite:///")).unlink()
    return url


@dataclass(frozen=True)
class Shape:
    """A table: its columns as (type, may be null, default), and what its rows must be."""

    columns: dict[str, tuple[str, bool, str | None]]
    unique: set[tuple[str, ...]]
    keys: tuple[object, ...]


def shape(url: str) -> dict[str, Shape]:
    engine = create_engine(schema._driven(url))
    try:
        found = inspect(engine)
        return {
            table: Shape(
                {c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in found.get_columns(table)},
                {
                    *(tuple(one["column_names"]) for one in found.get_unique_constraints(table)),
                    *(tuple(one["column_names"]) for one in found.get_indexes(table) if one["unique"]),
                },
                (
                    found.get_pk_constraint(table)["constrained_columns"],
                    found.get_foreign_keys(table),
                    found.get_check_constraints(table),
                ),
            )
            for table in found.get_table_names()
        }
    finally:
        engine.dispose()
