"""The tables. A change here goes with a migration in `db/migrations/versions`; a test compares the two."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    and_,
    text,
)

from db.types import FilePath, Json, Line, Moment, Word
from oddlot.words import BatchState, FitState, ItemState, JobState, ModelState, Role, Verdict

HEAD = "0012"
"""The migration that this program needs; known here so that a query needs no Alembic."""

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

TALLIED = ("batches", "scored", "flagged", "unreadable", "quarantined", "cancelled")
STAGES = ("loading", "reading", "scoring", "writing")
"""Where the time of a batch goes: the model, waiting for pictures, the detector with its heat maps, the database."""

# Only a column declared INTEGER is SQLite's own row number.
Id = BigInteger().with_variant(Integer, "sqlite")

model = Table(
    "model",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Word(ModelState), nullable=False),
    Column("architecture", String(32), nullable=False),
    Column("bundle_uri", FilePath, nullable=False),
    Column("bundle_sha256", String(64), nullable=False),
    Column("threshold", Double, nullable=False),
    Column("false_alarms", Double, nullable=False),
    Column("card", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    # The version that was active when this one became it: where a rollback leads.
    Column("previous_id", Id, ForeignKey("model.id")),
    UniqueConstraint("name", "version"),
)
Index(
    "model_active_key",
    model.c.name,
    unique=True,
    sqlite_where=model.c.state == ModelState.ACTIVE,
    postgresql_where=model.c.state == ModelState.ACTIVE,
)

job = Table(
    "job",
    metadata,
    Column("id", Id, primary_key=True),
    Column("model_id", Id, ForeignKey("model.id"), nullable=False),
    Column("source", FilePath, nullable=False),
    Column("line", Line),
    Column("lot", Line, nullable=False),
    Column("key", Line, unique=True),
    Column("priority", Integer, nullable=False),
    Column("recursive", Boolean, nullable=False),
    Column("glob", Line),
    Column("only_new", Boolean, nullable=False),
    Column("state", Word(JobState), nullable=False),
    Column("night", Date, nullable=False),
    # Who lists the folder, and when it last said so: a listing that died can be taken up again.
    Column("submitter", Line, nullable=False),
    Column("listing_at", Moment, nullable=False),
    # When the whole folder was in SQL. Without it the job can only be listed anew, whatever its state.
    Column("listed_at", Moment),
    Column("found", BigInteger, nullable=False),
    Column("seen_before", BigInteger, nullable=False),
    Column("left_out", Json, nullable=False),
    Column("deferred", Json, nullable=False),
    Column("listed", BigInteger, nullable=False),
    # The completeness record, counted from the items when the job finishes.
    Column("scored", BigInteger, nullable=False),
    Column("flagged", BigInteger, nullable=False),
    Column("unreadable", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    # Why a night should not be believed, for the state `held`.
    Column("validity", Json),
    Column("error", Line),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    # When `oddlot db prune` began to remove its results and files, and whether it is still at it; the completeness
    # record stays.
    Column("pruned_at", Moment),
    Column("pruning", Boolean),
    # Its items have numbers in this range, in which others may have some, too: a range costs the same wherever it lies.
    Column("first_item", BigInteger),
    Column("last_item", BigInteger),
    # Turns of it that went to jobs whose model a process had loaded, since one of its batches was taken.
    Column("passed_over", Integer, nullable=False, server_default="0"),
    # When the queue was last told of one of its batches: of equally urgent jobs the one is next that waits for longest.
    Column("told_at", Moment),
)
Index("job_state_idx", job.c.state)
Index("job_model_id_idx", job.c.model_id)

batch = Table(
    "batch",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Word(BatchState), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fencing", BigInteger, nullable=False),
    Column("owner", Line),
    Column("lease_expires_at", Moment),
    Column("waiting_since", Moment, nullable=False),
    Column("published_at", Moment),
    Column("error", Line),
    # Where and by what the results were computed.
    Column("host", Line),
    Column("code_version", String(32)),
    Column("scored_on", Line),
    Column("finished_at", Moment),
    # How its pictures look, apart from what the detector thinks of them: what decides whether a night is held.
    Column("look", Json),
    UniqueConstraint("job_id", "number"),
)
_open = batch.c.state.in_([BatchState.WAITING, BatchState.LEASED])
Index("batch_open_idx", batch.c.state, batch.c.job_id, sqlite_where=_open, postgresql_where=_open)

item = Table(
    "item",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("batch_id", Id, ForeignKey("batch.id"), nullable=False),
    Column("path", FilePath, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    # Of an object: what names its content.
    Column("etag", Line),
    Column("sha256", String(64)),
    Column("state", Word(ItemState), nullable=False),
    Column("error", Line),
    Column("note", Line),
    # In this order it also answers "has this path been seen?", for --only-new.
    UniqueConstraint("path", "job_id"),
)
Index("item_job_id_state_idx", item.c.job_id, item.c.state)
Index("item_batch_id_idx", item.c.batch_id)

result = Table(
    "result",
    metadata,
    Column("item_id", Id, ForeignKey("item.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("job_id", Id, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("model_id", Id, ForeignKey("model.id"), nullable=False),
    Column("raw_score", Double, nullable=False),
    Column("score", Double, nullable=False),
    Column("p_value", Double, nullable=False),
    Column("flagged", Boolean, nullable=False),
    Column("parts", Json, nullable=False),
    Column("map_uri", FilePath),
    Column("scored_at", Moment, nullable=False),
    Column("night", Date, nullable=False),
    Column("line", Line),
    # The word that stands in `verdict`, kept by `db.verdict_marks`: so that pages and counts need not look there.
    Column("verdict", Word(Verdict)),
)
# Flagged is one picture in a hundred, so these cost the writing of results next to nothing. They hold all that a
# page of the flagged is found by, whatever the filter; only the rows that are shown are then read from the tables.
# `flagged` is in them, too: SQLite would otherwise read every row to see that it is.
_score, _flagged = result.c.score, result.c.flagged
_only_flagged: dict[str, Any] = {"sqlite_where": _flagged, "postgresql_where": _flagged}
Index(
    "result_flagged_job_idx", result.c.job_id, _score, result.c.item_id, result.c.verdict, _flagged, **_only_flagged
)  # fmt: skip
Index(
    "result_flagged_score_idx", _score, result.c.item_id, result.c.job_id, result.c.verdict, _flagged, **_only_flagged
)  # fmt: skip
Index(
    "result_flagged_scored_at_idx", result.c.scored_at, _score, result.c.item_id, result.c.job_id, result.c.verdict,
    _flagged, **_only_flagged,
)  # fmt: skip
_judged = result.c.verdict.is_not(None)
Index(
    "result_judged_idx", result.c.job_id, result.c.verdict, _flagged, sqlite_where=_judged, postgresql_where=_judged
)  # fmt: skip

IS_FLAGGED = text("result.flagged")
"""As those indexes have it: SQLite does not use them where it reads `flagged = 1`, which is what the column becomes."""

IS_OPEN = text(f"batch.state IN ('{BatchState.WAITING}', '{BatchState.LEASED}')")
"""As `batch_open_idx` has it: SQLite does not use it where the words are parameters. Goes beside what else is asked."""
IS_WAITING = and_(batch.c.state == BatchState.WAITING, IS_OPEN)
IS_LEASED = and_(batch.c.state == BatchState.LEASED, IS_OPEN)

tally = Table(
    # What has come to an end, by model version and line: numbers that only grow, whatever is retried, discarded or
    # pruned later, so that nobody has to count results to draw them. An item that is retried has come to an end twice.
    # Written last in the transaction that ends a batch, under the lock on its job; seconds are those of the batches
    # recorded.
    "tally",
    metadata,
    Column("id", Id, primary_key=True),
    Column("model_id", Id, ForeignKey("model.id"), nullable=False),
    # Empty where the job has none: a key has no NULL.
    Column("line", Line, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in TALLIED),
    *(Column(f"{name}_seconds", Double, nullable=False) for name in STAGES),
    UniqueConstraint("model_id", "line"),
)

verdict = Table(
    "verdict",
    metadata,
    Column("id", Id, primary_key=True),
    Column("item_id", Id, ForeignKey("item.id"), nullable=False),
    Column("verdict", Word(Verdict), nullable=False),
    Column("kind", Line),
    Column("note", Line),
    Column("reviewer", Line),
    Column("at", Moment, nullable=False),
)
Index("verdict_item_id_idx", verdict.c.item_id)

audit = Table(
    # Items that were not flagged and are shown to a person all the same, drawn by chance when they were scored: from
    # their verdicts the miss rate is estimated. `share` is the probability with which each unflagged item was drawn.
    "audit",
    metadata,
    Column("item_id", Id, ForeignKey("item.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("job_id", Id, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("share", Double, nullable=False),
    # As in `result`.
    Column("verdict", Word(Verdict)),
)
Index("audit_job_id_share_verdict_idx", audit.c.job_id, audit.c.share, audit.c.verdict)

delivery = Table(
    # The report of a finished job on its way to a folder, to people or to another program; tried again until it is
    # there or has failed too often. `target` is what the settings name.
    "delivery",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("target", Line, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", Line),
    # Not before then: the next attempt, or the end of the lease of the one that is being made.
    Column("next_at", Moment),
    Column("error", Line),
    Column("created_at", Moment, nullable=False),
    Column("delivered_at", Moment),
    UniqueConstraint("job_id", "kind", "target"),
)

schedule = Table(
    "schedule",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Line, nullable=False, unique=True),
    Column("model_name", String(64), nullable=False),
    Column("folder", FilePath, nullable=False),
    Column("line", Line),
    Column("at", String(5), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("only_new", Boolean, nullable=False),
    # How long its results are kept; then a tick prunes them, but for what has a verdict. Without it, for ever.
    Column("keep_days", Integer),
    Column("paused", Boolean, nullable=False),
    # When it was created or last resumed: nothing that was due before is caught up.
    Column("active_since", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
)

schedule_run = Table(
    "schedule_run",
    metadata,
    Column("id", Id, primary_key=True),
    Column("schedule_id", Id, ForeignKey("schedule.id", ondelete="CASCADE"), nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("job_id", Id, ForeignKey("job.id")),
    # Who begins it, and since when. One that died before the folder was listed is followed by somebody else.
    Column("owner", Line),
    Column("started_at", Moment, nullable=False),
    # Why there is no listed job.
    Column("error", Line),
    # Due times before this one at which nobody was there to start a run.
    Column("missed", Integer, nullable=False),
    UniqueConstraint("schedule_id", "due_at"),
)

fit = Table(
    "fit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("options", Json, nullable=False),
    Column("state", Word(FitState), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fencing", BigInteger, nullable=False),
    Column("owner", Line),
    Column("lease_expires_at", Moment),
    Column("published_at", Moment),
    Column("model_id", Id, ForeignKey("model.id")),
    Column("error", Line),
    Column("created_at", Moment, nullable=False),
    Column("finished_at", Moment),
)

line_quota = Table(
    # What a line may take of the workers; without a row, or with nothing in it, it has no bound.
    "line_quota",
    metadata,
    Column("line", Line, primary_key=True),
    Column("batches", Integer),
    Column("items_per_day", BigInteger),
)

worker = Table(
    "worker",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("host", Line, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    # A worker that has not been seen by then counts as dead.
    Column("alive_until", Moment, nullable=False),
    Column("progress_at", Moment),
)

worker_restart = Table(
    "worker_restart",
    metadata,
    Column("id", Id, primary_key=True),
    Column("host", Line, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("reason", Line, nullable=False),
    Column("at", Moment, nullable=False),
)

account = Table(
    # A user of the review page. Removed ones stay, so that a name beside a verdict never becomes somebody else's.
    "account",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Line, nullable=False),
    # The name as it is looked up: telephones begin a word with a capital.
    Column("key", Line, nullable=False, unique=True),
    Column("password_hash", String(255), nullable=False),
    Column("role", Word(Role), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
)

token = Table(
    # What a program signs in with. Only the hash of the secret is kept.
    "token",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Line, nullable=False, unique=True),
    Column("role", Word(Role), nullable=False),
    # Whose it is: it ends with that user, and never does more than he may.
    Column("account_id", Id, ForeignKey("account.id")),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("used_at", Moment),
    Column("revoked_at", Moment),
)

session = Table(
    # A sign-in of a browser, by the hash of its cookie.
    "session",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("account_id", Id, ForeignKey("account.id"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
)
Index("session_account_id_idx", session.c.account_id)

sign_in = Table(
    # Sign-ins of the last minute that did not succeed, or are being looked at: what slows guessing down.
    "sign_in",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Line, nullable=False),
    Column("address", Line, nullable=False),
    Column("at", Moment, nullable=False),
)

audit_log = Table(
    # Who did what. Rows are only ever added.
    "audit_log",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("who", Line),
    Column("via", String(8), nullable=False),
    Column("action", String(32), nullable=False),
    Column("what", Line),
    Column("detail", Line),
)
Index("audit_log_at_idx", audit_log.c.at)
