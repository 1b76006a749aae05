"""Authorization requests that clients pushed beforehand, and tenants that take no others."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "pushed_request",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(128)),
        sa.Column("door", sa.String(512), nullable=False),
        sa.Column("client_id", sa.String(512), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False, index=True),
        sa.Column("spent_at", sa.Float()),
    )
    op.add_column("tenant", sa.Column("pushed_only", sa.Boolean(), nullable=False, server_default=sa.false()))
    if op.get_bind().dialect.name == "postgresql":
        seen = f"coalesce({HERE}, '') <> '' AND ({HERE} = '*' OR tenant = {HERE} OR tenant IS NULL)"
        op.execute("ALTER TABLE pushed_request ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE pushed_request FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY wall ON pushed_request USING ({seen}) WITH CHECK ({seen})")
