"""Comparisons that need a network, in a process of their own: this one never loads TensorFlow."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

from oddlot.errors import OddlotError
from oddlot.processes import available_cores
from oddlot.settings import Settings, environment_of

LONGEST = 1800
"""Seconds that a comparison may take."""
FRESH = 3600.0
"""Seconds for which it is believed."""
_PROGRAM = """
import json, sys
from db import models
from db.engine import open_database
from oddlot.errors import OddlotError
from oddlot.settings import load_settings
from worker import comparison, scoring_process
settings = load_settings()
engine = open_database(settings.database_url)
scoring_process.threads = int(sys.argv[4])
try:
    pair = (models.get_model_by_id(engine, int(number)) for number in sys.argv[1:3])
    found = comparison.compare(engine, settings, *pair, nights=int(sys.argv[3]))
except OddlotError as error:
    sys.exit(str(error))
lost = list(found.defects.dropped) if found is not None else []
print(json.dumps({"says": comparison.says(found) if found is not None else [], "lost": lost}))
"""


@dataclass(frozen=True)
class Compared:
    """What a comparison came to, in sentences, and the confirmed defects (numbers of items) that would be lost."""

    says: tuple[str, ...]
    lost: tuple[int, ...]
    at: float = field(default_factory=time.monotonic)

    @property
    def stale(self) -> bool:
        """Whether nights and verdicts may have come since that it does not know."""
        return time.monotonic() - self.at > FRESH


class Comparisons:
    """One at a time, those asked for last at the end; what was found is kept as long as this process lives."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(1)
        self._asked: dict[tuple[int, int, int], Future[Compared]] = {}
        self._running: subprocess.Popen[str] | None = None
        self._lock = Lock()

    def ask(self, active_id: int, candidate_id: int, nights: int) -> None:
        """Begin it, unless it runs or is done; one that failed or is stale is begun again."""
        key = active_id, candidate_id, nights
        with self._lock:
            before = self._asked.get(key)
            if before is None or (before.done() and (before.exception() is not None or before.result().stale)):
                self._asked[key] = self._pool.submit(self._compare, *key)

    def state(self, active_id: int, candidate_id: int, nights: int) -> Future[Compared] | None:
        """None where nobody has asked for it."""
        with self._lock:
            return self._asked.get((active_id, candidate_id, nights))

    def close(self) -> None:
        """End the one that runs and begin no other."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if (running := self._running) is not None:
            running.kill()

    def _compare(self, *key: int) -> Compared:
        """Raises OddlotError, for whatever reason it failed."""
        command = [sys.executable, "-P", "-c", _PROGRAM, *map(str, key), str(available_cores())]
        self._running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=_environment(self._settings),
        )  # fmt: skip
        try:
            with self._running as process:
                try:
                    out, errors = process.communicate(timeout=LONGEST)
                except BaseException:
                    process.kill()  # or leaving the block would wait for it
                    raise
        except subprocess.TimeoutExpired:
            raise OddlotError(f"the comparison took more than {LONGEST // 60} minutes and was stopped") from None
        finally:
            self._running = None
        if process.returncode:
            reason = (errors.strip().splitlines() or [f"status {process.returncode}"])[-1]
            raise OddlotError(f"the comparison failed: {reason}")
        found = json.loads(out.splitlines()[-1])
        return Compared(tuple(found["says"]), tuple(found["lost"]))


def _environment(settings: Settings) -> Mapping[str, str]:
    return environment_of(settings) | {"TF_CPP_MIN_LOG_LEVEL": "2"}
