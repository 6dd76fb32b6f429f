"""Forty models and two processes: what does it spare to prefer batches of models that are loaded, and who waits for it?

    python -m bench.many_lines [--models 40] [--jobs 2] [--batches 4] [--turns 0 1 3 7] [--simulated]

A model of default settings under so many names (bench/copied_models.py), and so many jobs of each with so many batches
of 16 drawn pictures, all submitted before a worker of two processes starts, SQLite and the embedded queue. Once for
each number of turns that may be passed over; with 0 every message is taken at its word, which is plain round robin.

With `--simulated` loading sleeps for a second and a batch for a third of one (bench/simulated.py): what that tells does
not depend on what else the machine does.

A job waits from the start of the worker to its first batch, and is ready when its last is done.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import select

from bench import simulated
from bench.copied_models import fit_and_copy
from bench.million import make_files
from bench.simulated import read_times
from bench.workers import start_worker
from db import models
from db.engine import open_database, reading
from db.schema import job
from oddlot.settings import load_settings
from worker.submission import Submission, submit

PICTURES, PROCESSES = 16, 2


def register_simulated(environ: dict[str, str], count: int) -> list[str]:
    engine = open_database(load_settings(environ).database_url)
    names = [f"part-{number:03}" for number in range(count)]
    for number, name in enumerate(names):
        models.register_model(
            engine, name=name, bundle_uri="none", bundle_sha256=f"{number:064x}", architecture="none", threshold=0.5,
            false_alarms=0.01, card=simulated.card(),
        )  # fmt: skip
    engine.dispose()
    return names


def measure(environ: dict[str, str], folder: Path, names: list[str], jobs: int, turns: int) -> str:
    times = folder / f"times of {turns}"
    times.mkdir()
    environ = environ | {"ODDLOT_WARM_TURNS": str(turns), "BENCH_TIMES": str(times)}
    settings = load_settings(environ)
    engine = open_database(settings.database_url)
    ours = [submit(engine, settings, Submission(model=name, folder=folder / "lot")).id
            for _ in range(jobs) for name in names]  # fmt: skip
    query = select(job.c.started_at, job.c.finished_at, job.c.state, job.c.scored).where(job.c.id.in_(ours))
    began = time.time()
    worker = start_worker(os.environ | environ, PROCESSES, folder / "worker.log")
    try:
        while True:
            with reading(engine) as connection:
                rows = connection.execute(query).all()
            if all(row.finished_at for row in rows):
                break
            time.sleep(0.2)
    finally:
        worker.terminate()
        worker.wait()
        engine.dispose()
    loads = [one for one in read_times(times) if one.what == "load"]
    first = [row.started_at.timestamp() - began for row in rows]
    last = [row.finished_at.timestamp() - began for row in rows]
    return (
        f"{turns:>6}{len(loads):>8}{sum(one.wall for one in loads):>12.1f}{max(last):>10.1f}"
        f"{statistics.median(first):>12.1f}{max(first):>10.1f}{statistics.median(last):>12.1f}"
        f"{sum(row.scored for row in rows):>10}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--turns", type=int, nargs="+", default=[0, 1, 3, 7])
    parser.add_argument("--simulated", action="store_true")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environ = {
            "ODDLOT_HOME": str(folder / "home"), "ODDLOT_SETTLE_SECONDS": "0", "ODDLOT_HOLD": "false",
            "ODDLOT_BATCH_SIZE": str(PICTURES),
        }  # fmt: skip
        if wish.simulated:
            environ |= {"BENCH_LOAD": "1.0", "BENCH_SLEEP": str(1 / 3 / PICTURES)}
            names = register_simulated(environ, wish.models)
            make_files(folder / "lot", PICTURES * wish.batches)
        else:
            environ["BENCH_REAL"] = "1"
            names = fit_and_copy(environ, folder, wish.models)
            drawn = sorted((folder / "drawn" / "tonight").iterdir())
            (folder / "lot").mkdir()
            for number in range(PICTURES * wish.batches):
                (folder / "lot" / f"{number:04}.jpg").hardlink_to(drawn[number % len(drawn)])
        print(f"{wish.models} models x {wish.jobs} jobs x {wish.batches} batches of {PICTURES} pictures, {PROCESSES} "
              f"processes that keep {load_settings(environ).warm_models} models each")  # fmt: skip
        print(f"{'':>6}{'':>8}{'loading':>12}{'all':>10}{'a job waits':>12}{'':>10}{'is ready':>12}")
        print(f"{'turns':>6}{'loads':>8}{'s':>12}{'s':>10}{'median s':>12}{'most s':>10}{'median s':>12}{'scored':>10}")
        for turns in wish.turns:
            print(measure(environ, folder, names, wish.jobs, turns), flush=True)


if __name__ == "__main__":
    main()
