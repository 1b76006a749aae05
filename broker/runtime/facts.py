"""What an operator should know of the database under a transaction: version, durability, role, evidence, time."""

from dataclasses import dataclass

from broker.runtime import postgres
from broker.runtime.database import Transaction

OLDEST_POSTGRESQL = 150000
_SAFE_COMMITS = ("on", "local", "remote_write", "remote_apply")
_ON = ("on",)

_PRAGMAS = {"journal_mode": ("wal",), "synchronous": ("FULL", "EXTRA")}
_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")
_SQLITE = (
    "SELECT sqlite_version(), (julianday('now') - 2440587.5) * 86400.0,"
    " (SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_record')"
)
_GUARDS = {"sqlite": 3, "postgresql": 2}
"""How many triggers of `audit_record` let it only grow."""
_UNWALLED = (
    "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')"
    " AND a.attname = 'tenant' AND NOT a.attisdropped AND NOT row_security_active(c.oid) ORDER BY 1"
)
_TRIGGERS = (
    "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass('audit_record')"
    " AND NOT tgisinternal AND tgenabled <> 'D'"
)
_CHANGES = (
    "SELECT coalesce(bool_or(has_table_privilege(c.oid, verb)), false)"
    " FROM pg_class c CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS verb"
    " WHERE c.oid = to_regclass('audit_record')"
)


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """`durability` holds (setting, its value, the values that are safe, the best first); `time` is epoch seconds.

    `unwalled` are tables of tenants on which row-level security does not hold the role. The embedded engine has
    no roles and no second wall, so nothing is said of them there.
    """

    engine: str
    version: str
    version_number: int
    time: float
    durability: tuple[tuple[str, str, tuple[str, ...]], ...]
    evidence_guarded: bool
    superuser: bool = False
    bypasses_walls: bool = False
    may_change_evidence: bool = False
    unwalled: tuple[str, ...] = ()


def facts(tx: Transaction) -> EngineFacts:
    """Read only; works on a database without a schema too."""
    return _postgresql(tx) if tx.connection.dialect.name == "postgresql" else _sqlite(tx)


def _sqlite(tx: Transaction) -> EngineFacts:
    version, time, triggers = tx.connection.exec_driver_sql(_SQLITE).one()
    found = {name: str(tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar()) for name in _PRAGMAS}
    found["synchronous"] = _SYNCHRONOUS[int(found["synchronous"])]
    return EngineFacts(
        engine="SQLite",
        version=str(version),
        version_number=0,
        time=float(time),
        durability=tuple((name, found[name], safe) for name, safe in _PRAGMAS.items()),
        evidence_guarded=triggers == _GUARDS["sqlite"],
    )


def _postgresql(tx: Transaction) -> EngineFacts:
    found = postgres.facts(tx.connection)
    number = int(found["server_version_num"])
    return EngineFacts(
        engine="PostgreSQL",
        version=f"{number // 10000}.{number % 10000}",
        version_number=number,
        time=float(found["time"]),
        durability=(
            ("synchronous_commit", found["synchronous_commit"], _SAFE_COMMITS),
            ("fsync", found["fsync"], _ON),
        ),
        evidence_guarded=tx.connection.exec_driver_sql(_TRIGGERS).scalar() == _GUARDS["postgresql"],
        superuser=found["superuser"] == "True",
        bypasses_walls=found["bypasses_walls"] == "True",
        may_change_evidence=bool(tx.connection.exec_driver_sql(_CHANGES).scalar()),
        unwalled=tuple(str(name) for name in tx.connection.exec_driver_sql(_UNWALLED).scalars()),
    )
