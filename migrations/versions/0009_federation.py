"""Identity providers, visits to them under way, and the accounts linked to theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

WALLED = ("federation_attempt", "identity_link", "identity_provider")
HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.add_column("tenant", sa.Column("identity_providers", sa.Text()))
    for table in ("browser_session", "access_grant"):
        op.add_column(table, sa.Column("dated", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.create_table(
        "identity_provider",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("tenant", sa.String(128)),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary()),
        sa.Column("deleted", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "federation_attempt",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(128)),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("door", sa.String(512), nullable=False),
        sa.Column("browser", sa.String(64), nullable=False),
        sa.Column("onward", sa.Text(), nullable=False),
        sa.Column("user_id", sa.String(128)),
        sa.Column("since", sa.Float()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("consumed_at", sa.Float()),
    )
    op.create_index("ix_federation_attempt_expires_at", "federation_attempt", ["expires_at"])
    op.create_table(
        "identity_link",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(128)),
        sa.Column("issuer", sa.String(512), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("linked_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float()),
    )
    op.create_index("ix_identity_link_user_id", "identity_link", ["user_id"])
    if op.get_bind().dialect.name == "postgresql":
        for table in WALLED:  # rows without a tenant are the server's, and seen from everywhere
            seen = f"{HERE} = '*' OR tenant = {HERE} OR tenant IS NULL"
            seen = f"coalesce({HERE}, '') <> '' AND ({seen})"
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(f"CREATE POLICY wall ON {table} USING ({seen}) WITH CHECK ({seen})")
