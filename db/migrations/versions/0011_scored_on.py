"""By which library, in which arithmetic and on which processor or card the results of a batch were computed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batch", sa.Column("scored_on", sa.Text(), nullable=True))
