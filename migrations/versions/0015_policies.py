"""Policies that an estate has beside the built-in ones."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "policy_text",
        sa.Column("tenant", sa.String(128), primary_key=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        seen = f"{HERE} = '*' OR tenant = {HERE}"
        op.execute("ALTER TABLE policy_text ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE policy_text FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY wall ON policy_text USING ({seen}) WITH CHECK ({seen})")
