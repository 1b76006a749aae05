"""Idempotency keys, decisions that permitted, and their outcomes; evidence is found by its decision."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

RECORD = (
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
    "decision",
    "body",
    "leaf_hash",
)
HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "permit",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("resource", sa.String(128), nullable=False),
        sa.Column("tool", sa.String(256), nullable=False),
        sa.Column("subject", sa.String(512), nullable=False),
        sa.Column("client_id", sa.String(512), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("keyed", sa.Boolean(), nullable=False),
        sa.Column("slot", sa.String(64)),
        sa.Column("txn", sa.String(200)),
        sa.Column("grant_id", sa.String(200)),
        sa.Column("made_at", sa.Float(), nullable=False),
        sa.Column("slot_until", sa.Float(), nullable=False),
        sa.Column("kept_until", sa.Float(), nullable=False),
        sa.Column("outcome", sa.Text()),
        sa.Column("reported_at", sa.Float()),
        sa.UniqueConstraint("slot", name="uq_permit_slot"),
    )
    op.create_index("ix_permit_kept_until", "permit", ["kept_until"])
    op.add_column("audit_record", sa.Column("decision", sa.String(40)))
    op.create_index("ix_audit_record_decision", "audit_record", ["decision"])
    if op.get_bind().dialect.name == "postgresql":
        seen = f"{HERE} = '*' OR tenant = {HERE}"
        op.execute("ALTER TABLE permit ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE permit FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY wall ON permit USING ({seen}) WITH CHECK ({seen})")
    else:
        unchanged = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in RECORD)
        taken = "EXISTS (SELECT 1 FROM audit_record WHERE seq = NEW.seq)"
        refuse = "BEGIN SELECT RAISE(ABORT, 'audit records are never changed or deleted'); END"
        op.execute("DROP TRIGGER audit_record_is_final")
        op.execute(
            "CREATE TRIGGER audit_record_is_final BEFORE UPDATE ON audit_record"
            f" WHEN NOT ({unchanged} AND OLD.seq IS NULL) OR {taken} {refuse}"
        )
