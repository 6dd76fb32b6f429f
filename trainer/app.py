"""The Celery application for fits that were asked for with `oddlot fit --queue`: `celery -A trainer.app worker`.

It has a queue of its own, so that a fit of an hour never stands before a night's inspection.
"""

import os
from typing import Any

from celery import Celery, signals

from oddlot import logs
from oddlot.devices import environment_for
from oddlot.queue import FIT_QUEUE, celery_settings, is_amqp, queue_of
from oddlot.settings import load_settings


def _configuration() -> dict[str, Any]:
    settings = load_settings()
    return {
        **celery_settings(settings),
        "task_default_queue": FIT_QUEUE,
        "task_queues": [queue_of(FIT_QUEUE, amqp=is_amqp(settings))],
        "worker_concurrency": 1,  # one fit uses all cores
        "task_time_limit": None,  # a fit may take hours; its lease says whether it lives
    }


app = Celery("oddlot-trainer", include=["trainer.tasks"])
app.add_defaults(_configuration)


@signals.worker_process_init.connect(weak=False)
def _take_a_card(**_: Any) -> None:
    os.environ.update(environment_for(load_settings(), -1))  # the last one: workers begin at the first


@signals.celeryd_init.connect(weak=False)  # Celery warns of some things before it sets up its logs
@signals.setup_logging.connect(weak=False)
def _configure_logging(loglevel: Any = None, **_: Any) -> None:
    logs.configure(load_settings().log, loglevel)
