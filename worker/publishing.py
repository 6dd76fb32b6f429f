"""From SQL to the queue. The queue may forget everything: what waits in SQL is published again.

The queue holds no more than keeps the workers busy. So it is as small with a million pictures as with a thousand, and a
job that is submitted behind a large one of the same priority has its turn soon (docs/decisions/0024-fair-queue.md).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from db import due, fits, workers
from oddlot.queue import (
    FIT_QUEUE,
    FIT_TASK,
    INSPECT_QUEUE,
    INSPECT_TASK,
    PRIORITIES,
    queue_priority,
    ready_keys,
    redis_url,
)
from oddlot.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

PUBLISH_CHUNK = 1000
LEAST_WAITING, MOST_WAITING = 32, 4096
"""Messages that the queue is filled up to, of a priority and those above it: by the number of worker processes."""
WAITING_EACH = 4
"""Messages a worker process; half of them may be taken before the queue is filled up again."""
LOST_AFTER = 30.0
"""Seconds after which a published batch that nobody claimed, with an empty queue, counts as lost by the queue."""


def publish_due(
    engine: Engine, app: "Celery", *, lost_after: float | None = None, fits_lost_after: float | None = None
) -> int:
    """Publish fits that wait and were not published, and such batches until the queue is full; returns how many.

    Full means as many messages of a priority and those above it as keep the workers busy: what is less urgent never
    keeps out what is more so. With `lost_after`, also batches published longer ago than that many seconds, and with
    `fits_lost_after` such fits: for when their queue is known to be empty. A batch published twice does no harm: only
    one claim succeeds.

    Raises kombu's OperationalError or redis.RedisError where the queue cannot be told; what it was not told of still
    waits to be published then.
    """
    published = 0
    began = time.monotonic()
    with app.connection_for_write() as connection, connection.SimpleQueue(INSPECT_QUEUE):
        producer = connection.Producer(auto_declare=False)
        full, line_room = most_waiting(engine), due.room_of_lines(engine)
        depths = _depths(connection.default_channel.client, INSPECT_QUEUE)
        while True:
            # Counted from the beginning: what this very loop has published would be lost again after a while.
            older = None if lost_after is None else lost_after + (time.monotonic() - began)
            room = [full - sum(depths[priority:]) for priority in range(PRIORITIES)]
            told = due.due_for_publishing(
                engine, older_than_seconds=older, limit=PUBLISH_CHUNK, room=room, line_room=line_room
            )
            if not told:
                break
            with _taken_back_on_error(due.unpublish, engine, told):
                for job_id, number, priority in told:
                    _send(app, producer, INSPECT_TASK, (job_id, number), INSPECT_QUEUE, queue_priority(priority))
                    depths[priority] += 1
            published += len(told)
        if asked := fits.due_for_publishing(engine, older_than_seconds=fits_lost_after, limit=PUBLISH_CHUNK):
            with _taken_back_on_error(fits.unpublish, engine, asked):
                for fit_id in asked:
                    _send(app, producer, FIT_TASK, (fit_id,), FIT_QUEUE, 0)
            published += len(asked)
    return published


def fill_up(engine: Engine, settings: Settings, app: "Celery") -> int:
    """For a worker that has taken a message: `publish_due` where more waits and the queue is half empty.

    Costs a query where nothing more waits, and a millisecond where more does. Raises what `publish_due` raises.
    """
    priority = due.most_urgent(engine)
    if priority is None:
        return 0
    waiting = sum(_depths(_kept_client(redis_url(settings)), INSPECT_QUEUE)[priority:])
    return publish_due(engine, app) if waiting <= most_waiting(engine) // 2 else 0


def most_waiting(engine: Engine) -> int:
    """How many messages the queue is filled up to."""
    return min(MOST_WAITING, max(LEAST_WAITING, WAITING_EACH * workers.count(engine, workers.CHILD)))


@contextmanager
def _taken_back_on_error(
    unpublish: Callable[[Engine, list[Any]], None], engine: Engine, told: list[Any]
) -> Iterator[None]:
    try:
        yield
    except BaseException:
        unpublish(engine, told)
        raise


def _send(app: "Celery", producer: Any, task: str, args: tuple[int, ...], queue: str, priority: int) -> None:
    # Limits are the worker's own. A process that has loaded the tasks would write them into the message, and the gate
    # drops what gives orders.
    app.send_task(
        task, args=args, queue=queue, priority=priority, producer=producer, ignore_result=True, time_limit=None,
        soft_time_limit=None,
    )  # fmt: skip


@cache
def _kept_client(url: str) -> Any:
    """For who asks after every batch: to connect takes eight times as long as to ask."""
    import redis

    return redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=5)


def queue_depth(settings: Settings, queue: str = INSPECT_QUEUE) -> int:
    """Messages that wait in a queue, of all priorities. Raises redis.RedisError."""
    return sum(queue_depths(settings, queue))


def queue_depths(settings: Settings, queue: str = INSPECT_QUEUE) -> Sequence[int]:
    """Messages that wait in a queue, by priority. Raises redis.RedisError."""
    import redis

    client = redis.Redis.from_url(redis_url(settings), socket_timeout=10, socket_connect_timeout=5)
    try:
        return _depths(client, queue)
    finally:
        client.close()


def _depths(client: Any, queue: str) -> list[int]:
    with client.pipeline(transaction=False) as pipeline:
        for key in ready_keys(queue):
            pipeline.llen(key)
        return list(reversed(pipeline.execute()))  # the queue counts its priorities from the most urgent one on
