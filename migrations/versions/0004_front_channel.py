"""What people prove when they sign in, and what of it a grant and a code carry on."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("access_grant", sa.Column("identity", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("access_grant", sa.Column("details", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("access_grant", sa.Column("sid", sa.String(40)))
    op.create_index("ix_access_grant_sid", "access_grant", ["sid"])
    op.add_column("access_grant", sa.Column("last_used_at", sa.Float()))
    op.add_column("authorization_code", sa.Column("nonce", sa.Text()))
    op.add_column("browser_session", sa.Column("sid", sa.String(40), nullable=False, server_default=""))
    op.create_index("ix_browser_session_sid", "browser_session", ["sid"])
    op.add_column("browser_session", sa.Column("provider", sa.String(128)))
    op.add_column("browser_session", sa.Column("source", sa.String(64)))
    op.add_column("browser_session", sa.Column("agent", sa.String(300)))
