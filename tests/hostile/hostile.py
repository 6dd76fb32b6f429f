"""What the tests of hostile input share: a home, its processes, and how much a fuzz run looks at."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import forked
import numpy as np
import polling
from hypothesis import HealthCheck, settings
from PIL import Image
from sqlalchemy import Engine

from db.engine import open_database

LONG = os.environ.get("ODDLOT_FUZZ") == "long"
"""`ODDLOT_FUZZ=long` looks at 40 times as many examples as `make test` does."""
DEADLINE = 1500.0 if LONG else 500.0


def bounded(examples: int) -> Any:
    """Hypothesis settings of a fuzz run of so many examples in `make test`."""
    return settings(
        max_examples=examples * (40 if LONG else 1), deadline=None, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip


def draw(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40), dtype=np.uint8)).save(path)


eventually = partial(polling.eventually, seconds=DEADLINE)


class Home:
    """Runs `oddlot` in other processes, in a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ODDLOT_")}
        self.environ = {
            **kept, "ODDLOT_HOME": str(folder), "ODDLOT_SETTLE_SECONDS": "0", "ODDLOT_SWEEP_SECONDS": "0.2",
        }  # fmt: skip

    def start(self, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", *map(str, arguments)], env=self.environ, text=True, **options
        )

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        return forked.run(arguments, self.environ, DEADLINE)

    def json(self, *arguments: object) -> Any:
        status, out, err = self.run(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    @contextmanager
    def database(self) -> Iterator[Engine]:
        engine = open_database(f"sqlite:///{self.folder}/oddlot.db")
        try:
            yield engine
        finally:
            engine.dispose()

    @contextmanager
    def worker(self) -> Iterator["subprocess.Popen[str]"]:
        """A worker with one child, which logs into `log`; told to stop at the end."""
        with self.log.open("w") as stream:
            process = self.start("worker", "--concurrency", "1", stdout=stream, stderr=stream)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
                process.wait()
