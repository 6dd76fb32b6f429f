"""What do hundreds of models and schedules cost who only wants to look, and the tick that starts the night?

    python -m bench.many_schedules [--models 300] [--schedules 500] [--nights 60]

A database as after so many nights, on SQLite: five versions of each model with the card of a real fit, a schedule and
a line each, a finished job for each night. Then all schedules are due in the same minute, each with a folder of four
old pictures, of which one tick makes jobs; and all are looked at once more while those are open. For each: statements,
seconds of a core, seconds.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, insert, update

from bench import simulated
from bench.statements import asked_of
from db.engine import now, open_database, writing
from db.jobs import night_of
from db.schema import job, model, schedule, schedule_run
from oddlot.settings import Settings, load_settings
from oddlot.words import JobState, ModelState

VERSIONS, PICTURES = 5, 4


def show(what: str, engine: Engine, call: Callable[[], object]) -> None:
    with asked_of(engine) as statements:
        began, cpu = time.perf_counter(), time.process_time()
        call()
        seconds, of_a_core = time.perf_counter() - began, time.process_time() - cpu
    print(f"{what:<44}{len(statements):>12}{of_a_core:>10.2f}{seconds:>10.2f}", flush=True)


def fill(engine: Engine, folder: Path, models: int, schedules: int, nights: int) -> None:
    """The rows of those models, schedules, runs and jobs."""
    card = {**simulated.card(), "sizes": list(range(3000))}  # about as large as the card of a real fit
    print(f"{models} models of {VERSIONS} versions, each with a card of {len(json.dumps(card)) // 1000} kB")
    with writing(engine) as connection:
        moment = now(connection)
        connection.execute(insert(model), [
            {"name": f"part-{number:03}", "version": version, "architecture": "none", "bundle_uri": "none",
             "state": ModelState.ACTIVE if version == VERSIONS else ModelState.RETIRED, "card": card,
             "bundle_sha256": f"{number * 10 + version:064x}", "threshold": 0.5, "false_alarms": 0.01,
             "created_at": moment} for number in range(models) for version in range(1, VERSIONS + 1)
        ])  # fmt: skip
    due = moment.replace(second=0, microsecond=0)
    with writing(engine) as connection:
        connection.execute(insert(schedule), [
            {"name": f"line-{number:03}", "model_name": f"part-{number % models:03}", "line": f"line-{number:03}",
             "folder": str(folder / f"{number:03}"), "at": f"{due:%H:%M}", "time_zone": "UTC", "only_new": False,
             "keep_days": 365, "paused": False, "active_since": due - dt.timedelta(days=nights, hours=1),
             "created_at": moment} for number in range(schedules)
        ])  # fmt: skip
    for ago in range(nights, 0, -1):
        at = due - dt.timedelta(days=ago)
        whole = dict.fromkeys(("found", "seen_before", "unreadable", "quarantined", "cancelled"), 0)
        with writing(engine) as connection:
            rows = connection.execute(
                insert(job).returning(job.c.id, sort_by_parameter_order=True),
                [
                    {"model_id": (number % models) * VERSIONS + VERSIONS, "source": str(folder), "lot": "lot",
                     "line": f"line-{number:03}", "priority": 5, "recursive": True, "only_new": False,
                     "state": JobState.DONE, "night": night_of(at), "submitter": "gone", "listing_at": at,
                     "listed_at": at, "left_out": {}, "deferred": [], "listed": 1000, "scored": 1000, "flagged": 9,
                     "created_at": at, "started_at": at, "finished_at": at, **whole} for number in range(schedules)
                ],
            ).scalars().all()  # fmt: skip
            connection.execute(insert(schedule_run), [
                {"schedule_id": number + 1, "due_at": at, "job_id": job_id, "owner": "gone", "started_at": at,
                 "missed": 0} for number, job_id in enumerate(rows)
            ])  # fmt: skip
    for number in range(schedules):
        (folder / f"{number:03}").mkdir()
        for picture in range(PICTURES):
            path = folder / f"{number:03}" / f"{picture}.png"
            path.touch()
            os.utime(path, (1e9, 1e9))


def looks(settings: Settings, engine: Engine) -> None:
    """What people and machines look at."""
    import httpx

    from cli import doctor, jobs, models, nightly
    from cli import session as sessions
    from review.app import make_app

    shared = sessions.Session(settings, engine)
    for module in (jobs, models, nightly):
        module.open_session = lambda: shared  # type: ignore[attr-defined]
    app = make_app(settings)
    app.state.engine = engine

    async def page(path: str) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8765") as client:
            (await client.get(path)).raise_for_status()

    def quietly(call: Callable[[], object]) -> Callable[[], object]:
        def quiet() -> None:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                call()

        return quiet

    show("oddlot models list", engine, quietly(lambda: models.list_all(None, True)))
    show("oddlot nightly list", engine, quietly(lambda: nightly.list_all(True)))
    show("oddlot jobs --limit 600", engine, quietly(lambda: jobs.jobs(600, True)))
    show("oddlot doctor, of models and work", engine,
         lambda: [list(doctor._models(settings, engine)), list(doctor._work(settings, engine))])  # fmt: skip
    with contextlib.suppress(ImportError):  # before there were lines
        from db.line_overview import list_lines

        show("oddlot lines", engine, lambda: list_lines(engine))
    show("the first page", engine, lambda: asyncio.run(page("/")))
    show("the page of models", engine, lambda: asyncio.run(page("/models")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--nights", type=int, default=60)
    wish = parser.parse_args()
    from worker import nightly, pruning

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        settings = load_settings({"ODDLOT_HOME": str(folder / "home")})
        engine = open_database(settings.database_url)
        fill(engine, folder / "pictures", wish.models, wish.schedules, wish.nights)
        print(f"{wish.schedules} schedules, {wish.nights} nights of each")
        print(f"{'':<44}{'statements':>12}{'of a core':>10}{'seconds':>10}")
        with writing(engine) as connection:
            moment = now(connection)
        show("a tick with all of them due", engine, lambda: nightly.tick(engine, settings, moment))
        show("a tick with nothing due", engine, lambda: nightly.tick(engine, settings, moment))
        show("what a tick looks for to prune", engine,
             lambda: pruning.prune_schedules(engine, settings, seconds=60))  # fmt: skip
        looks(settings, engine)
        with writing(engine) as connection:
            connection.execute(update(job).values(state=JobState.DONE, finished_at=moment))
        engine.dispose()


if __name__ == "__main__":
    main()
