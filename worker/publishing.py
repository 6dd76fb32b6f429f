"""From SQL to the queue. The queue may forget everything: what waits in SQL is published again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from db import batches, fits
from oddlot.queue import (
    FIT_QUEUE,
    FIT_TASK,
    INSPECT_QUEUE,
    INSPECT_TASK,
    queue_priority,
    ready_keys,
    redis_url,
)
from oddlot.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

PUBLISH_CHUNK = 1000
LOST_AFTER = 30.0
"""Seconds after which a published batch that nobody claimed, with an empty queue, counts as lost by the queue."""


def publish_due(
    engine: Engine, app: "Celery", *, lost_after: float | None = None, fits_lost_after: float | None = None
) -> int:
    """Publish every batch and fit that waits and was not published; returns how many.

    With `lost_after`, also batches published longer ago than that many seconds, and with `fits_lost_after` such fits:
    for when their queue is known to be empty. A batch published twice does no harm: only one claim succeeds.

    Raises kombu's OperationalError or redis.RedisError where the queue cannot be told; what it was not told of still
    waits to be published then.
    """
    published = 0
    began = time.monotonic()
    with app.connection_for_write() as connection, connection.SimpleQueue(INSPECT_QUEUE):
        producer = connection.Producer(auto_declare=False)
        while True:
            # Counted from the beginning: what this very loop has published would be lost again after a while.
            older = None if lost_after is None else lost_after + (time.monotonic() - began)
            due = batches.due_for_publishing(engine, older_than_seconds=older, limit=PUBLISH_CHUNK)
            if not due:
                break
            with _taken_back_on_error(batches.unpublish, engine, due):
                for job_id, number, priority in due:
                    _send(app, producer, INSPECT_TASK, (job_id, number), INSPECT_QUEUE, queue_priority(priority))
            published += len(due)
        if asked := fits.due_for_publishing(engine, older_than_seconds=fits_lost_after, limit=PUBLISH_CHUNK):
            with _taken_back_on_error(fits.unpublish, engine, asked):
                for fit_id in asked:
                    _send(app, producer, FIT_TASK, (fit_id,), FIT_QUEUE, 0)
            published += len(asked)
    return published


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


def queue_depth(settings: Settings, queue: str = INSPECT_QUEUE) -> int:
    """Messages that wait in a queue, of all priorities. Raises redis.RedisError."""
    import redis

    client = redis.Redis.from_url(redis_url(settings), socket_timeout=10, socket_connect_timeout=5)
    try:
        with client.pipeline(transaction=False) as pipeline:
            for key in ready_keys(queue):
                pipeline.llen(key)
            return sum(pipeline.execute())
    finally:
        client.close()
