"""The engines that tests run on: SQLite files, or databases of a real PostgreSQL server, each from one template."""

import itertools
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

from broker import schema

_numbers = itertools.count()
OWNER, APPLICATION, SECRET = "broker_owner", "broker_app", "only-for-tests"


class Engine(Protocol):
    """Makes fresh, migrated databases; `behind` reaches one behind the broker's back."""

    def fresh(self, folder: Path) -> str:
        """The URL with which the broker opens a new database."""
        ...

    def behind(self, url: str, statement: str, values: Sequence[object] = ()) -> int: ...

    def dump(self, url: str, folder: Path) -> bytes:
        """Everything that the database keeps, as bytes to search in."""
        ...

    def drop(self, url: str) -> None: ...


class Sqlite:
    """Copies of one migrated file."""

    def __init__(self, template: Path) -> None:
        self._template = template

    def fresh(self, folder: Path) -> str:
        shutil.copy(self._template, folder / "broker.db")
        return f"sqlite:///{folder / 'broker.db'}"

    def behind(self, url: str, statement: str, values: Sequence[object] = ()) -> int:
        import sqlite3

        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)) as connection, connection:
            return connection.execute(statement, tuple(values)).rowcount

    def dump(self, url: str, folder: Path) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())

    def drop(self, url: str) -> None:
        """The folder goes with the test."""


class Postgres:
    """The schema belongs to one role, the broker runs as another that can neither change it nor pass its walls."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._made = 0
        self._mark = f"broker_test_{os.getpid()}_{next(_numbers)}"  # another in this process has its own
        with self._admin() as admin:
            for role in (OWNER, APPLICATION):
                try:
                    admin.execute(
                        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                            sql.Identifier(role), sql.Literal(SECRET)
                        )
                    )
                except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                    pass  # another worker of this run was faster
            self._drop(admin, self._mark)
            admin.execute(f"CREATE DATABASE {self._mark} OWNER {OWNER}")
        owner, application = self._as(OWNER, self._mark), self._as(APPLICATION, self._mark)
        schema.migrate(owner, application)

    def fresh(self, folder: Path) -> str:
        self._made += 1
        name = f"{self._mark}_{self._made}"
        with self._admin() as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {self._mark} OWNER {OWNER}")
        return self._as(APPLICATION, name)

    def behind(self, url: str, statement: str, values: Sequence[object] = ()) -> int:
        with self._admin(_name(url)) as admin:
            return admin.execute(statement.replace("?", "%s"), tuple(values) or None).rowcount

    def dump(self, url: str, folder: Path) -> bytes:
        parts = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
        with self._admin(_name(url)) as admin:
            for (table,) in admin.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall():
                rows = admin.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()
                parts.append(repr(rows).encode())
        return b"".join(parts)

    def drop(self, url: str) -> None:
        with self._admin() as admin:
            self._drop(admin, _name(url))

    def close(self) -> None:
        with self._admin() as admin:
            self._drop(admin, self._mark)

    def owner(self, url: str) -> str:
        """The URL with which the schema of that database is changed."""
        return self._as(OWNER, _name(url))

    def _drop(self, admin: psycopg.Connection, name: str) -> None:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _admin(self, name: str | None = None) -> psycopg.Connection:
        return psycopg.connect(self._server if name is None else _with(self._server, name), autocommit=True)

    def _as(self, role: str, name: str) -> str:
        parts = psycopg.conninfo.conninfo_to_dict(self._server)
        host, port = str(parts.get("host", "127.0.0.1")), parts.get("port", 5432)
        place = f"?host={host}&port={port}" if host.startswith("/") else ""
        where = "" if place else f"{host}:{port}"
        return f"postgresql://{role}:{SECRET}@{where}/{name}{place}"


def _name(url: str) -> str:
    found = re.fullmatch(r"[^?]*/([^/?]+)(?:\?.*)?", url)
    assert found is not None
    return found[1]


def _with(server: str, name: str) -> str:
    return psycopg.conninfo.make_conninfo(server, dbname=name)
