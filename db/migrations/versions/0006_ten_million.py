"""Indexes for a database of ten million results, and the word that stands beside each result and draw."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INDEXES = {
    "result_flagged_job_idx": (["job_id", "score", "item_id", "verdict", "flagged"], "flagged"),
    "result_flagged_score_idx": (["score", "item_id", "job_id", "verdict", "flagged"], "flagged"),
    "result_flagged_scored_at_idx": (["scored_at", "score", "item_id", "job_id", "verdict", "flagged"], "flagged"),
    "result_judged_idx": (["job_id", "verdict", "flagged"], "verdict IS NOT NULL"),
}


def upgrade() -> None:
    for end in ("first_item", "last_item"):
        op.add_column("job", sa.Column(end, sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE job SET first_item = ends.low, last_item = ends.high FROM"
        " (SELECT job_id, min(id) AS low, max(id) AS high FROM item GROUP BY job_id) AS ends WHERE ends.job_id = job.id"
    )
    for table in ("result", "audit"):
        op.add_column(table, sa.Column("verdict", sa.String(16), nullable=True))
        latest = f"(SELECT max(id) FROM verdict WHERE item_id = {table}.item_id)"
        op.execute(
            f"UPDATE {table} SET verdict = (SELECT verdict.verdict FROM verdict WHERE verdict.id = {latest})"
            " WHERE item_id IN (SELECT item_id FROM verdict)"
        )
    op.drop_index("audit_job_id_idx", "audit")
    op.create_index("audit_job_id_share_verdict_idx", "audit", ["job_id", "share", "verdict"])
    op.drop_index("result_flagged_job_idx", "result")
    op.drop_index("result_flagged_night_idx", "result")
    for name, (columns, where) in INDEXES.items():
        op.create_index(name, "result", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
