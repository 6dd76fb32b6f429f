"""Metrics for Prometheus, collected anew from SQL each time somebody asks (docs/decisions/0030-metrics.md).

Whoever is asked collects: the review page, or `oddlot metrics`. Workers keep no numbers of their own, which would die
with them.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from db import gauges, tallies
from db.engine import now, reading, version_of
from db.schema import HEAD
from oddlot.errors import OddlotError
from oddlot.queue import FIT_QUEUE, INSPECT_QUEUE, TICK_QUEUE
from oddlot.settings import Settings
from oddlot.words import TERMINAL_ITEM_STATES, DeliveryKind, JobState
from worker import health, publishing, scoring_process
from worker.drift import drift
from worker.due_times import DueTimes
from worker.metric_names import ALL, BY_NAME
from worker.store_space import StoreSpace

log = structlog.get_logger()

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
QUEUES = (INSPECT_QUEUE, FIT_QUEUE, TICK_QUEUE)
MOST_LINES = 500
"""Lines that are told apart, those that came first; all others together are `other`. A line is what somebody wrote
behind `--line`: without a bound a mistake there would fill Prometheus."""
OTHER = "other"
WAIT_SECONDS = 5.0
"""How long one who asks waits for another one who is collecting."""


class BusyError(OddlotError):
    """Somebody collects already, and does not come to an end: the database hangs."""


class Exporter(Collector):
    """Collects everything of one database; of several threads that ask, one at a time."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._space = StoreSpace(settings)
        self._drift: dict[tuple[int, int], dict[str, float]] = {}
        self._alone = threading.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus. Raises BusyError."""
        if not self._alone.acquire(timeout=WAIT_SECONDS):
            raise BusyError("the metrics are being collected, and the database does not answer")
        try:
            return generate_latest(self._registry)
        finally:
            self._alone.release()

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is collected when it is registered

    def collect(self) -> Iterator[Metric]:
        began = time.perf_counter()
        depths, space = publishing.depths_at_once(self._settings, QUEUES, health.QUEUE_SECONDS), self._space.look()
        sheet = _Sheet()
        try:
            migrated = version_of(self._engine) == HEAD
            if migrated:
                with reading(self._engine) as connection:
                    self._database(connection, sheet, depths)
            sheet.put("oddlot_database_migrated", int(migrated))
            sheet.put("oddlot_database_up", 1)
        except (DBAPIError, PoolTimeoutError) as error:
            log.error("no metrics from the database", error=scoring_process.one_line(error))
            sheet = _Sheet()  # half of it would be misleading
            sheet.put("oddlot_database_up", 0)
        self._outside(sheet, depths, space)
        sheet.put("oddlot_collect_seconds", time.perf_counter() - began)
        return sheet.families()

    def _database(self, connection: Connection, sheet: "_Sheet", depths: dict[str, int] | None) -> None:
        at = now(connection)
        counted = tallies.tallies(connection)
        sheet.lines = set(list(dict.fromkeys(one.line for one in counted))[:MOST_LINES])
        for one in counted:
            place = {"line": one.line, "model": one.model}
            for ended in TERMINAL_ITEM_STATES:
                sheet.put("oddlot_items_total", one.counts[ended], **place, state=ended)
            sheet.put("oddlot_flagged_items_total", one.counts["flagged"], **place)
            sheet.put("oddlot_batches_total", one.counts["batches"], **place)
            for stage, seconds in one.seconds.items():
                sheet.put("oddlot_stage_seconds_total", seconds, **place, stage=stage)
        self._jobs(connection, sheet, at)
        self._work(connection, sheet, at, None if depths is None else depths[INSPECT_QUEUE])
        _nightly(connection, sheet, at)
        for name, version, architecture in gauges.active_models(connection):
            sheet.put("oddlot_model_info", 1, model=name, version=str(version), architecture=architecture)
        found = gauges.deliveries(connection, at)
        for kind in DeliveryKind:
            for state in ("waiting", "retrying", "failed"):
                sheet.put("oddlot_deliveries", found.get((kind, state), 0), kind=kind, state=state)

    def _jobs(self, connection: Connection, sheet: "_Sheet", at: datetime) -> None:
        for state, count in gauges.jobs_by_state(connection).items():
            sheet.put("oddlot_jobs", count, state=state)
        for (line, model), count in gauges.jobs_in(connection, JobState.HELD).items():
            sheet.put("oddlot_held_jobs", count, line=line, model=model)
        for (line, model), count in gauges.jobs_in(connection, JobState.FAILED, at - gauges.A_DAY).items():
            sheet.put("oddlot_failed_jobs", count, line=line, model=model)
        known, self._drift = self._drift, {}
        for last in gauges.last_jobs(connection):
            place = {"line": last.line, "model": last.model}
            sheet.set("oddlot_last_job_scored_items", last.scored, **place)
            sheet.set("oddlot_last_job_flagged_items", last.flagged, **place)
            # The histograms of a job that was worked off cost more to read than all the rest, and change only where it
            # is retried: then more of it is scored.
            key = (last.id, last.scored)
            self._drift[key] = known[key] if key in known else _drift_of(connection, last.id)
            for figure, ratio in self._drift[key].items():
                sheet.set("oddlot_drift_ratio", ratio, **place, figure=figure)

    def _work(self, connection: Connection, sheet: "_Sheet", at: datetime, depth: int | None) -> None:
        opened, hosts = gauges.open_batches(connection, at), gauges.hosts(connection, at)
        for line in {"", *(one.line for one in opened)}:
            sheet.put("oddlot_oldest_waiting_seconds", 0, line=line)
            for state in ("waiting", "leased", "stuck"):
                sheet.put("oddlot_batches", 0, line=line, state=state)
        for one in opened:
            for state in ("waiting", "leased", "stuck"):
                sheet.put("oddlot_batches", getattr(one, state), line=one.line, state=state)
            sheet.most("oddlot_oldest_waiting_seconds", one.oldest_waiting_seconds or 0.0, line=one.line)
        for host in hosts:
            sheet.put("oddlot_workers", host.workers, host=host.host)
            sheet.put("oddlot_worker_restarts", host.restarts, host=host.host)
            if host.progress_seconds is not None:
                sheet.put("oddlot_worker_progress_seconds", host.progress_seconds, host=host.host)
        sheet.put("oddlot_stalled", int(bool(health.stalls(self._settings, opened, hosts, depth))))
        sheet.put("oddlot_clocks", gauges.clocks(connection, at))
        fits, oldest = gauges.fits(connection, at)
        for fit_state, count in fits.items():
            sheet.put("oddlot_fits", count, state=fit_state)
        sheet.put("oddlot_oldest_fit_seconds", oldest)

    def _outside(self, sheet: "_Sheet", depths: dict[str, int] | None, space: dict[str, tuple[int, int]]) -> None:
        sheet.put("oddlot_queue_up", int(depths is not None))
        for name, depth in (depths or {}).items():
            sheet.put("oddlot_queue_messages", depth, queue=name)
        for store, (free, size) in space.items():
            sheet.put("oddlot_store_free_bytes", free, store=store)
            sheet.put("oddlot_store_size_bytes", size, store=store)


class _Sheet:
    """Values by metric and labels. Those of lines that are not told apart come together in one."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self._values: dict[str, dict[tuple[str, ...], float]] = {}

    def put(self, name: str, value: float, **labels: str) -> None:
        """Add to what is there under these labels."""
        at, key = self._at(name, labels)
        at[key] = at.get(key, 0) + value

    def most(self, name: str, value: float, **labels: str) -> None:
        at, key = self._at(name, labels)
        at[key] = max(at.get(key, value), value)

    def set(self, name: str, value: float, **labels: str) -> None:
        """The last one counts."""
        at, key = self._at(name, labels)
        at[key] = value

    def _at(self, name: str, labels: dict[str, str]) -> tuple[dict[tuple[str, ...], float], tuple[str, ...]]:
        if "line" in labels:
            room = len(self.lines) < MOST_LINES or labels["line"] in self.lines
            labels = labels | {"line": labels["line"] if room else OTHER}
        key = tuple(str(labels.pop(label)) for label in BY_NAME[name].labels)
        assert not labels, f"{name} has no label {next(iter(labels))}"
        return self._values.setdefault(name, {}), key

    def families(self) -> Iterator[Metric]:
        for one in ALL:
            family: Any = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
            made = family(one.name.removesuffix("_total"), one.says, labels=one.labels)
            for key, value in self._values.get(one.name, {}).items():
                made.add_metric(key, value)
            yield made


def _nightly(connection: Connection, sheet: _Sheet, at: datetime) -> None:
    for one in gauges.nightly(connection):
        place = {"schedule": one.name, "line": one.line, "model": one.model}
        try:
            due = DueTimes.parse(one.at, one.time_zone).latest(at, since=one.active_since)
        except OddlotError:  # this machine does not know the time zone; workers say so in their logs
            continue
        late = due is not None and (one.due_at is None or one.due_at < due)
        sheet.put("oddlot_nightly_overdue_seconds", (at - due).total_seconds() if due and late else 0, **place)
        sheet.put("oddlot_nightly_failed", int(one.failed), **place)
        sheet.put("oddlot_nightly_missed_runs", one.missed, **place)
        if one.due_at is not None and one.started_at is not None:
            delay = max(0.0, (one.started_at - one.due_at).total_seconds())
            sheet.put("oddlot_nightly_start_delay_seconds", delay, **place)


def _drift_of(connection: Connection, job_id: int) -> dict[str, float]:
    try:
        return drift(gauges.validity_of(connection, job_id))
    except (KeyError, TypeError, ValueError, AttributeError):  # of an earlier version, or meddled with
        return {}
