"""Passkeys, one-time codes and recovery codes beside passwords."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "passkey",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("handle", sa.String(128), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("eligible", sa.Boolean(), nullable=False),
        sa.Column("backed_up", sa.Boolean(), nullable=False),
        sa.Column("transports", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("last_used_at", sa.Float()),
        sa.UniqueConstraint("credential", name="uq_passkey_credential"),
    )
    op.create_index("ix_passkey_user_id", "passkey", ["user_id"])
    op.create_table(
        "totp",
        sa.Column("user_id", sa.String(128), primary_key=True),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "recovery_code",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("spent_at", sa.Float()),
    )
    op.create_index("ix_recovery_code_user_id", "recovery_code", ["user_id"])
    op.create_table(
        "ceremony",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("user_id", sa.String(128)),
        sa.Column("session_id", sa.String(40)),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("spent_at", sa.Float()),
    )
    op.create_index("ix_ceremony_user_id", "ceremony", ["user_id"])
    op.create_index("ix_ceremony_expires_at", "ceremony", ["expires_at"])
    op.create_table(
        "credential_notice",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.String(100)),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("source", sa.String(64)),
        sa.Column("agent", sa.String(300)),
    )
    op.create_index("ix_credential_notice_user_id", "credential_notice", ["user_id"])
    op.create_index("ix_credential_notice_at", "credential_notice", ["at"])
