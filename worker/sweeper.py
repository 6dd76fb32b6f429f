"""Puts back what has no living lease, publishes what waits in SQL and is not in the queue, and watches its worker.

    python -m worker.sweeper PARENT_PID

runs beside every worker parent; any number of sweepers may run at once.
"""

import contextlib
import os
import socket
import sys
import time
from typing import TYPE_CHECKING

import redis
import structlog
from kombu.exceptions import OperationalError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db import fits, sweeping, workers
from db.engine import open_database
from oddlot.errors import OddlotError
from oddlot.processes import identity, is_provably_dead
from oddlot.queue import FIT_QUEUE, INSPECT_QUEUE, VISIBILITY_TIMEOUT
from oddlot.settings import Settings, load_settings
from oddlot.stopping import Stop
from worker import broker, postman, publishing, scoring_process, watchdog
from worker.supervision import configure_logging

if TYPE_CHECKING:
    from celery import Celery

log = structlog.get_logger()


def sweep_once(engine: Engine, settings: Settings, app: "Celery") -> None:
    """One round: dead owners' leases end now, expired ones are put back, waiting batches are published."""
    if settings.embedded_broker and not broker.broker_answers(settings):
        # Its keeper was killed, and the server went with it. The parent's lock keeps both from now on.
        os.close(broker.ensure_broker(settings))
    for owner in {*sweeping.lease_owners(engine), *fits.lease_owners(engine)}:
        if is_provably_dead(owner):
            ended = sweeping.expire_leases(engine, owner) + fits.expire_leases(engine, owner)
            log.warning("owner of a lease is dead", owner=owner, leases=ended)
    report = sweeping.sweep(engine, max_attempts=settings.max_attempts, hold=settings.hold)
    if report.anything:
        log.warning("swept", **report.as_dict())
    fits.sweep(engine, max_attempts=settings.max_attempts)
    published = publishing.publish_due(
        engine, app,
        lost_after=_lost_after(settings, INSPECT_QUEUE), fits_lost_after=_lost_after(settings, FIT_QUEUE),
    )  # fmt: skip
    if published:
        log.info("published", messages=published)


def _lost_after(settings: Settings, queue: str) -> float:
    # With an empty queue, what was published long ago and still waits was lost on the way: a broker that was
    # killed, or a worker that had popped it. While messages wait, theirs are most likely among them.
    return publishing.LOST_AFTER if publishing.queue_depth(settings, queue) == 0 else VISIBILITY_TIMEOUT


def main() -> int:
    """Sweep until told to stop. An error of database or broker is logged and the next round tries again."""
    from worker.app import app

    configure_logging()
    stop = Stop()
    settings = load_settings()
    name = identity()
    parent = int(sys.argv[1]) if len(sys.argv) > 1 else os.getppid()
    # A message that a dead worker had taken is published again after LOST_AFTER, in a round like these: until then the
    # best of workers has nothing to take.
    stall_seconds = max(settings.stall_seconds, publishing.LOST_AFTER + 3 * settings.sweep_seconds)
    watching = watchdog.Watchdog(parent, stall_seconds)
    reports = postman.Postman(settings)
    engine: Engine | None = None
    while not stop.asked:
        try:
            engine = engine or open_database(settings.database_url)
            workers.beat(
                engine, name, socket.gethostname(), parent, workers.SUPERVISOR,
                progress=False, silent_seconds=3 * settings.sweep_seconds + 10,
            )  # fmt: skip
            sweep_once(engine, settings, app)
            stall = watching.look(engine, time.monotonic())
            if stall is not None:
                watchdog.end(engine, parent, stall)
                watching.forget()
            reports.look(engine)
        except (OddlotError, SQLAlchemyError, redis.RedisError, OperationalError, OSError) as error:
            log.error("sweep failed, trying again", error=scoring_process.one_line(error))
            watching.forget()  # no worker makes progress without its queue and its database
        stop.wait(settings.sweep_seconds)
    if engine is not None:
        with contextlib.suppress(SQLAlchemyError):  # then it is forgotten when it is not heard of any more
            workers.stop(engine, name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
