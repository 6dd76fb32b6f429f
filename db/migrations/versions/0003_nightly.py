"""What a nightly run needs beside its schedule: since when, who begins it, why it failed, what was missed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("schedule", sa.Column("keep_days", sa.Integer(), nullable=True))
    op.add_column("schedule", sa.Column("active_since", _MOMENT, nullable=True))
    op.execute("UPDATE schedule SET active_since = created_at")
    with op.batch_alter_table("schedule") as table:
        table.alter_column("active_since", existing_type=_MOMENT, nullable=False)
    op.add_column("schedule_run", sa.Column("owner", sa.Text(), nullable=True))
    op.add_column("schedule_run", sa.Column("error", sa.Text(), nullable=True))
    op.add_column("schedule_run", sa.Column("missed", sa.Integer(), nullable=True))
    op.execute("UPDATE schedule_run SET missed = 0")
    with op.batch_alter_table("schedule_run") as table:
        table.alter_column("missed", existing_type=sa.Integer(), nullable=False)
