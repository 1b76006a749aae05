"""Leases; evidence that only grows; on PostgreSQL, row-level security as the second wall between tenants."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Tables with a tenant column, and whether rows without a tenant are the server's and seen from everywhere.
WALLED = {
    "access_grant": False,
    "authorization_code": False,
    "authorization_request": True,
    "client": True,
    "client_origin": True,
    "client_secret": True,
    "denial": True,
    "membership": False,
    "refresh_token": False,
}
EVIDENCE = ("audit_record", "audit_personal")
HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(128), nullable=False),
        sa.Column("ends_at", sa.Float(), nullable=False),
    )
    op.execute(  # a database in use has them
        "INSERT INTO version_stamp (name, number) VALUES ('estate', 1), ('keys', 1) ON CONFLICT DO NOTHING"
    )
    if op.get_bind().dialect.name == "postgresql":
        _keep_evidence_on_postgresql()
        _walls()
    else:
        _keep_evidence_on_sqlite()


def _keep_evidence_on_sqlite() -> None:
    """A record is never changed or deleted; only its place in the log (`seq`) is given once, later."""
    unchanged = " AND ".join(
        f"NEW.{name} IS OLD.{name}"
        for name in (
            "id",
            "time",
            "tenant",
            "fact",
            "outcome",
            "client",
            "txn",
            "grant_id",
            "jti_hash",
            "parent_jti_hash",
            "request_id",
            "body",
            "leaf_hash",
        )
    )
    refuse = "BEGIN SELECT RAISE(ABORT, 'audit records are never changed or deleted'); END"
    op.execute(f"CREATE TRIGGER audit_record_stays BEFORE DELETE ON audit_record {refuse}")
    # REPLACE deletes what is in its way without asking the trigger above.
    there = "EXISTS (SELECT 1 FROM audit_record WHERE id = NEW.id OR seq = NEW.seq)"
    op.execute(f"CREATE TRIGGER audit_record_is_new BEFORE INSERT ON audit_record WHEN {there} {refuse}")
    taken = "EXISTS (SELECT 1 FROM audit_record WHERE seq = NEW.seq)"
    op.execute(
        "CREATE TRIGGER audit_record_is_final BEFORE UPDATE ON audit_record"
        f" WHEN NOT ({unchanged} AND OLD.seq IS NULL) OR {taken} {refuse}"
    )


def _keep_evidence_on_postgresql() -> None:
    op.execute(
        """
        CREATE FUNCTION audit_record_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND OLD.seq IS NULL
               AND (to_jsonb(NEW) - 'seq') = (to_jsonb(OLD) - 'seq') THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'audit records are never changed or deleted';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER audit_record_is_final BEFORE UPDATE OR DELETE ON audit_record"
        " FOR EACH ROW EXECUTE FUNCTION audit_record_is_final()"
    )
    op.execute(
        "CREATE TRIGGER audit_record_stays BEFORE TRUNCATE ON audit_record"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_record_is_final()"
    )


def _walls() -> None:
    """A transaction says its tenant (`broker.tenant`, `*` for the server itself); one that says nothing sees nothing."""
    for table, server_rows in WALLED.items():
        seen = f"{HERE} = '*' OR tenant = {HERE}" + (" OR tenant IS NULL" if server_rows else "")
        if server_rows:
            seen = f"coalesce({HERE}, '') <> '' AND ({seen})"
        _wall(table)
        op.execute(f"CREATE POLICY wall ON {table} USING ({seen}) WITH CHECK ({seen})")
    _wall("tenant")
    op.execute(f"CREATE POLICY wall ON tenant USING ({HERE} = '*' OR id = {HERE})")
    for table in EVIDENCE:
        _wall(table)
        op.execute(f"CREATE POLICY seen ON {table} FOR SELECT USING ({HERE} = '*' OR tenant = {HERE})")
        added = f"coalesce({HERE}, '') <> '' AND ({HERE} = '*' OR tenant = {HERE} OR tenant IS NULL)"
        op.execute(f"CREATE POLICY added ON {table} FOR INSERT WITH CHECK ({added})")
    for name, verb in (("ordered", "UPDATE"), ("erased", "DELETE")):
        table = EVIDENCE[0] if verb == "UPDATE" else EVIDENCE[1]
        op.execute(f"CREATE POLICY {name} ON {table} FOR {verb} USING ({HERE} = '*')")


def _wall(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
