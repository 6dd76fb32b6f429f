"""Views for other tools, which `db.migrate` makes after the last migration; and jobs that are being pruned."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("pruning", sa.Boolean(), nullable=True))
