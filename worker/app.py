"""The Celery application of the workers: `celery -A worker.app worker`, or the same as `oddlot worker`. Its clock, for
schedules, is `celery -A worker.app beat`.

The parent process imports neither TensorFlow nor the detector: children load them on their first batch.
"""

import os
from typing import Any

from billiard import current_process
from celery import Celery, signals

from oddlot.devices import check_cards, environment_for, processes_for
from oddlot.errors import BrokerError, SettingsError
from oddlot.queue import INSPECT_QUEUE, TICK_QUEUE, TICK_SECONDS, TICK_TASK, celery_settings, is_amqp, queue_of
from oddlot.settings import load_settings
from worker import broker, supervision


def _configuration() -> dict[str, Any]:
    settings = load_settings()
    return {
        **celery_settings(settings),
        "task_default_queue": INSPECT_QUEUE,
        # Ticks have a queue of their own: with nothing but them in it, the other one still counts as empty.
        "task_queues": [queue_of(name, amqp=is_amqp(settings)) for name in (INSPECT_QUEUE, TICK_QUEUE)],
        "beat_scheduler": "worker.beat:Scheduler",
        "beat_schedule": {
            "tick": {
                "task": TICK_TASK,
                "schedule": TICK_SECONDS,
                # The limit stands at the task; in a message the gate would take it for somebody's order.
                "options": {"queue": TICK_QUEUE, "priority": 0, "time_limit": None},
            }
        },
        "worker_concurrency": processes_for(settings),
        "worker_max_memory_per_child": settings.child_megabytes * 1024 or None,
    }


app = Celery("oddlot", include=["worker.tasks"])
app.add_defaults(_configuration)
app.steps["worker"].add(supervision.SweeperStep)
app.steps["worker"].add(supervision.GraceStep)


@signals.celeryd_init.connect(weak=False)  # Celery warns of some things before it sets up its logs
@signals.setup_logging.connect(weak=False)
def _configure_logging(loglevel: Any = None, **_: Any) -> None:
    supervision.configure_logging(loglevel)


@signals.worker_process_init.connect(weak=False)
def _take_a_card(**_: Any) -> None:
    # By its place in the pool, which whoever replaces it has, too; before a library for cards is loaded.
    os.environ.update(environment_for(load_settings(), getattr(current_process(), "index", 0)))


@signals.celeryd_init.connect(weak=False)
def _check_cards(**_: Any) -> None:
    try:
        check_cards(load_settings())
    except SettingsError as error:
        raise SystemExit(f"oddlot: {error}") from error


@signals.celeryd_init.connect(weak=False)
@signals.beat_init.connect(weak=False)
def _start_embedded_broker(**_: Any) -> None:
    settings = load_settings()
    if settings.embedded_broker:
        try:
            broker.ensure_broker(settings)  # held until this process ends
        except BrokerError as error:
            # Celery logs other exceptions of its signals and goes on: to wait for a queue that nobody starts.
            raise SystemExit(f"oddlot: {error}") from error
