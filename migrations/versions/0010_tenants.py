"""Which tenant a person chose for a client, and the resources that tenants claim."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

WALLED = ("resource_claim", "tenant_choice")
HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "tenant_choice",
        sa.Column("user_id", sa.String(128), primary_key=True),
        sa.Column("client_id", sa.String(512), primary_key=True),
        sa.Column("tenant", sa.String(128), primary_key=True),
        sa.Column("chosen_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_tenant_choice_expires_at", "tenant_choice", ["expires_at"])
    op.create_table(
        "resource_claim",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("uri", sa.String(2048), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("made_at", sa.Float(), nullable=False),
        sa.Column("checked_at", sa.Float()),
        sa.Column("resource_id", sa.String(128)),
        sa.UniqueConstraint("tenant", "uri", name="uq_resource_claim_tenant"),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in WALLED:
            seen = f"{HERE} = '*' OR tenant = {HERE}"
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(f"CREATE POLICY wall ON {table} USING ({seen}) WITH CHECK ({seen})")
