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
    is_amqp,
    queue_of,
    queue_priority,
    ready_keys,
    redis_url,
)
from oddlot.settings import Settings
from worker import rabbit

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection, Queue

PUBLISH_CHUNK = 1000
LEAST_WAITING, MOST_WAITING = 32, 4096
"""Messages that the queue is filled up to, of a priority and those above it: by the number of worker processes."""
WAITING_EACH = 4
"""Messages a worker process; half of them may be taken before the queue is filled up again."""
CONFIRM_SECONDS = 10
"""Seconds that RabbitMQ may take to confirm a message: it confirms none while its disk is full."""
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
    with app.connection_for_write() as connection, _declared(connection) as (inspect, fit):
        amqp = connection.transport.driver_type == "amqp"
        producer = connection.Producer(auto_declare=False)
        full, line_room = most_waiting(engine), due.room_of_lines(engine)
        depths = _depths_of(engine, connection)
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
                    _send(
                        app, producer, INSPECT_TASK, (job_id, number), inspect, queue_priority(priority, amqp=amqp)
                    )  # fmt: skip
                    depths[priority] += 1
            published += len(told)
        if asked := fits.due_for_publishing(engine, older_than_seconds=fits_lost_after, limit=PUBLISH_CHUNK):
            with _taken_back_on_error(fits.unpublish, engine, asked):
                for fit_id in asked:
                    _send(app, producer, FIT_TASK, (fit_id,), fit, 0)
            published += len(asked)
    return published


def fill_up(engine: Engine, settings: Settings, app: "Celery") -> int:
    """For a worker that has taken a message: `publish_due` where more waits and the queue is half empty.

    Costs a query where nothing more waits, and a millisecond where more does. Raises what `publish_due` raises.
    """
    priority = due.most_urgent(engine)
    if priority is None:
        return 0
    if is_amqp(settings):
        with rabbit.connected(settings) as connection:
            depths = _depths_of(engine, connection)
    else:
        depths = _depths(_kept_client(redis_url(settings)), INSPECT_QUEUE)
    waiting = sum(depths[priority:])
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


def _send(app: "Celery", producer: Any, task: str, args: tuple[int, ...], queue: "Queue", priority: int) -> None:
    # Limits are the worker's own. A process that has loaded the tasks would write them into the message, and the gate
    # drops what gives orders.
    app.send_task(
        task, args=args, queue=queue, priority=priority, producer=producer, ignore_result=True, time_limit=None,
        soft_time_limit=None, confirm_timeout=CONFIRM_SECONDS,
    )  # fmt: skip


@cache
def _kept_client(url: str) -> Any:
    """For who asks after every batch: to connect takes eight times as long as to ask."""
    import redis

    return redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=5)


def queue_depth(settings: Settings, queue: str = INSPECT_QUEUE) -> int:
    """Messages that wait in a queue, of all priorities. Raises redis.RedisError or kombu's OperationalError."""
    if is_amqp(settings):
        return rabbit.depth(settings, queue)
    import redis

    client = redis.Redis.from_url(redis_url(settings), socket_timeout=10, socket_connect_timeout=5)
    try:
        return sum(_depths(client, queue))
    finally:
        client.close()


def depths_at_once(settings: Settings, queues: Sequence[str], seconds: float) -> dict[str, int] | None:
    """Messages in each of these queues; None where they do not answer in that time: asked once, for who cannot wait."""
    if is_amqp(settings):
        return _rabbits(settings, queues)
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)
    url = redis_url(settings)
    client = redis.Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=once)
    try:
        return {queue: sum(_depths(client, queue)) for queue in queues}
    except (redis.RedisError, OSError):
        return None
    finally:
        client.close()


def _rabbits(settings: Settings, queues: Sequence[str]) -> dict[str, int] | None:
    from kombu.exceptions import OperationalError

    try:
        with rabbit.connected(settings) as connection:
            return {queue: rabbit.depth_of(connection, queue) for queue in queues}
    except (OperationalError, OSError):
        return None


@contextmanager
def _declared(connection: "Connection") -> Iterator[tuple["Queue", "Queue"]]:
    """The queues of inspections and of fits, which are there from then on."""
    amqp = connection.transport.driver_type == "amqp"
    inspect, fit = (queue_of(name, amqp=amqp) for name in (INSPECT_QUEUE, FIT_QUEUE))
    with rabbit.one_error(connection):
        inspect.bind(connection.default_channel).declare()
        yield inspect, fit


def _depths_of(engine: Engine, connection: "Connection") -> list[int]:
    """Messages that wait for inspection, by priority."""
    if connection.transport.driver_type == "amqp":
        waiting = rabbit.depth_of(connection, INSPECT_QUEUE)
        return rabbit.by_priority(waiting, due.told(engine, PRIORITIES)) if waiting else [0] * PRIORITIES
    return _depths(connection.default_channel.client, INSPECT_QUEUE)


def _depths(client: Any, queue: str) -> list[int]:
    with client.pipeline(transaction=False) as pipeline:
        for key in ready_keys(queue):
            pipeline.llen(key)
        return list(reversed(pipeline.execute()))  # the queue counts its priorities from the most urgent one on
