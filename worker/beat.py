"""The clock of the schedules, for `celery -A worker.app beat`: a tick now and then, and nothing to remember."""

import contextlib
import os
import socket
from typing import Any

import celery.beat
import redis
import structlog
from kombu.exceptions import OperationalError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db import workers
from db.engine import open_database
from oddlot.errors import DatabaseError
from oddlot.processes import identity
from oddlot.queue import TICK_QUEUE, TICK_SECONDS
from oddlot.settings import load_settings
from worker import publishing, scoring_process

log = structlog.get_logger()

SILENCE = 3 * TICK_SECONDS + 10
"""Seconds without a word after which the clock counts as dead."""


class Scheduler(celery.beat.Scheduler):
    """Sends all entries of `beat_schedule` at the pace of a clock that cannot be set.

    Celery's own keeps a file of when it last sent what, goes by the time of day, and so is silent for an hour when that
    is set back by one; and it fills the queue while nobody takes anything out of it.
    """

    _engine: Engine | None = None

    def tick(self, *_: Any, **__: Any) -> float:
        try:
            if publishing.queue_depth(load_settings(), TICK_QUEUE) == 0:
                for entry in self.schedule.values():
                    self.send_task(entry.task, entry.args, entry.kwargs, producer=self.producer, **entry.options)
            self._lives()
        except (OperationalError, redis.RedisError, OSError) as error:
            log.error("the queue cannot be told that time goes by", error=scoring_process.one_line(error))
        return TICK_SECONDS

    def close(self) -> None:
        super().close()
        if self._engine is not None:
            with contextlib.suppress(SQLAlchemyError):  # then it is forgotten when it is not heard of any more
                workers.stop(self._engine, identity())
            self._engine.dispose()

    def _lives(self) -> None:
        """Say so in SQL, where health checks and metrics look: only a clock that the queue hears is a living one."""
        try:
            self._engine = self._engine or open_database(load_settings().database_url)
            workers.beat(
                self._engine, identity(), socket.gethostname(), os.getpid(), workers.CLOCK, progress=False,
                silent_seconds=SILENCE,
            )  # fmt: skip
        except (DatabaseError, SQLAlchemyError) as error:
            log.error("the clock cannot say that it lives", error=scoring_process.one_line(error))

    def setup_schedule(self) -> None:
        """Ours alone: Celery would add a clean-up of results, which we do not have."""
        self.merge_inplace(self.app.conf.beat_schedule)
