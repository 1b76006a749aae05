"""Clients that prove themselves with keys, manage their registration, or are known by a document; proofs used once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "spent",
        sa.Column("purpose", sa.String(32), primary_key=True),
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_spent_expires_at", "spent", ["expires_at"])
    op.add_column("client", sa.Column("management_hash", sa.String(64)))
    op.add_column("client", sa.Column("fingerprint", sa.String(64)))
    op.create_index("ix_client_fingerprint", "client", ["fingerprint"])
    op.add_column("tenant", sa.Column("document_policy", sa.Text()))
    op.add_column("authorization_code", sa.Column("dpop_jkt", sa.String(43)))
    op.add_column("access_grant", sa.Column("client_digest", sa.String(64)))
    op.add_column("refresh_token", sa.Column("confirmation", sa.String(128)))
