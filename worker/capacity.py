"""How many pictures this machine can inspect: measured with a model and pictures that are here, in about a minute.

As many processes as a worker has, each with its share of the cores, read and score as a worker does, but that objects
of a store are read by fewer at a time; nothing is queued or recorded.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, select

from db.engine import reading
from db.models import ModelRow
from db.schema import item, job
from oddlot.devices import environment_for, processes_for
from oddlot.errors import OddlotError, UnreadablePicture
from oddlot.places import is_address, place_of
from oddlot.processes import available_cores
from oddlot.settings import Settings
from worker import scoring_process
from worker.reading_ahead import in_order

SECONDS = 20.0
"""For which each process reads and scores, after the model is loaded."""
FILES = 200
"""Pictures of the latest job that are read again and again, at most."""
QUEUE_SHARE = 0.1
"""What a real job may need beside reading and scoring, as a share (docs/performance.md): left out of the count."""


@dataclass(frozen=True)
class Capacity:
    """Pictures a second of all `processes` together; `files` is how many different pictures were read, 0 where none was
    there: then only the scoring was measured."""

    rate: float
    processes: int
    files: int

    @property
    def a_night(self) -> int:
        """Pictures in eight hours, to two digits, with what a job needs beside."""
        return _two_digits(self.rate * (1 - QUEUE_SHARE) * 8 * 3600)


@dataclass(frozen=True)
class Wish:
    """What one process is to do, as it is told on its standard input."""

    store: str
    uri: str
    sha256: str
    threads: int
    seconds: float
    files: list[str]
    max_pixels: int
    max_file_bytes: int


def measure(engine: Engine, settings: Settings, model: ModelRow, seconds: float = SECONDS) -> Capacity:
    """Raises OddlotError where a process cannot do it."""
    files = latest_pictures(engine, model.name)
    processes = processes_for(settings)
    wish = Wish(
        str(settings.model_store), model.bundle_uri, model.bundle_sha256,
        max(1, available_cores() // processes), seconds, files, settings.max_pixels, settings.max_file_bytes,
    )  # fmt: skip
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "worker.capacity"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=environment_for(settings, number),
        )
        for number in range(processes)
    ]  # fmt: skip
    try:
        for process in running:  # all of them begin before the first answer is waited for
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it has died, and says why below
                process.stdin.write(json.dumps(asdict(wish)))
                process.stdin.close()
            process.stdin = None
        told = [process.communicate() for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    rates = []
    for process, (out, err) in zip(running, told, strict=True):
        if process.returncode != 0:
            lines = err.strip().splitlines()
            raise OddlotError(f"the capacity cannot be measured: {lines[-1] if lines else 'its process was killed'}")
        rates.append(float(json.loads(out.splitlines()[-1])))
    return Capacity(sum(rates), processes, len(files))


def latest_pictures(engine: Engine, name: str) -> list[str]:
    """Pictures of the latest job of that model that are still there."""
    from db.schema import model

    latest = (
        select(job.c.id)
        .join(model, model.c.id == job.c.model_id)
        .where(model.c.name == name, job.c.listed > 0)
        .order_by(job.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    with reading(engine) as connection:
        paths = connection.execute(select(item.c.path).where(item.c.job_id == latest).limit(FILES)).scalars().all()
    return [path for path in paths if is_address(path) or Path(path).is_file()]


def _two_digits(count: float) -> int:
    return int(float(f"{count:.2g}"))


def _work(wish: Wish) -> float:
    """Pictures a second of this process."""
    from ganomaly.bundle import read_golden
    from ganomaly.bundle_store import bundle_folder
    from pictures.reading import read_picture

    scoring_process.threads = wish.threads
    store = place_of(wish.store)
    model = scoring_process.model(store, wish.uri, wish.sha256)
    together = model.preprocessing.at_once(model.bundle.detector.together)
    golden = read_golden(bundle_folder(store / wish.uri, wish.sha256, scoring_process.settings().home))

    def read(path: str) -> np.ndarray | None:
        try:
            return read_picture(
                path, model.preprocessing, max_pixels=wish.max_pixels, max_file_bytes=wish.max_file_bytes
            ).pixels
        except UnreadablePicture:  # it costs the time that it costs in a job, too
            return None

    def batch(pictures: Iterable[tuple[str, np.ndarray | None]]) -> np.ndarray:
        found = [pixels for _, pixels in islice(pictures, together) if pixels is not None]
        return np.stack(found) if found else golden[np.resize(np.arange(len(golden)), together)]

    with closing(_pictures(wish, read, together)) as pictures:
        model.bundle.detector.score(batch(pictures))
        began, done = time.monotonic(), 0
        while (taken := time.monotonic() - began) < wish.seconds:
            model.bundle.detector.score(batch(pictures))
            done += together
    return done / taken


def _pictures(
    wish: Wish, read: Callable[[str], np.ndarray | None], ahead: int
) -> Generator[tuple[str, np.ndarray | None], None, None]:
    """The files again and again, read in threads where a worker of so many cores would."""
    if wish.threads > 1:
        yield from in_order(read, cycle(wish.files), ahead)
    else:
        for path in cycle(wish.files):
            yield path, read(path)


def main() -> None:
    try:
        print(json.dumps(_work(Wish(**json.load(sys.stdin)))))  # noqa: T201 - for `measure`
    except OddlotError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
