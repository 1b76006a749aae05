"""Edges say when and by whom they were made; those of before say neither."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("edge", sa.Column("created_at", sa.Float()))
    op.add_column("edge", sa.Column("created_by", sa.String(128)))
