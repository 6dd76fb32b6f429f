"""What names the content of an object that was listed in an object store."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("item", sa.Column("etag", sa.Text(), nullable=True))
