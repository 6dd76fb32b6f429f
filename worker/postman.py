"""Sees that finished jobs are reported: makes the deliveries that are owed and starts the process that sends them."""

import subprocess
import sys

import structlog
from sqlalchemy import Engine

from db import deliveries
from oddlot.processes import is_provably_dead
from oddlot.settings import Settings
from worker.targets import targets_of

log = structlog.get_logger()


class Postman:
    """One for each sweeper; never waits for anything."""

    def __init__(self, settings: Settings) -> None:
        self._targets = targets_of(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def look(self, engine: Engine) -> None:
        """One round: what is owed gets its row, and where something is due, a sender is started."""
        if not self._targets:
            return
        if owed := deliveries.plan(engine, self._targets):
            log.info("reports owed", deliveries=owed)
        deliveries.end_leases_of_the_dead(engine, is_provably_dead)
        if self._process is not None and self._process.poll() is None:
            return
        self._process = None
        if deliveries.any_due(engine, self._targets):
            try:
                self._process = start_sender()
            except OSError as error:  # no memory for it now; the sweeping goes on
                log.error("no process to send reports", error=error.strerror)


def start_sender(*, quiet: bool = False) -> "subprocess.Popen[bytes]":
    """A process that sends what is due and ends by itself, soon; `quiet` without its log.

    In a session of its own: it may end what it began when its worker is told to stop.
    """
    output = subprocess.DEVNULL if quiet else None
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "worker.delivery"],
        stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
    )  # fmt: skip
