"""The vault: connections with sealed tokens, visits under way, what was released, and what providers must be told."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

WALLED = ("vault_connection", "vault_visit", "vault_release", "vault_farewell")
HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "vault_connection",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("resource_id", sa.String(128), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(200), nullable=False),
        sa.Column("account_name", sa.String(200), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("wider", sa.Text(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("refreshable", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.Float()),
        sa.Column("connected_at", sa.Float(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.Float()),
        sa.Column("why", sa.String(200)),
        sa.Column("key_id", sa.String(16)),
        sa.Column("data_key", sa.LargeBinary()),
        sa.Column("access", sa.LargeBinary()),
        sa.Column("refresh", sa.LargeBinary()),
        sa.Column("refresher", sa.String(64)),
        sa.Column("leased_until", sa.Float()),
        sa.UniqueConstraint("tenant", "user_id", "resource_id", name="uq_vault_connection_whose"),
    )
    op.create_table(
        "vault_visit",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("resource_id", sa.String(128), nullable=False),
        sa.Column("door", sa.String(512), nullable=False),
        sa.Column("browser", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("onward", sa.Text()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("consumed_at", sa.Float()),
    )
    op.create_index("ix_vault_visit_expires_at", "vault_visit", ["expires_at"])
    op.create_table(
        "vault_client",
        sa.Column("resource_id", sa.String(128), primary_key=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "vault_release",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("connection_id", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("resource_id", sa.String(128), nullable=False),
        sa.Column("via", sa.String(128), nullable=False),
        sa.Column("client_id", sa.String(512), nullable=False),
        sa.Column("grant_id", sa.String(200), nullable=False),
        sa.Column("txn", sa.String(200), nullable=False),
        sa.Column("jti_hash", sa.String(64), nullable=False),
        sa.Column("targets", sa.Text(), nullable=False),
        sa.Column("released_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float()),
        sa.Column("ended_at", sa.Float()),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_vault_release_connection_id", "vault_release", ["connection_id"])
    op.create_index("ix_vault_release_expires_at", "vault_release", ["expires_at"])
    op.create_table(
        "vault_farewell",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("connection_id", sa.String(40), nullable=False),
        sa.Column("resource_id", sa.String(128), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("expires_at", sa.Float()),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_vault_farewell_next_at", "vault_farewell", ["next_at"])
    if op.get_bind().dialect.name == "postgresql":
        for table in WALLED:
            seen = f"{HERE} = '*' OR tenant = {HERE}"
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(f"CREATE POLICY wall ON {table} USING ({seen}) WITH CHECK ({seen})")
