"""A year of nights in a database, made by SQL without a picture: what the benchmarks of large databases look at.

The shape is that of real ones: two jobs a night of 5,000 to 100,000 pictures, on six lines with three models of four
versions each, one picture in a hundred flagged and three in the last night, a third of the flags judged, twenty items
a job drawn for the audit; some jobs held, discarded, cancelled or pruned, one running, one queued.
"""

import datetime as dt
import random
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select

from db import models
from db.engine import reading
from db.schema import audit, batch, item, job, result
from oddlot.words import BatchState, ItemState, JobState

LINES = tuple(f"press-{number}" for number in range(1, 7))
MODELS = ("flange", "gearbox", "housing")
VERSIONS = 4
BATCH = 64
AUDITED = 20
_MOD = "{mod}"
LOOK = {"items": [0] * BATCH} | {
    name: [123.45] * BATCH
    for name in ("brightness", "contrast", "sharpness", "red", "blue", "width", "height", "likeness", "nearest")
}
VALIDITY = {
    "reasons": [], "notes": [], "decided": None,
    "evidence": {
        name: {"title": name, "unit": "of 255", "edges": [n / 20 for n in range(21)], "model": [0.05] * 20,
               "tonight": [0.05] * 20}
        for name in ("brightness", "contrast", "sharpness", "red", "blue", "likeness", "p_value")
    },
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """What the benchmarks ask for: the last night, its busiest line and job, and since when it was scored."""

    night: dt.date
    line: str
    job_id: int
    since: dt.datetime
    results: int


@dataclass(frozen=True)
class _Job:
    number: int
    night: dt.date
    line: str
    model: int
    count: int
    first_item: int
    first_batch: int
    state: JobState = JobState.DONE
    flags: float = 0.01
    scored: float = 1.0
    pruned: bool = False


def fill(engine: Engine, rows: int) -> None:
    """Fill an empty database with about so many results. Indexes are made after the rows, as a dump is restored."""
    of_model = _models(engine)
    jobs = _shape(rows, of_model)
    with engine.connect().execution_options(oddlot_writes=True) as connection:
        _hurry(connection)
        for table in (item, result, batch):
            for index in table.indexes:
                index.drop(connection)
        connection.execute(insert(job), [_job_row(one) for one in jobs])
        connection.exec_driver_sql("CREATE TEMPORARY TABLE counting (i INTEGER PRIMARY KEY)")
        connection.exec_driver_sql(
            "INSERT INTO counting WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n"
            f" WHERE i < {max(one.count for one in jobs)}) SELECT i FROM n"
        )
        for one in jobs:
            _fill_job(connection, one)
            connection.commit()
        _judge(connection)
        for table in (item, result, batch):
            for index in table.indexes:
                index.create(connection)
        _count(connection)
        _counters(connection)
        connection.commit()
    engine.dispose()  # what was set for the fill goes with its connection
    _settle(engine)


def made_of(engine: Engine) -> Made | None:
    """What such a database holds; None of an empty one."""
    last = (
        select(job.c.night, job.c.line, job.c.id, job.c.created_at)
        .where(job.c.state == JobState.DONE)
        .order_by(job.c.night.desc(), job.c.listed.desc())
        .limit(1)
    )
    with reading(engine) as connection:
        row = connection.execute(last).one_or_none()
        results = connection.execute(select(func.count()).select_from(result)).scalar_one()
    return None if row is None else Made(*row, results)


def _hurry(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.connection.driver_connection.execute("PRAGMA synchronous = OFF")  # type: ignore[union-attr]
    else:
        connection.exec_driver_sql("SET session_replication_role = replica")  # foreign keys hold by themselves here
        connection.exec_driver_sql("SET synchronous_commit = off")
        connection.exec_driver_sql("SET maintenance_work_mem = '512MB'")


def _settle(engine: Engine) -> None:
    """As a database stands after a quiet hour: autovacuum of PostgreSQL has been there, SQLite's log is in its file."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        sqlite = engine.dialect.name == "sqlite"
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)" if sqlite else "VACUUM ANALYZE")


def _models(engine: Engine) -> dict[tuple[str, int], int]:
    found = {}
    for version in range(VERSIONS):
        for name in MODELS:
            row = models.register_model(
                engine, name=name, bundle_uri=f"{name}/{version + 1}", bundle_sha256="0" * 64, threshold=0.5,
                architecture="features", false_alarms=0.01,
                card={"pictures": {"calibration": 400}, "notes": "x" * 2000},
            )  # fmt: skip
            found[name, version] = row.id
    return found


def _shape(rows: int, of_model: dict[tuple[str, int], int]) -> list[_Job]:
    chance = random.Random(7)
    nights = max(10, min(400, rows // 25_000))
    today = dt.datetime.now(dt.UTC).date()
    last = min(100_000, rows // 20)
    sizes = [5_000 + 95_000 * chance.random() ** 12 for _ in range(2 * nights - 2)]
    scale = (rows - 1.9 * last) / sum(sizes)
    jobs: list[_Job] = []
    items = batches = 0

    def add(night: int, line: int, count: int, **values: Any) -> None:
        nonlocal items, batches
        version = night * VERSIONS // (nights + 1)
        jobs.append(_Job(
            len(jobs) + 1, today - dt.timedelta(days=nights - night), LINES[line],
            of_model[MODELS[line // 2], version], count, items + 1, batches + 1, **values,
        ))  # fmt: skip
        items, batches = items + count, batches + -(-count // BATCH)

    for night in range(nights - 1):
        for line in sorted(chance.sample(range(len(LINES)), 2)):
            state = chance.choices(
                (JobState.DONE, JobState.HELD, JobState.DISCARDED, JobState.CANCELLED), (95, 1, 2, 2)
            )[0]
            count = max(BATCH, int(sizes.pop() * scale))
            add(night, line, count, state=state, scored=0.5 if state == JobState.CANCELLED else 1.0)
        if night % 25 == 3 and night < nights // 2:  # pruned ones, beside those that are counted
            add(night, 5, max(BATCH, int(5_000 * scale)), pruned=True)
    add(nights - 1, 0, last, flags=0.03)
    add(nights - 1, 2, max(BATCH, last // 5), flags=0.03)
    add(nights - 1, 4, max(BATCH, last // 5), flags=0.3, state=JobState.HELD)
    add(nights, 1, last, state=JobState.RUNNING, scored=0.5)
    add(nights, 3, last // 5, state=JobState.QUEUED, scored=0.0)
    return jobs


def _began(one: _Job) -> dt.datetime:
    return dt.datetime.combine(one.night, dt.time(22), dt.UTC)


def _job_row(one: _Job) -> dict[str, Any]:
    began, ended = _began(one), one.state not in (JobState.RUNNING, JobState.QUEUED)
    seconds = dt.timedelta(seconds=one.count // 20)
    nothing = dict.fromkeys(("seen_before", "scored", "flagged", "unreadable", "quarantined", "cancelled"), 0)
    return nothing | {
        "id": one.number, "model_id": one.model, "source": _folder(one), "line": one.line, "lot": f"lot {one.number}",
        "priority": 5, "recursive": True, "only_new": False, "state": one.state, "night": one.night,
        "submitter": "bench", "listing_at": began, "listed_at": began, "found": one.count, "left_out": {},
        "deferred": [], "listed": one.count, "validity": VALIDITY if ended else None, "created_at": began,
        "started_at": began, "finished_at": began + seconds if ended else None,
        "first_item": one.first_item, "last_item": one.first_item + one.count - 1,
        "pruned_at": began + dt.timedelta(days=90) if one.pruned else None, "pruning": False if one.pruned else None,
    }  # fmt: skip


def _folder(one: _Job) -> str:
    return f"/data/{one.line}/{one.night}/lot-{one.number}"


def _fill_job(connection: Connection, one: _Job) -> None:
    sqlite = connection.dialect.name == "sqlite"
    ended = one.state not in (JobState.RUNNING, JobState.QUEUED)
    looked_at = int(one.count * one.scored)
    _fill_batches(connection, one, looked_at // BATCH, ended=ended)
    number = f"({one.first_item} + i)"
    sha = "lower(hex(randomblob(32)))" if sqlite else f"md5({number}::text) || md5(i::text)"
    name = "printf('%06d', i)" if sqlite else "lpad(i::text, 6, '0')"
    late = ItemState.CANCELLED if ended else ItemState.WAITING
    connection.exec_driver_sql(
        "INSERT INTO item (id, job_id, batch_id, path, size, mtime_ns, sha256, state, error)"
        f" SELECT {number}, {one.number}, {one.first_batch} + i / {BATCH}, '{_folder(one)}/' || {name} || '.png',"
        f" 200000 + i, 1760000000000000000 + i, CASE WHEN i < {looked_at} THEN {sha} END,"
        f" CASE WHEN i >= {looked_at} THEN '{late}' WHEN i {_MOD} 1000 = 999 THEN 'unreadable' ELSE 'scored' END,"
        f" CASE WHEN i < {looked_at} AND i {_MOD} 1000 = 999 THEN 'the file is empty' END"
        f" FROM counting WHERE i < {one.count}".replace(_MOD, "%" if sqlite else "%%")
    )
    if one.pruned:
        return
    # Two mixings of the item's number in place of chance: the one decides, the other is the score.
    chance, score = f"({number} * 2246822519 {_MOD} {2**32})", f"({number} * 2654435761 {_MOD} {2**32} / {2**32}.0)"
    if not sqlite:
        chance, score = (what.replace(number, f"{number}::bigint") for what in (chance, score))
    began = _began(one).strftime("%Y-%m-%d %H:%M:%S")
    moment = (
        f"strftime('%Y-%m-%d %H:%M:%f000', '{began}', '+' || (i / 20) || ' seconds')" if sqlite
        else f"timestamptz '{began}+00' + i / 20 * interval '1 second'"
    )  # fmt: skip
    steps = "CAST((1 - score) * (CASE WHEN flagged THEN 4 ELSE 400 END) AS INTEGER)"
    statement = (
        "INSERT INTO result (item_id, job_id, model_id, raw_score, score, p_value, flagged, parts, map_uri, scored_at,"
        f" night, line) SELECT id, {one.number}, {one.model}, score, score, (1 + {steps}) / 401.0, flagged,"
        " '{\"latent\": ' || score || ', \"contextual\": 0.0312500178813934, \"residual\": ' || score || '}',"
        f" CASE WHEN flagged THEN '{one.number}/' || id || '.png' END, scored_at, '{one.night}', '{one.line}' FROM ("
        f"SELECT {number} AS id, {chance} < {int(one.flags * 2**32)} AS flagged, {moment} AS scored_at,"
        f" CASE WHEN {chance} < {int(one.flags * 2**32)} THEN 0.5 + 0.5 * ({score} * {score} + 1e-9)"
        f" ELSE 0.499 * {score} END AS score"
        f" FROM counting WHERE i < {looked_at} AND i {_MOD} 1000 <> 999) AS seen"
    )
    connection.exec_driver_sql(statement.replace(_MOD, "%" if sqlite else "%%"))
    count = min(AUDITED, looked_at // 10)
    drawn = random.Random(one.number).sample(range(looked_at), count)
    if drawn:
        unflagged = select(result.c.item_id).where(
            result.c.item_id.in_([one.first_item + n for n in drawn]), ~result.c.flagged
        )
        rows = [
            {"item_id": number, "job_id": one.number, "share": count / looked_at}
            for number in connection.execute(unflagged).scalars()
        ]
        connection.execute(insert(audit), rows)


def _fill_batches(connection: Connection, one: _Job, done: int, *, ended: bool) -> None:
    began = _began(one)
    rows = [
        {"id": one.first_batch + n, "job_id": one.number, "number": n + 1, "attempts": int(ended or n < done),
         "fencing": 1, "state": BatchState.DONE if ended or n < done else BatchState.WAITING, "waiting_since": began,
         "published_at": began, "host": "press-pc", "code_version": "0.1.0",
         "scored_on": "OpenVINO 2026.4.1, float32, AMD EPYC", "finished_at": began if ended else None,
         "look": LOOK if n < done and not one.pruned else None}
        for n in range(-(-one.count // BATCH))
    ]  # fmt: skip
    for start in range(0, len(rows), 10_000):
        connection.execute(insert(batch), rows[start : start + 10_000])


def _judge(connection: Connection) -> None:
    """A third of the flagged of each finished job, and six in ten of what was drawn for the audit; one in twenty items
    twice."""
    said = (
        "INSERT INTO verdict (item_id, verdict, kind, reviewer, at) SELECT item_id, CASE item_id {m} 5 WHEN 0 THEN"
        " 'good' WHEN 1 THEN 'unsure' ELSE 'defect' END, 'scratch', 'Ada', job.finished_at FROM {table} AS seen"
        " JOIN job ON job.id = seen.job_id WHERE {which} AND job.finished_at IS NOT NULL ORDER BY item_id"
    )
    of_audit = said.replace("'unsure' ELSE 'defect'", "'unsure' WHEN 2 THEN 'defect' ELSE 'good'")
    for statement in (
        said.format(table="result", which="seen.flagged AND item_id {m} 3 = 0", m="{m}"),
        of_audit.format(table="audit", which="item_id {m} 10 < 6", m="{m}"),
        said.format(table="result", which="seen.flagged AND item_id {m} 60 = 0", m="{m}"),
    ):
        modulo = "%" if connection.dialect.name == "sqlite" else "%%"
        connection.exec_driver_sql(statement.replace("{m}", modulo))
    for table in ("result", "audit"):
        connection.exec_driver_sql(
            f"UPDATE {table} SET verdict = (SELECT verdict.verdict FROM verdict WHERE verdict.item_id = {table}.item_id"
            " ORDER BY verdict.id DESC LIMIT 1) WHERE item_id IN (SELECT item_id FROM verdict)"
        )


def _count(connection: Connection) -> None:
    """The completeness records, as they are counted when a job finishes."""
    counted = ", ".join(
        f"{state} = (SELECT count(*) FROM item WHERE job_id = job.id AND state = '{state}')"
        for state in ("scored", "unreadable", "cancelled")
    )
    flagged = "flagged = (SELECT count(*) FROM result WHERE job_id = job.id AND flagged)"
    connection.exec_driver_sql(f"UPDATE job SET {counted}, {flagged} WHERE finished_at IS NOT NULL")
    states = "scored, flagged, unreadable, quarantined, cancelled"
    connection.exec_driver_sql(
        "INSERT INTO tally (model_id, line, batches, loading_seconds, reading_seconds, scoring_seconds,"
        f" writing_seconds, {states}) SELECT model_id, line, count(*), 0, 0, 0, 0,"
        f" {', '.join(f'sum({state})' for state in states.split(', '))} FROM job GROUP BY model_id, line"
    )


def _counters(connection: Connection) -> None:
    """Rows that come with their numbers leave PostgreSQL's counters behind."""
    if connection.dialect.name == "postgresql":
        for table in ("job", "batch", "item"):
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
            )
