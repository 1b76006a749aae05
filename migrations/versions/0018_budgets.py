"""Budgets that administrators set, what was spent of each in a day, and webhooks on their way."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

# Whether rows without a tenant are the server's and seen from everywhere.
WALLED = {"budget": True, "budget_spent": False, "webhook_notice": False}
HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "budget",
        sa.Column("key", sa.String(800), primary_key=True),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("id", sa.String(640), nullable=False),
        sa.Column("tenant", sa.String(128)),
        sa.Column("per_minute", sa.Integer()),
        sa.Column("concurrent", sa.Integer()),
        sa.Column("calls_per_day", sa.Integer()),
        sa.Column("budget_per_day", sa.Float()),
    )
    op.create_table(
        "budget_spent",
        sa.Column("tenant", sa.String(128), primary_key=True),
        sa.Column("level", sa.String(16), primary_key=True),
        sa.Column("id", sa.String(800), primary_key=True),
        sa.Column("day", sa.Integer(), primary_key=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=False),
    )
    op.create_index("ix_budget_spent_day", "budget_spent", ["day"])
    op.create_table(
        "webhook_notice",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_webhook_notice_next_at", "webhook_notice", ["next_at"])
    if op.get_bind().dialect.name == "postgresql":
        for table, server_rows in WALLED.items():
            seen = f"{HERE} = '*' OR tenant = {HERE}"
            written = seen
            if server_rows:
                seen = f"coalesce({HERE}, '') <> '' AND ({seen} OR tenant IS NULL)"
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(f"CREATE POLICY wall ON {table} USING ({seen}) WITH CHECK ({written})")
