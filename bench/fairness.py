"""How long does a small job wait that is submitted behind a night of half a million pictures?

    python -m bench.fairness [--pictures 500000]

Real commands and a worker of two processes, SQLite and the embedded queue; a scorer that sleeps (bench/simulated.py).
When the small jobs are finished, the worker is stopped, and the night is left as it is.
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

from sqlalchemy import Engine, func, select

from bench.million import make_files
from bench.workers import BATCH, home_of, register_simulated, start_worker, submit, wait_for
from db import jobs
from db.engine import open_database, reading
from db.schema import batch
from oddlot.settings import load_settings
from oddlot.words import BatchState

SLEEP = 0.005
PROCESSES = 2


def done(engine: Engine, job_id: int) -> int:
    """Pictures of a job in batches that are done."""
    query = select(func.count()).where(batch.c.job_id == job_id, batch.c.state == BatchState.DONE)
    with reading(engine) as connection:
        return BATCH * connection.execute(query).scalar_one()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500_000, help="of the night")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environ = home_of(folder, BENCH_SLEEP=str(SLEEP))
        register_simulated(environ)
        make_files(folder / "night", wish.pictures)
        make_files(folder / "small", BATCH)
        make_files(folder / "larger", 100 * BATCH)
        engine = open_database(load_settings(environ).database_url)
        night = submit(environ, "simulated", folder / "night")
        worker = start_worker(environ, PROCESSES, folder / "worker.log")
        try:
            while done(engine, night) < 10 * PROCESSES * BATCH:
                time.sleep(0.1)
            print(f"behind a night of {wish.pictures} pictures, {PROCESSES} processes, {BATCH * SLEEP:.2f} s a batch")
            print(f"{'':<42}{'seconds':>10}{'alone':>10}{'of the night meanwhile':>26}")
            sizes = {"small": BATCH, "larger": 100 * BATCH}
            for priority, (what, pictures) in itertools.product(("9", "5"), sizes.items()):
                before, began = done(engine, night), time.monotonic()
                wait_for(engine, submit(environ, "simulated", folder / what, options=("--priority", priority)))
                seconds = time.monotonic() - began
                alone = max(1, pictures / BATCH / PROCESSES) * BATCH * SLEEP
                said = f"{pictures} pictures, priority {priority}" + (", as the night" if priority == "5" else "")
                print(f"{said:<42}{seconds:>10.1f}{alone:>10.1f}{done(engine, night) - before:>26}", flush=True)
            waiting = jobs.get_job(engine, night)
            print(f"of the night, {waiting.scored} of {waiting.listed} pictures are done")
        finally:
            worker.terminate()
            worker.wait()
            engine.dispose()


if __name__ == "__main__":
    main()
