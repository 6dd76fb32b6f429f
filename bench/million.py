"""Does a picture in a job of a million cost more than one in a job of ten thousand, and does anything grow?

    python -m bench.million [--pictures 1000000] [--database postgresql://...]

Real commands in a home of its own: `oddlot submit`, two worker children, their sweeper, queue and database. Only the
looking at the pictures is simulated (bench/simulated.py), so that what is left is everything around it. The files are
empty. Small jobs are run before the large one and after it; each figure of theirs is the median. Linux only.
"""

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, func, select

from bench import simulated
from bench.long_run import MEGABYTE, processes
from cli.services import worker_arguments
from db import jobs
from db.engine import open_database, reading
from db.jobs import JobRow
from db.schema import batch
from oddlot.settings import load_settings
from oddlot.words import BatchState
from pictures.listing import ListingReport, list_folder

SMALL = 10_000
TICKS = os.sysconf("SC_CLK_TCK")
PARTS = ("list", "store", "close the listing", "publish", "claim", "finish", "sign of life", "closing")
WARM = 0.02
"""Share of a job from which on its processes are looked at: until then, they still load what they need."""


@dataclass
class Run:
    """One job from `submit` to its end; CPU in seconds by role, memory in MB by role at the moments it was seen."""

    count: int
    job: JobRow
    submit_seconds: float
    submit_cpu: float
    cpu: dict[str, float]
    parts: dict[str, tuple[float, float]]
    memory: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    submitter: list[float] = field(default_factory=list)

    @property
    def work_seconds(self) -> float:
        """From the first claim to the end of the job."""
        assert self.job.finished_at is not None
        assert self.job.started_at is not None
        return (self.job.finished_at - self.job.started_at).total_seconds()

    @property
    def all_cpu(self) -> float:
        return self.submit_cpu + sum(self.cpu.values())


def cpu_of(home: Path) -> dict[str, float]:
    """Seconds of a core that the living processes of a home have had so far, by role."""
    used: dict[str, float] = {}
    for role, found in processes(home).items():
        for pid, _, _ in found:
            with contextlib.suppress(OSError):
                values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                used[role] = used.get(role, 0.0) + (int(values[11]) + int(values[12])) / TICKS
    return used


def memory_of(home: Path) -> dict[str, float]:
    return {role: max(memory for _, memory, _ in found) for role, found in processes(home).items()}


def make_files(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        os.close(os.open(folder / f"{number:07}.png", os.O_CREAT | os.O_WRONLY, 0o600))


def listing_speed(folder: Path, count: int) -> None:
    """The product's listing beside the least that any listing must ask of the file system: each name, and its stat."""

    def bare() -> int:
        with os.scandir(folder) as entries:
            return sum(1 for entry in entries if entry.stat().st_size >= 0)

    def ours() -> int:
        return sum(1 for _ in list_folder(folder, ListingReport(), settle_seconds=0))

    speeds: dict[str, list[float]] = {"bare": [], "ours": []}
    ways: list[tuple[str, Callable[[], int]]] = [("bare", bare), ("ours", ours)]
    for name, way in [*ways, *ways]:
        began = time.perf_counter()
        if way() != count:
            sys.exit("a listing has not found every file")
        speeds[name].append(count / (time.perf_counter() - began))
    ours_best, bare_best = max(speeds["ours"]), max(speeds["bare"])
    print(
        f"listing alone, {count} files in one folder: {ours_best:,.0f} files/s; os.scandir and stat alone "
        f"{bare_best:,.0f}; ratio {ours_best / bare_best:.2f}"
    )


def submit(name: str, folder: Path | str, environ: dict[str, str]) -> tuple[int, float, float, list[float]]:
    """The job's number, seconds, CPU seconds, and the submitter's memory in MB, sampled."""
    command = [sys.executable, "-m", "bench.simulated", "submit", name, str(folder)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    memory = []
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            memory.append(pages * resource.getpagesize() / MEGABYTE)
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    out, err = process.communicate()
    if process.returncode:
        sys.exit(err)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return int(out.split()[0]), seconds, cpu, [value for value in memory if value]


def run(engine: Engine, home: Path, folder: Path, count: int, environ: dict[str, str]) -> Run:
    before = cpu_of(home)
    times = Path(environ["BENCH_TIMES"])
    for path in times.iterdir():
        os.truncate(path, 0)
    job_id, seconds, submit_cpu, submitter = submit("simulated", folder, environ)
    memory = []
    done = select(func.count()).where(batch.c.job_id == job_id, batch.c.state == BatchState.DONE)
    with reading(engine) as connection:
        batches = connection.execute(select(func.count()).where(batch.c.job_id == job_id)).scalar_one()
    while True:
        with reading(engine) as connection:
            share = connection.execute(done).scalar_one() / batches
        memory.append((share, memory_of(home)))
        if share >= 1 and (row := jobs.get_job(engine, job_id)).finished_at is not None:
            break
        time.sleep(0.2 if count <= SMALL else 2.0)
    cpu = {role: after - before.get(role, 0.0) for role, after in cpu_of(home).items()}
    if (row.scored, row.unaccounted, str(row.state)) != (count, 0, "done"):
        sys.exit(f"the job is not what it should be: {row}")
    parts: dict[str, tuple[float, float]] = {}
    for one in simulated.read_times(times):
        wall, used = parts.get(one.what, (0.0, 0.0))
        parts[one.what] = wall + one.wall, used + one.cpu
    return Run(count, row, seconds, submit_cpu, cpu, parts, memory, submitter)


def show_costs(small: list[Run], large: Run, idle_submit: Run) -> None:
    """Microseconds a picture, of cores and on the clock, and how the large job's compare."""

    def line(what: str, of: Callable[[Run], float]) -> None:
        few = statistics.median(1e6 * of(one) / one.count for one in small)
        many = 1e6 * of(large) / large.count
        ratio = f"{many / few:>10.2f}" if few > 0 else f"{'-':>10}"
        print(f"{what:<44}{few:>12.1f}{many:>14.1f}{ratio}")

    print(f"\n{'microseconds a picture':<44}{'of ' + str(SMALL):>12}{'of ' + str(large.count):>14}{'ratio':>10}")
    for part in PARTS:
        for i, unit in enumerate(("clock", "core")):
            line(f"{part}, {unit}", lambda one, part=part, i=i: one.parts.get(part, (0.0, 0.0))[i])
    for role in sorted(large.cpu):
        line(f"process: {role}, core", lambda one, role=role: one.cpu.get(role, 0.0))
    for what, of in (("clock", lambda one: one.work_seconds), ("core", lambda one: sum(one.cpu.values()))):
        each = ", ".join(f"{1e6 * of(one) / one.count:.0f}" for one in small)
        print(f"{f'first claim to end, {what}, of each small job':<44} {each}")
    start_up, start_cpu = idle_submit.submit_seconds, idle_submit.submit_cpu
    line("submit less its start, core", lambda one: one.submit_cpu - start_cpu)
    line("ALL PROCESSES, core", lambda one: one.all_cpu - start_cpu)
    line("submit less its start, clock", lambda one: one.submit_seconds - start_up)
    line("first claim to end of job, clock", lambda one: one.work_seconds)
    line("ALL, clock", lambda one: one.submit_seconds - start_up + one.work_seconds)
    print(f"start of `oddlot submit`: {start_up:.2f} s, {start_cpu:.2f} s of a core")
    listed = large.count / (large.submit_seconds - start_up)
    print(f"submit of {large.count}: {large.submit_seconds:.1f} s, {listed:,.0f} pictures/s listed and stored")
    print(f"closing, the judging of the night in it: {large.parts['closing'][0]:.2f} s")


def show_memory(large: Run) -> None:
    print(f"\n{'memory, MB':<26}{'begin':>10}{'half':>10}{'end':>10}{'most':>10}")
    of_submit = large.submitter
    # Its first and last samples are of a process that starts or ends.
    at = [of_submit[int(share * (len(of_submit) - 1))] for share in (0.1, 0.5, 0.98)]
    print(f"{'submit':<26}" + "".join(f"{value:>10.1f}" for value in (*at, max(of_submit))))
    for role in sorted(large.memory[-1][1]):
        moments = [next(seen for share, seen in large.memory if share >= wanted) for wanted in (WARM, 0.5, 1.0)]
        cells = [seen.get(role, 0.0) for seen in moments]
        cells.append(max(seen.get(role, 0.0) for _, seen in large.memory))
        print(f"{role:<26}" + "".join(f"{value:>10.1f}" for value in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="URL of an empty database; left out: SQLite in the home")
    parser.add_argument("--folder", type=Path, default=None, help="where to work; left out: a temporary folder")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wish.folder) as name:
        folder, home = Path(name), Path(name) / "home"
        free = os.statvfs(folder)
        if free.f_favail < wish.pictures + 2 * SMALL:
            sys.exit(f"the file system has room for {free.f_favail} more files only: name another with --folder")
        (folder / "times").mkdir()
        environ = os.environ | {
            "ODDLOT_HOME": str(home), "ODDLOT_SETTLE_SECONDS": "0", "BENCH_TIMES": str(folder / "times"),
        }  # fmt: skip
        if wish.database:
            environ["ODDLOT_DATABASE_URL"] = wish.database
        engine = open_database(load_settings(environ).database_url)
        simulated.register(engine)
        for what, count in (("tiny", 64), ("small", SMALL), ("large", wish.pictures)):
            make_files(folder / what, count)
        print("database:", engine.dialect.name)
        listing_speed(folder / "large", wish.pictures)
        command = [sys.executable, "-m", "bench.simulated", *worker_arguments("worker.app", 2)]
        with (folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        try:
            tiny = [run(engine, home, folder / "tiny", 64, environ) for _ in range(4)]
            idle = min(tiny[1:], key=lambda one: one.submit_seconds)
            small = [run(engine, home, folder / "small", SMALL, environ) for _ in range(3)]
            large = run(engine, home, folder / "large", wish.pictures, environ)
            small += [run(engine, home, folder / "small", SMALL, environ) for _ in range(2)]
            show_costs(small, large, idle)
            show_memory(large)
        finally:
            worker.terminate()
            worker.wait()
            engine.dispose()


if __name__ == "__main__":
    main()
