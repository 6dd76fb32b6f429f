"""The clock of the schedules, for `celery -A worker.app beat`: a tick now and then, and nothing to remember."""

from typing import Any

import celery.beat
import redis
import structlog
from kombu.exceptions import OperationalError

from oddlot.queue import TICK_QUEUE, TICK_SECONDS
from oddlot.settings import load_settings
from worker import publishing, scoring_process

log = structlog.get_logger()


class Scheduler(celery.beat.Scheduler):
    """Sends all entries of `beat_schedule` at the pace of a clock that cannot be set.

    Celery's own keeps a file of when it last sent what, goes by the time of day, and so is silent for an hour when that
    is set back by one; and it fills the queue while nobody takes anything out of it.
    """

    def tick(self, *_: Any, **__: Any) -> float:
        try:
            if publishing.queue_depth(load_settings(), TICK_QUEUE) == 0:
                for entry in self.schedule.values():
                    self.send_task(entry.task, entry.args, entry.kwargs, producer=self.producer, **entry.options)
        except (OperationalError, redis.RedisError, OSError) as error:
            log.error("the queue cannot be told that time goes by", error=scoring_process.one_line(error))
        return TICK_SECONDS

    def setup_schedule(self) -> None:
        """Ours alone: Celery would add a clean-up of results, which we do not have."""
        self.merge_inplace(self.app.conf.beat_schedule)
