"""Questions whether one exact act may happen, who answered, the mails that tell of them; which accounts are one person."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

WALLED = ("approval", "approval_vote", "approval_letter")
HERE = "current_setting('broker.tenant', true)"


def upgrade() -> None:
    op.create_table(
        "approval",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("door", sa.String(512), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("waiting", sa.String(64)),
        sa.Column("subject", sa.String(512), nullable=False),
        sa.Column("user", sa.Boolean(), nullable=False),
        sa.Column("client_id", sa.String(512), nullable=False),
        sa.Column("grant_id", sa.String(200)),
        sa.Column("txn", sa.String(200)),
        sa.Column("resource_id", sa.String(128), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text()),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("good_for", sa.Integer(), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("requested_at", sa.Float()),
        sa.Column("answered_at", sa.Float()),
        sa.Column("answered_by", sa.String(128)),
        sa.Column("why", sa.Text()),
        sa.Column("spent_at", sa.Float()),
        sa.Column("decision_id", sa.String(64)),
        sa.Column("request_key", sa.String(64)),
        sa.UniqueConstraint("tenant", "door", "waiting", name="uq_approval_waiting"),
    )
    op.create_index("ix_approval_expires_at", "approval", ["expires_at"])
    op.create_index("ix_approval_digest", "approval", ["tenant", "digest"])
    op.create_index("ix_approval_client", "approval", ["tenant", "client_id", "created_at"])
    op.create_table(
        "approval_vote",
        sa.Column("approval_id", sa.String(40), primary_key=True),
        sa.Column("user_id", sa.String(128), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
    )
    op.create_table(
        "approval_letter",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("approval_id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_approval_letter_next_at", "approval_letter", ["next_at"])
    op.create_table(
        "identity_person",
        sa.Column("link_id", sa.String(64), primary_key=True),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
    )
    op.create_index("ix_identity_person_person", "identity_person", ["person"])
    op.create_index("ix_identity_person_user_id", "identity_person", ["user_id"])
    _know_linked()
    if op.get_bind().dialect.name == "postgresql":
        for table in WALLED:
            seen = f"{HERE} = '*' OR tenant = {HERE}"
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(f"CREATE POLICY wall ON {table} USING ({seen}) WITH CHECK ({seen})")


def _know_linked() -> None:
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        bind.execute(sa.text("SELECT set_config('broker.tenant', '*', true)"))
    found = bind.execute(sa.text("SELECT id, issuer, subject, user_id FROM identity_link")).all()
    known = [
        {
            "link_id": row.id,
            "person": hashlib.sha256(f"{row.issuer}\0{row.subject}".encode()).hexdigest(),
            "user_id": row.user_id,
        }
        for row in found
    ]
    if known:
        added = "INSERT INTO identity_person (link_id, person, user_id) VALUES (:link_id, :person, :user_id)"
        bind.execute(sa.text(added), known)


def downgrade() -> None:
    op.drop_table("identity_person")
    for table in WALLED:
        op.drop_table(table)
