"""Every metric that Oddlot has: its name, its kind, what it says and by which labels. docs/metrics.md is made of this.

Labels are lines, models, hosts, schedules and words of the house: never the number of a job, a path or a person.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Name:
    """One metric; a counter only grows, as long as the database lives."""

    name: str
    kind: Literal["counter", "gauge"]
    says: str
    labels: tuple[str, ...] = ()


_PLACE = ("line", "model")

ALL = (
    Name("oddlot_items_total", "counter",
         "Items that came to an end, by terminal state; one that is retried counts again.", (*_PLACE, "state")),
    Name("oddlot_flagged_items_total", "counter", "Items that were flagged, those of held nights among them.", _PLACE),
    Name("oddlot_batches_total", "counter", "Batches whose results were recorded.", _PLACE),
    Name("oddlot_stage_seconds_total", "counter",
         "Seconds of one process that these batches took: loading the model, waiting for pictures to be "
         "read, scoring, writing.", (*_PLACE, "stage")),
    Name("oddlot_jobs", "gauge", "Jobs by their state.", ("state",)),
    Name("oddlot_held_jobs", "gauge", "Held jobs: they wait for somebody's word.", _PLACE),
    Name("oddlot_failed_jobs", "gauge", "Jobs that failed in the last day and were not retried.", _PLACE),
    Name("oddlot_batches", "gauge",
         "Open batches: waiting, leased (in work), stuck (the lease is over for a minute, and nobody put "
         "them back).", ("line", "state")),
    Name("oddlot_oldest_waiting_seconds", "gauge",
         "How long the oldest waiting batch has waited since it was made, or failed; 0 where none waits.", ("line",)),
    Name("oddlot_stalled", "gauge",
         "1 where work waits and does not go on, as /healthz and `oddlot doctor` see it; else 0."),
    Name("oddlot_workers", "gauge",
         "Living workers of a host; 0 where one was heard of in the last day and did not say that it "
         "stops.", ("host",)),
    Name("oddlot_worker_progress_seconds", "gauge",
         "How long ago a host ended a batch with results; not there where that is more than a day ago.", ("host",)),
    Name("oddlot_worker_restarts", "gauge",
         "Workers of a host that their watchdog ended in the last day because they took nothing.", ("host",)),
    Name("oddlot_clocks", "gauge", "Living clocks of the schedules (Celery's beat)."),
    Name("oddlot_queue_up", "gauge", "1 where the queue answers."),
    Name("oddlot_queue_messages", "gauge", "Messages in a queue; SQL knows of more that waits.", ("queue",)),
    Name("oddlot_fits", "gauge", "Queued and running fits.", ("state",)),
    Name("oddlot_oldest_fit_seconds", "gauge",
         "How long ago the oldest fit that is still queued was asked for; 0 where none is."),
    Name("oddlot_model_info", "gauge", "1 for the active version of each model.", ("model", "version", "architecture")),
    Name("oddlot_last_job_scored_items", "gauge",
         "Items that the newest finished job of a line and model scored.", _PLACE),
    Name("oddlot_last_job_flagged_items", "gauge", "Items that it flagged.", _PLACE),
    Name("oddlot_drift_ratio", "gauge",
         "How far that job is from the good pictures of the fit: the largest difference of the two "
         "cumulative distributions of a figure, from 0 to 1.", (*_PLACE, "figure")),
    Name("oddlot_nightly_overdue_seconds", "gauge",
         "How long ago a run was due that nobody has started; 0 where none is.", ("schedule", *_PLACE)),
    Name("oddlot_nightly_start_delay_seconds", "gauge",
         "How long after its due time the newest run was started.", ("schedule", *_PLACE)),
    Name("oddlot_nightly_failed", "gauge",
         "1 where the newest run could not be started or its folder not be listed.", ("schedule", *_PLACE)),
    Name("oddlot_nightly_missed_runs", "gauge",
         "Due times before the newest run at which nobody was there.", ("schedule", *_PLACE)),
    Name("oddlot_deliveries", "gauge",
         "Reports on their way: waiting, retrying, failed (given up in the last day).", ("kind", "state")),
    Name("oddlot_store_free_bytes", "gauge",
         "Free space where the exporter sees the store; not there where it does not see it.", ("store",)),
    Name("oddlot_store_size_bytes", "gauge", "Size of that file system.", ("store",)),
    Name("oddlot_database_up", "gauge", "1 where the database answers; where not, all that comes from it is missing."),
    Name("oddlot_database_migrated", "gauge",
         "1 where the database is at the version of this program; where not, the same is missing."),
    Name("oddlot_collect_seconds", "gauge", "How long it took to collect all this."),
)  # fmt: skip

BY_NAME = {one.name: one for one in ALL}
