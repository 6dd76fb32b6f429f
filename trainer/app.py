"""The Celery application for fits that were asked for with `oddlot fit --queue`: `celery -A trainer.app worker`.

It has a queue of its own, so that a fit of an hour never stands before a night's inspection.
"""

from typing import Any

from celery import Celery

from oddlot.queue import FIT_QUEUE, celery_settings
from oddlot.settings import load_settings


def _configuration() -> dict[str, Any]:
    return {
        **celery_settings(load_settings()),
        "task_default_queue": FIT_QUEUE,
        "worker_concurrency": 1,  # one fit uses all cores
        "task_time_limit": None,  # a fit may take hours; its lease says whether it lives
    }


app = Celery("oddlot-trainer", include=["trainer.tasks"])
app.add_defaults(_configuration)
