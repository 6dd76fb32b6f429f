"""A long night of tiny pictures through two worker children: does anything grow that must not?

    python -m bench.long_run [--pictures 200000]

Real commands in a home of its own: `oddlot fit`, `oddlot worker --concurrency 2`, `oddlot submit`. The pictures are
hard links of a few hundred drawn ones, so that every score can be compared: all links of a file must have the same one.
Settings of Oddlot in the environment hold for the run. Linux only: it reads /proc.
"""

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
from PIL import Image
from sqlalchemy import Engine, func, select

from db import jobs
from db.engine import open_database, reading
from db.jobs import JobRow
from db.schema import item, result
from oddlot.processes import children
from oddlot.queue import redis_url
from oddlot.settings import load_settings
from pictures.drawing import draw_set

FILES = 300
SIDE = 48
"""Pixels a side: what is measured is everything around the detector."""
WARM = 0.02
"""Share of the pictures after which the first sample is taken: until then, models are still being loaded."""
MOMENTS = ("begin", "quarter", "half", "three quarters", "end")
MEGABYTE = 2**20
CELERY = " worker --pool "
"""In the command line of a Celery worker and of its children."""


@dataclass(frozen=True)
class Sample:
    """At one moment: the share that is done; of each process its memory in MB and its open files; the other sizes."""

    share: float
    seconds: float
    processes: dict[str, list[tuple[int, float, int]]]
    sizes: dict[str, float]


def oddlot(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "cli.main", *map(str, arguments)]


def make_pictures(folder: Path, count: int) -> None:
    """`count` names for `FILES` pictures; and good ones to learn from, in `learn`."""
    draw_set(folder / "drawn", good_train=60, good_test=FILES - 60, defects=60, seed=1)
    (folder / "small").mkdir()
    drawn = sorted((folder / "drawn" / "tonight").iterdir())
    for number, path in enumerate(drawn):
        Image.open(path).convert("L").resize((SIDE, SIDE)).save(folder / "small" / f"{number:03}.png")
    small = sorted((folder / "small").iterdir())
    (folder / "night").mkdir()
    for number in range(count):
        (folder / "night" / f"{number:06}.png").hardlink_to(small[number % len(small)])


def processes(home: Path) -> dict[str, list[tuple[int, float, int]]]:
    """Every process of this home by what it is: number, resident memory in MB, open files."""
    mine = f"ODDLOT_HOME={home}".encode()
    lines: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mine in (folder / "environ").read_bytes().split(b"\0"):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                lines[int(folder.name)] = parent, (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    for pid in [pid for pid, (_, line) in lines.items() if "worker.broker" in line]:
        lines |= dict.fromkeys(children(pid), (pid, "-server"))  # it has overwritten its environment
    found: dict[str, list[tuple[int, float, int]]] = {}
    for pid, (parent, line) in lines.items():
        if CELERY in line:
            role = "child" if CELERY in lines.get(parent, (0, ""))[1] else "Celery parent"
        elif "worker.sweeper" in line:
            role = "sweeper"
        elif "worker.broker" in line:
            role = "keeper of the queue"
        elif "-server" in line:
            role = "queue"
        elif "cli.main worker" in line:
            role = "oddlot worker"
        else:
            continue
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            handles = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            found.setdefault(role, []).append((pid, pages * resource.getpagesize() / MEGABYTE, handles))
    return found


def sizes(home: Path, address: str) -> dict[str, float]:
    with redis.Redis.from_url(address) as client:
        keys, used = client.dbsize(), client.info("memory")["used_memory"]
    found = {"keys in the queue": float(keys), "memory of the queue, MB": used / MEGABYTE}
    for what, name in (("database, MB", "oddlot.db"), ("its WAL, MB", "oddlot.db-wal")):
        path = home / name
        found[what] = path.stat().st_size / MEGABYTE if path.exists() else 0.0
    return found


def samples(engine: Engine, home: Path, address: str, job_id: int, every: float) -> Iterator[Sample]:
    """Until the job is at its end."""
    began = time.monotonic()
    while True:
        row = jobs.get_job(engine, job_id)
        share = 1 - row.unaccounted / row.listed
        yield Sample(share, time.monotonic() - began, processes(home), sizes(home, address))
        if row.finished_at is not None:
            return
        time.sleep(every)


def at_moments(taken: list[Sample]) -> list[Sample]:
    """One sample for each of MOMENTS: the first at or after it."""
    wanted = (WARM, 0.25, 0.5, 0.75, 1.0)
    return [next(sample for sample in taken if sample.share >= share) for share in wanted]


def show(taken: list[Sample]) -> None:
    chosen = at_moments(taken)
    print(f"{'':<26}" + "".join(f"{moment:>18}" for moment in MOMENTS))
    print(f"{'done, %':<26}" + "".join(f"{100 * sample.share:>18.0f}" for sample in chosen))
    print(f"{'seconds':<26}" + "".join(f"{sample.seconds:>18.0f}" for sample in chosen))
    for role in sorted(chosen[0].processes):
        cells = [
            max((f"{memory:.1f} MB, {handles}" for _, memory, handles in sample.processes.get(role, [])), default="-")
            for sample in chosen
        ]
        print(f"{role:<26}" + "".join(f"{cell:>18}" for cell in cells))
    for what in chosen[0].sizes:
        print(f"{what:<26}" + "".join(f"{sample.sizes[what]:>18.1f}" for sample in chosen))
    for role in ("child", "queue"):
        most = max(memory for sample in taken for _, memory, _ in sample.processes.get(role, [(0, 0.0, 0)]))
        pids = {pid for sample in taken for pid, _, _ in sample.processes.get(role, [])}
        print(f"{role}: {len(pids)} processes seen, {most:.1f} MB at most")
    print(f"WAL: {max(sample.sizes['its WAL, MB'] for sample in taken):.1f} MB at most")


def judge(engine: Engine, job: JobRow) -> None:
    """Whether all are scored, and every name of a file has the same score."""
    with reading(engine) as connection:
        scores = connection.execute(
            select(item.c.sha256, func.count(result.c.raw_score.distinct()))
            .join(result, result.c.item_id == item.c.id)
            .where(item.c.job_id == job.id)
            .group_by(item.c.sha256)
        ).all()
    several = [sha256 for sha256, different in scores if different != 1]
    print(f"{job.state}: {job.listed} listed, {job.scored} scored, {job.unaccounted} unaccounted")
    print(f"{len(scores)} files, {len(several)} of them with more than one score")
    if several or job.scored != job.listed:
        sys.exit("the run is not what it should be")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="between two samples")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, home = Path(name), Path(name) / "home"
        environ = os.environ | {"ODDLOT_HOME": str(home), "ODDLOT_SETTLE_SECONDS": "0", "ODDLOT_HOLD": "false"}
        settings = load_settings(environ)
        make_pictures(folder, wish.pictures)
        learn = folder / "drawn" / "train" / "good"
        fit = oddlot("fit", "part", learn, "--architecture", "paper", "--size", "32", "--epochs", "1", "--force")
        subprocess.run(fit, env=environ, check=True, capture_output=True)
        with (folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(oddlot("worker", "--concurrency", 2), env=environ, stdout=log, stderr=log)
        try:
            submit = oddlot("submit", "part", folder / "night")
            told = subprocess.run(submit, env=environ, check=True, capture_output=True, text=True)
            engine = open_database(settings.database_url)
            job_id = int(told.stdout.split()[0])
            taken = list(samples(engine, home, redis_url(settings), job_id, wish.seconds))
            show(taken)
            judge(engine, jobs.get_job(engine, job_id))
            engine.dispose()
        finally:
            worker.terminate()
            worker.wait()


if __name__ == "__main__":
    main()
