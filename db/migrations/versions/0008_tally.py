"""What has come to an end so far, for metrics that only grow."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STATES = ("scored", "unreadable", "quarantined", "cancelled")
STAGES = ("loading", "reading", "scoring", "writing")


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("id", _ID, nullable=False),
        sa.Column("model_id", _ID, sa.ForeignKey("model.id", name="tally_model_id_fkey"), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("batches", "scored", "flagged", *STATES[1:])),
        *(sa.Column(f"{name}_seconds", sa.Double(), nullable=False) for name in STAGES),
        sa.PrimaryKeyConstraint("id", name="tally_pkey"),
        sa.UniqueConstraint("model_id", "line", name="tally_model_id_line_key"),
    )
    # Of finished jobs their records tell it, also where results were pruned; only open ones are counted.
    of_open = {state: f"SELECT count(*) FROM item WHERE job_id = job.id AND state = '{state}'" for state in STATES}
    of_open["flagged"] = "SELECT count(*) FROM result WHERE job_id = job.id AND result.flagged"
    counts = ", ".join(
        f"sum(CASE WHEN finished_at IS NULL THEN ({query}) ELSE {name} END)" for name, query in of_open.items()
    )
    done = "sum((SELECT count(*) FROM batch WHERE job_id = job.id AND state = 'done'))"
    op.execute(
        f"INSERT INTO tally (model_id, line, batches, {', '.join(of_open)}, {'_seconds, '.join(STAGES)}_seconds)"
        f" SELECT model_id, coalesce(line, ''), {done}, {counts}, 0, 0, 0, 0 FROM job"
        " GROUP BY model_id, coalesce(line, '') ORDER BY min(id)"
    )
