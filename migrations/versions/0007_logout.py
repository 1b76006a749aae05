"""Logout tokens on their way to clients."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "logout_notice",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("door", sa.String(512), nullable=False),
        sa.Column("client_id", sa.String(512), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("sid", sa.String(40), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_logout_notice_next_at", "logout_notice", ["next_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE logout_notice ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE logout_notice FORCE ROW LEVEL SECURITY")
        seen = f"{HERE} = '*' OR tenant = {HERE}"
        op.execute(f"CREATE POLICY wall ON logout_notice USING ({seen}) WITH CHECK ({seen})")
