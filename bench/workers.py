"""Does the work of more processes add up, and what does the queue take of it?

    python -m bench.workers [--batches 24]

Real commands and workers in homes of their own, SQLite and the embedded queue. Speeds are taken between the ends of
batches, when all processes are at work.

- the detector: `oddlot fit` on drawn parts, then one process on one core, one on two, and two on two. Beside them the
  task's function called in a loop by one and by two plain processes, without a queue: how well two cores of this
  machine add up at all.
- a scorer that sleeps (bench/simulated.py): 1, 2, 4 and 8 processes, more than there are cores. What does not add up
  here would be the queue, or SQL.
- the share of a child's time that is not spent in batches while others wait: deliver, acknowledge, fill up the queue;
  and how many threads of the children want a core at a time, with as many as Oddlot gives them and with more.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from sqlalchemy import Engine

from bench import simulated
from bench.long_run import oddlot
from bench.million import make_files
from cli.services import worker_arguments
from db import due, jobs
from db.engine import open_database
from oddlot.processes import available_cores, children
from oddlot.settings import load_settings
from pictures.drawing import draw_set

SLEEP = 0.01
LOOP, QUEUE = "a process in a loop on its core", "queue, a process on its core"
WARM = 2
"""Batches of each process that are not counted: in the first, its model is loaded."""
BATCH = 128
EVEN = "from worker import submission; submission.LEAST_BATCH = 10**9; from cli.main import main; main()"
"""`oddlot` whose jobs have batches of one size, as large ones have them but for their ends."""


@dataclass(frozen=True)
class Speed:
    """Pictures a second of all processes; of a child's time between its first counted batch and its last, the share
    that was not spent in batches; seconds of a core for each picture; and how many threads of the children ran or
    waited for a core, on average."""

    pictures: float
    between: float
    core: float
    runnable: float = float("nan")


def start_worker(environ: dict[str, str], processes: int, log: Path, before: Sequence[str] = ()) -> subprocess.Popen:
    """A worker, with the words `before` its command."""
    command = [*before, sys.executable, "-m", "bench.simulated", *worker_arguments("worker.app", processes)]
    with log.open("ab") as stream:
        return subprocess.Popen(command, env=environ, stdout=stream, stderr=stream)


def batches_of(times: Path, job_id: int) -> list[simulated.Times]:
    """The batches of a job that were inspected, by when they ended."""
    found = [one for one in simulated.read_times(times) if (one.what, one.job) == ("batch", job_id)]
    return sorted(found, key=lambda one: one.began + one.wall)


def speed_of(found: list[simulated.Times]) -> Speed:
    """Between the moment when all processes had done `WARM` batches and the one when the first had none any more."""
    by_process: dict[int, list[simulated.Times]] = {}
    for one in found:
        by_process.setdefault(one.pid, []).append(one)
    begin = max(of[WARM - 1].began + of[WARM - 1].wall for of in by_process.values())
    end = min(of[-1].began + of[-1].wall for of in by_process.values())
    ends = [one.began + one.wall for one in found]
    counted = [at for at in ends if begin <= at <= end]
    inside = [one for one in found if one.began >= begin and one.began + one.wall <= end]
    between = 0.0
    for of in by_process.values():
        mine = [one for one in of if one in inside]
        for first, second in pairwise(mine):
            between += max(0.0, second.began - first.began - first.wall)
    return Speed(
        BATCH * (len(counted) - 1) / (counted[-1] - counted[0]), between / (len(by_process) * (end - begin)),
        sum(one.cpu for one in inside) / (BATCH * len(inside)),
    )  # fmt: skip


def wait_for(engine: Engine, job_id: int) -> None:
    while jobs.get_job(engine, job_id).finished_at is None:
        time.sleep(0.2)


def runnable(pids: set[int]) -> int:
    """Threads of these processes that run or wait for a core."""
    count = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/stat"):
            with suppress(OSError):
                count += task.read_text().rpartition(")")[2].split()[0] == "R"
    return count


def submit(
    environ: dict[str, str], name: str, folder: Path, before: Sequence[str] = (), options: Sequence[str] = ()
) -> int:
    """The number of the job."""
    command = [*before, sys.executable, "-c", EVEN, "submit", name, str(folder), *options]
    return int(subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout.split()[0])


def through_the_queue(environ: dict[str, str], name: str, folder: Path, processes: int, cores: int | None) -> Speed:
    """A job worked off by one worker; `cores` says how many it may use, None for all."""
    engine = open_database(load_settings(environ).database_url)
    before = [] if cores is None else ["taskset", "--cpu-list", f"0-{cores - 1}"]
    worker = start_worker(environ, processes, folder.parent / "worker.log", before)
    try:
        job_id = submit(environ, name, folder)
        seen = []
        while jobs.get_job(engine, job_id).finished_at is None:
            time.sleep(0.2)
            seen.append(runnable(children(worker.pid)))
    finally:
        worker.terminate()
        worker.wait()
        engine.dispose()
    found = speed_of(batches_of(Path(environ["BENCH_TIMES"]), job_id))
    middle = seen[len(seen) // 4 : -len(seen) // 8]  # neither the loading of the model nor the end
    return replace(found, runnable=sum(middle) / max(1, len(middle)))


DIRECT = """
import os, sys
from bench import simulated
os.sched_setaffinity(0, {int(sys.argv[3])})
from worker import inspection, scoring_process
simulated.timed(inspection, "inspect_batch", "batch", lambda *args: args[2])
engine, settings = scoring_process.engine(), scoring_process.settings()
for number in range(int(sys.argv[2]) + 1, int(sys.argv[2]) + int(sys.argv[4]) + 1):
    inspection.inspect_batch(engine, settings, int(sys.argv[1]), number)
"""


def in_a_loop(environ: dict[str, str], name: str, folder: Path, processes: int) -> Speed:
    """The task's own function, called by plain processes, each on a core of its own and with a share of the batches."""
    engine = open_database(load_settings(environ).database_url)
    # Submitted without a queue: a URL at which nobody answers.
    job_id = submit(environ | {"ODDLOT_BROKER_URL": "redis://127.0.0.1:1/0"}, name, folder)
    count = len(due.due_for_publishing(engine, older_than_seconds=None, limit=100_000))
    share = count // processes
    command = [sys.executable, "-c", DIRECT, str(job_id)]
    running = [
        subprocess.Popen([*command, str(core * share), str(core), str(share)], env=environ, stdout=subprocess.DEVNULL)
        for core in range(processes)
    ]
    for process in running:
        if process.wait():
            sys.exit("the loop failed")
    engine.dispose()
    return speed_of(batches_of(Path(environ["BENCH_TIMES"]), job_id))


def home_of(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a new home in `folder`."""
    (folder / "times").mkdir(parents=True)
    return os.environ | {
        "ODDLOT_HOME": str(folder / "home"), "ODDLOT_SETTLE_SECONDS": "0", "ODDLOT_HOLD": "false",
        "ODDLOT_BATCH_SIZE": str(BATCH), "BENCH_TIMES": str(folder / "times"), **more,
    }  # fmt: skip


def register_simulated(environ: dict[str, str]) -> None:
    engine = open_database(load_settings(environ).database_url)
    simulated.register(engine)
    engine.dispose()


def sleeping(folder: Path, batches: int) -> None:
    environ = home_of(folder, BENCH_SLEEP=str(SLEEP))
    register_simulated(environ)
    print(
        f"\na scorer that sleeps {1000 * SLEEP:.0f} ms a picture\n{'processes':>10}{'pictures/s':>12}{'efficiency':>12}"
    )
    alone = 0.0
    for processes in (1, 2, 4, 8):
        make_files(folder / f"of {processes}", BATCH * batches * processes)
        found = through_the_queue(environ, "simulated", folder / f"of {processes}", processes, None)
        alone = alone or found.pictures
        print(f"{processes:>10}{found.pictures:>12.1f}{found.pictures / processes / alone:>12.3f}", flush=True)


def detecting(folder: Path, batches: int, rounds: int) -> None:
    environ = home_of(folder, BENCH_REAL="1")
    draw_set(folder / "drawn", good_train=300, good_test=BATCH, defects=1, seed=1)
    fit = oddlot("fit", "part", folder / "drawn" / "train" / "good", "--force")
    subprocess.run(fit, env=environ, check=True, capture_output=True)
    drawn = sorted((folder / "drawn" / "tonight").iterdir())
    for processes in (1, 2):
        (folder / f"of {processes}").mkdir()
        for number in range(BATCH * batches * processes):
            (folder / f"of {processes}" / f"{number:06}.jpg").hardlink_to(drawn[number % len(drawn)])

    def runs() -> dict[str, Speed]:
        one, two = folder / "of 1", folder / "of 2"
        more = environ | {"BENCH_THREADS": "2"}
        found = {
            LOOP: in_a_loop(environ, "part", one, 1),
            QUEUE: through_the_queue(environ, "part", one, 1, 1),
        }
        if available_cores() > 1:
            found |= {
                "queue, 1 process on 2 cores": through_the_queue(environ, "part", one, 1, 2),
                f"{LOOP}, 2 of them": in_a_loop(environ, "part", two, 2),
                f"{QUEUE}, 2 of them": through_the_queue(environ, "part", two, 2, 2),
                "the same with 2 threads each": through_the_queue(more, "part", two, 2, 2),
            }
        return found

    found_in = [runs() for _ in range(rounds)]
    best = {what: max((found[what] for found in found_in), key=lambda one: one.pictures) for what in found_in[0]}
    print(f"\nthe detector, batches of {BATCH}, the fastest of {rounds} rounds")
    print(f"{'':<44}{'pictures/s':>12}{'core ms':>10}{'beside batches':>16}{'runnable':>10}")
    for what, speed in best.items():
        print(
            f"{what:<44}{speed.pictures:>12.1f}{1000 * speed.core:>10.2f}{100 * speed.between:>14.2f} %"
            f"{speed.runnable:>10.1f}"
        )
    if available_cores() < 2:
        print("more processes need more cores than this machine has")
        return
    loops, queues = (best[f"{what}, 2 of them"].pictures / best[what].pictures / 2 for what in (LOOP, QUEUE))
    print(f"efficiency of two: {queues:.3f} through the queue, {loops:.3f} of two loops without one")
    beside = best[f"{QUEUE}, 2 of them"].pictures / best[f"{LOOP}, 2 of them"].pictures
    print(f"two through the queue beside two loops: {beside:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=12, help="of each process")
    parser.add_argument("--rounds", type=int, default=2, help="with the detector")
    parser.add_argument("--only", choices=["sleeping", "detecting"], default=None)
    wish = parser.parse_args()
    for what in ("sleeping", "detecting"):
        if wish.only in (None, what):
            with tempfile.TemporaryDirectory() as name:
                if what == "sleeping":
                    sleeping(Path(name), wish.batches)
                else:
                    detecting(Path(name), wish.batches, wish.rounds)


if __name__ == "__main__":
    main()
