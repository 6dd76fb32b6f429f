"""The morning after: how pictures look, the blind audit, reports on their way, what was pruned."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("job", sa.Column("pruned_at", _MOMENT, nullable=True))
    op.add_column("batch", sa.Column("look", sa.Text(), nullable=True))
    op.create_table(
        "audit",
        sa.Column(
            "item_id", _ID, sa.ForeignKey("item.id", name="audit_item_id_fkey", ondelete="CASCADE"),
            autoincrement=False, nullable=False,
        ),
        sa.Column(
            "job_id", _ID, sa.ForeignKey("job.id", name="audit_job_id_fkey", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("share", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("item_id", name="audit_pkey"),
    )  # fmt: skip
    op.create_index("audit_job_id_idx", "audit", ["job_id"])
    op.create_table(
        "delivery",
        sa.Column("id", _ID, nullable=False),
        sa.Column(
            "job_id", _ID, sa.ForeignKey("job.id", name="delivery_job_id_fkey", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("next_at", _MOMENT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("delivered_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="delivery_pkey"),
        sa.UniqueConstraint("job_id", "kind", "target", name="delivery_job_id_kind_target_key"),
    )
