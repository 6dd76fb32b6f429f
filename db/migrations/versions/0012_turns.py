"""When the queue was last told of a batch of a job: whose turn is next."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
