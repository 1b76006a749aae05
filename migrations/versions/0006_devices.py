"""Device codes and the short codes that people type; which tenants let their people connect devices."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

HERE = "current_setting('broker.tenant', true)"
SEEN = f"coalesce({HERE}, '') <> '' AND ({HERE} = '*' OR tenant = {HERE} OR tenant IS NULL)"


def upgrade() -> None:
    op.add_column("tenant", sa.Column("device", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "device_code",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("user_hash", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(128)),
        sa.Column("door", sa.String(512), nullable=False),
        sa.Column("client_id", sa.String(512), nullable=False),
        sa.Column("resource_id", sa.String(128), nullable=False),
        sa.Column("challenge", sa.String(64), nullable=False),
        sa.Column("dpop_jkt", sa.String(43)),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("pace", sa.Integer(), nullable=False),
        sa.Column("polled_at", sa.Float()),
        sa.Column("hurried", sa.Boolean(), nullable=False),
        sa.Column("denied_at", sa.Float()),
        sa.Column("grant_id", sa.String(64)),
        sa.Column("spent_at", sa.Float()),
        sa.UniqueConstraint("hash", name="uq_device_code_hash"),
        sa.UniqueConstraint("user_hash", name="uq_device_code_user_hash"),
    )
    op.create_index("ix_device_code_expires_at", "device_code", ["expires_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE device_code ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE device_code FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY wall ON device_code USING ({SEEN}) WITH CHECK ({SEEN})")
