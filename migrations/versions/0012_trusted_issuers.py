"""Trusted issuers, workloads, servers of others; grants that rest on an issuer's word."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

WALLED = ("assertion_recipient", "trusted_issuer", "workload")
HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.add_column("access_grant", sa.Column("vouched_by", sa.String(128)))
    for table in WALLED:
        op.create_table(
            table,
            sa.Column("id", sa.String(128), primary_key=True),
            sa.Column("tenant", sa.String(128)),
            sa.Column("document", sa.Text(), nullable=False),
            sa.Column("deleted", sa.Boolean(), nullable=False),
        )
    if op.get_bind().dialect.name == "postgresql":
        for table in WALLED:  # rows without a tenant are the server's, and seen from everywhere
            seen = f"{HERE} = '*' OR tenant = {HERE} OR tenant IS NULL"
            seen = f"coalesce({HERE}, '') <> '' AND ({seen})"
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(f"CREATE POLICY wall ON {table} USING ({seen}) WITH CHECK ({seen})")
