"""Quotas of lines, and how often a job's turn was passed over."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "line_quota",
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("batches", sa.Integer(), nullable=True),
        sa.Column("items_per_day", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("line", name="line_quota_pkey"),
    )
    op.add_column("job", sa.Column("passed_over", sa.Integer(), nullable=False, server_default="0"))
