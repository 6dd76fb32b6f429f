"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "model",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("architecture", sa.String(length=32), nullable=False),
        sa.Column("bundle_uri", sa.Text(), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("false_alarms", sa.Double(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("previous_id", _ID, nullable=True),
        sa.ForeignKeyConstraint(["previous_id"], ["model.id"], name="model_previous_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="model_pkey"),
        sa.UniqueConstraint("name", "version", name="model_name_version_key"),
    )
    op.create_index(
        "model_active_key",
        "model",
        ["name"],
        unique=True,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "schedule",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("model_name", sa.String(length=64), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=True),
        sa.Column("at", sa.String(length=5), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("only_new", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="schedule_pkey"),
        sa.UniqueConstraint("name", name="schedule_name_key"),
    )
    op.create_table(
        "worker",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.Column("alive_until", _MOMENT, nullable=False),
        sa.Column("progress_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("name", name="worker_pkey"),
    )
    op.create_table(
        "fit",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fencing", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", _MOMENT, nullable=True),
        sa.Column("published_at", _MOMENT, nullable=True),
        sa.Column("model_id", _ID, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fit_model_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="fit_pkey"),
    )
    op.create_table(
        "job",
        sa.Column("id", _ID, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=True),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("recursive", sa.Boolean(), nullable=False),
        sa.Column("glob", sa.Text(), nullable=True),
        sa.Column("only_new", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("submitter", sa.Text(), nullable=False),
        sa.Column("listing_at", _MOMENT, nullable=False),
        sa.Column("listed_at", _MOMENT, nullable=True),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.Column("seen_before", sa.BigInteger(), nullable=False),
        sa.Column("left_out", sa.Text(), nullable=False),
        sa.Column("deferred", sa.Text(), nullable=False),
        sa.Column("listed", sa.BigInteger(), nullable=False),
        sa.Column("scored", sa.BigInteger(), nullable=False),
        sa.Column("flagged", sa.BigInteger(), nullable=False),
        sa.Column("unreadable", sa.BigInteger(), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.Column("cancelled", sa.BigInteger(), nullable=False),
        sa.Column("validity", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=True),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="job_model_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="job_pkey"),
        sa.UniqueConstraint("key", name="job_key_key"),
    )
    op.create_index("job_model_id_idx", "job", ["model_id"], unique=False)
    op.create_index("job_state_idx", "job", ["state"], unique=False)
    op.create_table(
        "batch",
        sa.Column("id", _ID, nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fencing", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", _MOMENT, nullable=True),
        sa.Column("waiting_since", _MOMENT, nullable=False),
        sa.Column("published_at", _MOMENT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("code_version", sa.String(length=32), nullable=True),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="batch_job_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="batch_pkey"),
        sa.UniqueConstraint("job_id", "number", name="batch_job_id_number_key"),
    )
    op.create_index(
        "batch_open_idx",
        "batch",
        ["state", "job_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('waiting', 'leased')"),
        postgresql_where=sa.text("state IN ('waiting', 'leased')"),
    )
    op.create_table(
        "schedule_run",
        sa.Column("id", _ID, nullable=False),
        sa.Column("schedule_id", _ID, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.Column("job_id", _ID, nullable=True),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="schedule_run_job_id_fkey"),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedule.id"], name="schedule_run_schedule_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="schedule_run_pkey"),
        sa.UniqueConstraint("schedule_id", "due_at", name="schedule_run_schedule_id_due_at_key"),
    )
    op.create_table(
        "item",
        sa.Column("id", _ID, nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("batch_id", _ID, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name="item_batch_id_fkey"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="item_job_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="item_pkey"),
        sa.UniqueConstraint("path", "job_id", name="item_path_job_id_key"),
    )
    op.create_index("item_batch_id_idx", "item", ["batch_id"], unique=False)
    op.create_index("item_job_id_state_idx", "item", ["job_id", "state"], unique=False)
    op.create_table(
        "result",
        sa.Column("item_id", _ID, autoincrement=False, nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("raw_score", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("p_value", sa.Double(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("map_uri", sa.Text(), nullable=True),
        sa.Column("scored_at", _MOMENT, nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("line", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="result_item_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="result_job_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="result_model_id_fkey"),
        sa.PrimaryKeyConstraint("item_id", name="result_pkey"),
    )
    op.create_index(
        "result_flagged_job_idx",
        "result",
        ["job_id", "score"],
        unique=False,
        sqlite_where=sa.text("flagged"),
        postgresql_where=sa.text("flagged"),
    )
    op.create_index(
        "result_flagged_night_idx",
        "result",
        ["night", "line", "score"],
        unique=False,
        sqlite_where=sa.text("flagged"),
        postgresql_where=sa.text("flagged"),
    )
    op.create_table(
        "verdict",
        sa.Column("id", _ID, nullable=False),
        sa.Column("item_id", _ID, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("reviewer", sa.Text(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="verdict_item_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="verdict_pkey"),
    )
    op.create_index("verdict_item_id_idx", "verdict", ["item_id"], unique=False)
