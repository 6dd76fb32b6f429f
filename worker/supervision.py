"""What a worker's parent process does besides holding its pool: logs, and a sweeper beside it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import structlog
from celery import bootsteps, signals
from sqlalchemy.exc import SQLAlchemyError

from db import sweeping
from db.engine import open_database
from oddlot import logs
from oddlot.errors import OddlotError
from oddlot.processes import available_cores, die_with_parent, is_provably_dead
from oddlot.queue import SHUTDOWN_GRACE
from oddlot.settings import load_settings
from worker import pausing, scoring_process

log = structlog.get_logger()

CHECK_SECONDS = 5.0
"""How often the parent looks whether its sweeper still runs."""
STOP_SECONDS = 5.0
"""Seconds that a sweeper has to end its round; killed after that, it leaves nothing half done."""


class SweeperStep(bootsteps.StartStopStep):
    """Runs `python -m worker.sweeper` beside the pool and starts it again where it dies.

    A process and not a thread: threads of a parent that forks are a way to children that hang.
    """

    requires = ("celery.worker.components:Pool", "celery.worker.components:Timer")

    def __init__(self, parent: Any, **_: Any) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.checks: Any = None

    def create(self, parent: Any) -> None:
        # Known before the pool forks: children must not use more threads than their share of the cores.
        scoring_process.threads = max(1, available_cores() // max(1, parent.concurrency))
        scoring_process.processes = parent.concurrency
        pausing.prepare()

    def start(self, parent: Any) -> None:
        self._ensure()
        self.checks = parent.timer.call_repeatedly(CHECK_SECONDS, self._ensure)

    def _ensure(self) -> None:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "worker.sweeper", str(os.getpid())],
                stdin=subprocess.DEVNULL, preexec_fn=die_with_parent(signal.SIGTERM),
            )  # fmt: skip

    def stop(self, parent: Any) -> None:
        self.terminate(parent)

    def terminate(self, parent: Any) -> None:
        if self.checks is not None:
            self.checks.cancel()
        process, self.process = self.process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:  # it waits for a database or a queue that does not answer
                process.kill()
                process.wait()


class GraceStep(bootsteps.StartStopStep):
    """Bounds the time between being told to stop and being gone, and leaves no batch in the hands of the dead."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        def told(**_: Any) -> None:
            pausing.end_all()
            children = [child.pid for child in parent.pool._pool._pool]
            threading.Thread(target=_end_in_time, args=(children,), daemon=True).start()

        signals.worker_shutting_down.connect(told, weak=False)
        signals.worker_shutdown.connect(lambda **_: give_back(), weak=False)


def _end_in_time(children: list[int]) -> None:
    time.sleep(SHUTDOWN_GRACE)
    log.warning("batches in work did not end in time: they are given back", seconds=SHUTDOWN_GRACE)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in children:
        # Until it is really gone its batch would not be given back. Reaping it is left to the pool.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    give_back()
    os._exit(0)  # the pool would still wait for them


def give_back() -> None:
    """Put back what dead processes of this machine hold: who stops all processes of a worker at once kills its
    children in the middle of a batch."""
    try:
        engine = open_database(load_settings().database_url)
        for owner in filter(is_provably_dead, sweeping.lease_owners(engine)):
            log.warning("given back", owner=owner, batches=sweeping.give_back(engine, owner))
        engine.dispose()
    except (OddlotError, SQLAlchemyError) as error:
        log.error("nothing could be given back: leases end by time", error=scoring_process.one_line(error))


def configure_logging(level: Any = None) -> None:
    """From our own loggers and from Celery's alike, in the form that the settings ask for."""
    logs.configure(load_settings().log, level)
