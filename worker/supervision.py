"""What a worker's parent process does besides holding its pool: logs, and a sweeper beside it."""

import logging
import os
import signal
import subprocess
import sys
from typing import Any

import structlog
from celery import bootsteps

from oddlot.processes import available_cores, die_with_parent
from worker import scoring_process

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


def configure_logging(level: Any = None) -> None:
    """One JSON object a line on standard error, from our own loggers and from Celery's alike."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if isinstance(level, int) else logging.getLevelName(str(level or "INFO").upper()))
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)  # two lines a batch otherwise
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
