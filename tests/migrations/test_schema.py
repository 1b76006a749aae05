"""The schema: from nothing or from the first release to this one, and what the database itself keeps anybody from."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from broker import schema
from broker.denials import store as denials
from broker.estate import store as estate
from broker.estate.model import ApprovalRule, Bounds, Impact, Isolation, Limits, Tool
from broker.identity.tenants.model import Tenant
from broker.runtime.database import Transaction, Unavailable
from broker.runtime.engines import open_database
from tests.engines import APPLICATION, OWNER, SECRET
from tests.house.test_stores import wall_column
from tests.stores.walled import seed

ROOT = Path(__file__).parents[2]
FIRST = "0001"
EVIDENCE = ("audit_record", "audit_personal")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Empty:
    """A database without a schema: as its owner and as the application see it, and behind everybody's back."""

    owner: str
    application: str
    root: Callable[..., list[tuple[Any, ...]]]

    @property
    def embedded(self) -> bool:
        return self.owner.startswith("sqlite")

    def migrate(self) -> None:
        schema.migrate(self.owner, self.application)

    def execute(self, url: str, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement as somebody, without the broker."""
        if self.embedded:
            with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
                return connection.execute(statement, tuple(values)).fetchall()
        with psycopg.connect(url) as connection:
            connection.execute("SELECT set_config('broker.tenant', '*', false)")
            done = connection.execute(statement.replace("?", "%s"), tuple(values) or None)
            return done.fetchall() if done.description else []


def _server_login(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def empty_postgres(postgres_url: str) -> Iterator[Empty]:
    name = f"broker_schema_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        for role in (OWNER, APPLICATION):
            try:
                admin.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(SECRET)
                    )
                )
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                pass  # another test was faster
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name} OWNER {OWNER}")

    def login(role: str) -> str:
        parsed = make_url(postgres_url).set(username=role, password=SECRET, database=name)
        return parsed.render_as_string(hide_password=False)

    def root(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(_server_login(postgres_url, name), autocommit=True) as admin:
            done = admin.execute(statement, values or None)
            return done.fetchall() if done.description else []

    yield Empty(login(OWNER), login(APPLICATION), root)
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Empty:
    if request.param == "postgresql":
        return request.getfixturevalue("empty_postgres")
    url = f"sqlite:///{tmp_path / 'broker.db'}"

    def root(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with sqlite3.connect(tmp_path / "broker.db") as connection:
            return connection.execute(statement, values).fetchall()

    return Empty(url, url, root)


def tables() -> list[str]:
    return [table.name for metadata in schema.METADATA for table in metadata.sorted_tables]


def content(empty: Empty) -> dict[str, list[str]]:
    """Every row of every table but the alembic version."""
    return {name: sorted(repr(row) for row in empty.root(f'SELECT * FROM "{name}"')) for name in tables()}


def shape(empty: Empty) -> list[tuple[Any, ...]]:
    """Tables, columns, indexes, triggers, policies and privileges, as the database describes them."""
    if empty.embedded:
        return empty.root("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")
    return [
        *empty.root(
            "SELECT table_name, column_name, data_type, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
        ),
        *empty.root("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"),
        *empty.root(
            "SELECT tgname, tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger ORDER BY 1, 2"
        ),
        *empty.root("SELECT tablename, policyname, cmd, qual, with_check FROM pg_policies ORDER BY 1, 2"),
        *empty.root(
            "SELECT relname, relrowsecurity, relforcerowsecurity, relacl::text FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        ),
    ]


def filled(empty: Empty) -> None:
    database = open_database(empty.application)
    database.write(seed, throwing=True)
    database.close()


def refused(call: Callable[[], object], why: str = "") -> None:
    with pytest.raises((sqlite3.Error, psycopg.Error), match=why):
        call()


# Migrations


def test_from_nothing_to_this_release_without_drift(empty: Empty) -> None:
    if not empty.embedded:
        assert schema.pending(empty.owner)
    empty.migrate()
    assert not schema.pending(empty.owner) and not schema.pending(empty.application)
    assert schema.drifted(empty.owner) == []
    database = open_database(empty.application)
    assert database.read(schema.behind) is False
    database.close()


def test_drift_is_noticed(empty: Empty) -> None:
    empty.migrate()
    empty.root("ALTER TABLE lease ADD COLUMN extra TEXT")
    assert schema.drifted(empty.owner) != []


def test_migrating_twice_changes_nothing(empty: Empty) -> None:
    empty.migrate()
    filled(empty)
    before = (shape(empty), content(empty))
    empty.migrate()
    assert (shape(empty), content(empty)) == before


def test_a_database_of_the_first_release_keeps_its_data(empty: Empty) -> None:
    command.upgrade(schema._config(empty.owner), FIRST)
    assert schema.pending(empty.owner)
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for statement in (
        "INSERT INTO version_stamp (name, number) VALUES ('estate', 7), ('keys', 9)",
        "INSERT INTO tenant VALUES ('acme', 'Acme', TRUE, FALSE)",
        "INSERT INTO audit_record (id, time, tenant, fact, outcome, body, leaf_hash)"
        " VALUES ('a1', 1.5, 'acme', 'f', 'allowed', '{}', 'x')",
        "INSERT INTO audit_personal VALUES ('a1', 'acme', 'user', '{}')",
        "INSERT INTO denial (kind, target, thrown_at, final, why) VALUES ('user', 'u', 1.5, TRUE, 'w')",
        "INSERT INTO membership VALUES ('alice', 'acme', '[]', '{}')",
        "INSERT INTO refresh_token (id, hash, tenant, grant_id, client_id, door, expires_at)"
        " VALUES ('r', 'h', 'acme', 'g', 'c', 'd', 2.5)",
    ):
        empty.execute(empty.owner, statement)
    there = {word for row in shape(empty) for word in row}
    for name in set(tables()) & there:
        rows[name] = sorted(empty.root(f'SELECT * FROM "{name}"'), key=repr)
    empty.migrate()
    assert not schema.pending(empty.owner) and schema.drifted(empty.owner) == []
    for name, before in rows.items():  # columns that came later stand behind, and hold nothing
        after = empty.root(f'SELECT * FROM "{name}"')
        width = len(before[0]) if before else 0
        assert sorted((tuple(row[:width]) for row in after), key=repr) == [tuple(row) for row in before], name
        assert not before or all(not value for row in after for value in row[width:]), name
    assert sum(bool(found) for found in rows.values()) >= 7
    database = open_database(empty.application)
    assert [found.id for found in database.read(lambda tx: denials.in_force(tx, 2.0))] == ["u"]
    database.close()


def test_what_resources_said_for_later_is_kept_in_its_types_and_left_out_where_it_does_not_fit(
    empty: Empty,
) -> None:
    command.upgrade(schema._config(empty.owner), "0013")
    details = {
        "redact": ["$.ssn", 7],
        "undo": "reopen",
        "family": "payments",
        "cost": 5,
        "approval": {"by": ["approver"], "expires": 60, "why": "x"},
    }
    document = {
        "kind": "mcp",
        "name": "Tickets",
        "tenants": ["acme"],
        "tools": [
            {"name": "pay", "scopes": [], "impact": "external_write", "details": details},
            {"name": "see", "scopes": [], "impact": "read", "details": {}},
        ],
        "limits": {"per_minute": 9, "concurrent": "many", "per_user": {"per_minute": 3}, "x": 1},
        "isolation": {"egress": ["crm.example"], "timeout": -1},
    }
    row = ("tickets", "https://mcp.example", json.dumps(document))
    empty.execute(
        empty.owner, "INSERT INTO resource (id, uri, document, deleted) VALUES (?, ?, ?, FALSE)", row
    )
    empty.migrate()
    database = open_database(empty.application)
    (found,) = database.read(estate.resources)
    database.close()
    pay = Tool(
        "pay",
        (),
        family="payments",
        cost=5,
        undo="reopen",
        approval=ApprovalRule(("approver",), 60),
        redact=("$.ssn",),
    )
    assert found.tools == (pay, Tool("see", (), Impact.READ))
    assert found.limits == Limits(per_minute=9, per_user=Bounds(per_minute=3))
    assert found.isolation == Isolation(("crm.example",))


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty: Empty) -> None:
    command.upgrade(schema._config(empty.owner), FIRST)
    name = "audit_record_is_final"
    make, drop = (
        (
            f"CREATE TRIGGER {name} BEFORE DELETE ON tenant BEGIN SELECT 1; END",
            f"DROP TRIGGER {name}",
        )
        if empty.embedded
        else (
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            f"DROP FUNCTION {name}()",
        )
    )
    empty.execute(empty.owner, make)
    before = shape(empty)
    with pytest.raises(DBAPIError, match=name):
        empty.migrate()
    assert shape(empty) == before and schema.pending(empty.owner)
    empty.execute(empty.owner, drop)
    empty.migrate()
    assert not schema.pending(empty.owner) and schema.drifted(empty.owner) == []


def test_several_that_migrate_at_once_do_it_once(empty: Empty) -> None:
    program = "import sys; from broker.schema import migrate; migrate(*sys.argv[1:])"
    running = [
        subprocess.Popen(
            (sys.executable, "-c", program, empty.owner, empty.application),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    said = [one.communicate(timeout=60)[0] for one in running]
    assert [one.returncode for one in running] == [0, 0], said
    assert not schema.pending(empty.owner) and schema.drifted(empty.owner) == []
    assert empty.root("SELECT name, number FROM version_stamp ORDER BY name") == [("estate", 1), ("keys", 1)]


def test_the_migrations_are_in_the_wheel_and_work_from_there(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("broker", "keys", "wellknown", "migrations"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    built = subprocess.run(
        (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")),
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    [wheel] = (tmp_path / "dist").glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        packed.extractall(installed)
    for file in (ROOT / "migrations").rglob("*"):
        if file.suffix in (".py", ".mako"):
            assert f"broker/migrations/{file.relative_to(ROOT / 'migrations')}" in names
    program = (
        "import sys; sys.path.insert(0, sys.argv[2]); from broker import schema;"
        "assert schema.__file__.startswith(sys.argv[2]), schema.__file__;"
        "url = sys.argv[1]; assert schema.pending(url); schema.migrate(url);"
        "assert not schema.pending(url) and schema.drifted(url) == []"
    )
    ran = subprocess.run(
        (sys.executable, "-I", "-c", program, f"sqlite:///{tmp_path / 'new.db'}", str(installed)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


# Evidence


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_record WHERE id = 'a1'",
        "UPDATE audit_record SET body = '{\"x\":1}' WHERE id = 'a1'",
        "UPDATE audit_record SET seq = 1, body = '{}' || body WHERE id = 'a1'",
        "UPDATE audit_record SET seq = 1, time = 2 WHERE id = 'a1'",
        "UPDATE audit_record SET seq = 9 WHERE id = 'a2'",
        "UPDATE audit_record SET seq = NULL WHERE id = 'a2'",
        *(
            f"UPDATE audit_record SET {name} = 'other' WHERE id = 'a1'"
            for name in (
                "id",
                "tenant",
                "fact",
                "outcome",
                "client",
                "txn",
                "grant_id",
                "jti_hash",
                "parent_jti_hash",
                "request_id",
                "leaf_hash",
            )
        ),
    ],
)
def test_not_even_the_owner_changes_or_deletes_a_record(empty: Empty, statement: str) -> None:
    empty.migrate()
    for name in ("a1", "a2"):
        empty.execute(
            empty.owner,
            "INSERT INTO audit_record (id, time, tenant, fact, outcome, body, leaf_hash)"
            " VALUES (?, 1.5, 'acme', 'f', 'allowed', '{}', 'x')",
            (name,),
        )
    empty.execute(empty.owner, "UPDATE audit_record SET seq = 5 WHERE id = 'a2'")
    before = content(empty)
    if statement.startswith("DELETE") and not empty.embedded:
        empty.execute(empty.owner, statement)  # no policy lets it see a record to delete
    else:
        refused(lambda: empty.execute(empty.owner, statement), "never")
    refused(lambda: empty.root(statement), "never")  # nor for whom there are no policies
    assert content(empty) == before


@pytest.mark.parametrize(
    "statement",
    [
        "REPLACE INTO audit_record (id, time, fact, outcome, body, leaf_hash) VALUES ('a1', 2, 'f', 'o', '', '')",
        "REPLACE INTO audit_record (id, seq, time, fact, outcome, body, leaf_hash)"
        " VALUES ('a3', 5, 2, 'f', 'o', '', '')",
        "UPDATE OR REPLACE audit_record SET seq = 5 WHERE id = 'a1'",
    ],
)
def test_sqlite_does_not_replace_a_record_either(tmp_path: Path, statement: str) -> None:
    schema.migrate(f"sqlite:///{tmp_path / 'broker.db'}")
    with sqlite3.connect(tmp_path / "broker.db") as connection:
        for name, seq in (("a1", None), ("a2", 5)):
            connection.execute(
                "INSERT INTO audit_record (id, seq, time, fact, outcome, body, leaf_hash)"
                " VALUES (?, ?, 1, 'f', 'o', '', '')",
                (name, seq),
            )
        connection.commit()
        before = connection.execute("SELECT * FROM audit_record ORDER BY id").fetchall()
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
        assert connection.execute("SELECT * FROM audit_record ORDER BY id").fetchall() == before


def test_the_owner_does_not_truncate_the_records(empty_postgres: Empty) -> None:
    empty_postgres.migrate()
    refused(lambda: empty_postgres.execute(empty_postgres.owner, "TRUNCATE audit_record"), "never")


# The application's role on PostgreSQL


@pytest.fixture
def served(empty_postgres: Empty) -> Empty:
    empty_postgres.migrate()
    filled(empty_postgres)
    return empty_postgres


def test_the_application_role_is_nobody_special(served: Empty) -> None:
    [facts] = served.root(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles"
        f" WHERE rolname = '{APPLICATION}'"
    )
    assert set(facts) == {False}
    assert served.root(f"SELECT pg_has_role('{APPLICATION}', '{OWNER}', 'MEMBER')") == [(False,)]
    assert (
        served.root(
            f"SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tableowner <> '{OWNER}'"
        )
        == []
    )


@pytest.mark.parametrize(
    "statement",
    [
        *(
            statement.format(table)
            for table in EVIDENCE
            for statement in (
                "DELETE FROM {}",
                "TRUNCATE {}",
                "UPDATE {} SET tenant = NULL",
                "ALTER TABLE {} DISABLE TRIGGER ALL",
                "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
                "DROP TABLE {}",
            )
        ),
        "UPDATE audit_record SET seq = 1",
        "TRUNCATE denial",
        "ALTER TABLE client ADD COLUMN x TEXT",
        "ALTER TABLE client NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY wall ON client",
        "CREATE TABLE mine (x TEXT)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DELETE FROM alembic_version",
        "UPDATE alembic_version SET version_num = '0001'",
        "INSERT INTO alembic_version VALUES ('0000')",
        "SET session_replication_role = 'replica'",
        f"SET ROLE {OWNER}",
    ],
)
def test_the_application_role_is_refused(served: Empty, statement: str) -> None:
    before = (shape(served), content(served))
    refused(
        lambda: served.execute(served.application, statement), "permission denied|must be owner|denied to"
    )
    assert (shape(served), content(served)) == before


def test_the_application_role_does_what_it_is_there_for(served: Empty) -> None:
    for statement in (
        "INSERT INTO audit_record (id, time, fact, outcome, body, leaf_hash) VALUES ('n', 1, 'f', 'o', '', '')",
        "INSERT INTO audit_personal VALUES ('n', NULL, 's', '{}')",
        "DELETE FROM denial",
        "UPDATE version_stamp SET number = number + 1",
    ):
        served.execute(served.application, statement)
    assert len(served.execute(served.application, "SELECT version_num FROM alembic_version")) == 1


def test_a_session_that_says_no_tenant_sees_and_changes_nothing(served: Empty) -> None:
    walled = [
        table.name
        for metadata in schema.METADATA
        for table in metadata.sorted_tables
        if wall_column(table) is not None
    ]
    assert {"access_grant", "logout_notice", "refresh_token"} <= set(walled) and len(walled) >= 12
    for said in (None, "", "initech"):
        with psycopg.connect(served.application) as connection:
            if said is not None:
                connection.execute("SELECT set_config('broker.tenant', %s, false)", (said,))
            for name in walled:
                rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
                assert all("canary" not in repr(row) for row in rows), (said, name)
                assert said == "initech" or rows == [], (said, name)
                if name not in EVIDENCE:
                    assert connection.execute(f"DELETE FROM {name}").rowcount == len(rows)
    with psycopg.connect(served.application) as connection:
        connection.execute("SELECT set_config('broker.tenant', '*', false)")
        assert all(connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in walled)


def test_not_even_the_owner_passes_the_walls_unsaid(served: Empty) -> None:
    with psycopg.connect(served.owner) as connection:
        assert connection.execute("SELECT * FROM client").fetchall() == []
        assert connection.execute("SELECT * FROM audit_record").fetchall() == []


@pytest.mark.parametrize("tenant", [None, "globex"])
def test_a_row_of_another_tenant_or_of_none_is_not_written(served: Empty, tenant: str | None) -> None:
    """What a statement that forgot its scoping would do is refused by the database."""
    database = open_database(served.application)

    def write(tx: Transaction) -> None:
        tx.connection.exec_driver_sql(
            "INSERT INTO membership VALUES ('u', %s, '[]', '{}')", (tenant or "initech",)
        )

    with pytest.raises(Unavailable):
        database.write(write, "acme")
    database.write(write)
    database.close()


def test_a_new_tenant_is_the_servers_to_make(served: Empty) -> None:
    from broker.identity.tenants import store as tenants

    database = open_database(served.application)
    with pytest.raises(Unavailable):
        database.write(lambda tx: tenants.put(Transaction(tx.connection, None), Tenant("new", "New")), "acme")
    database.write(lambda tx: tenants.put(tx, Tenant("new", "New")))
    database.close()
