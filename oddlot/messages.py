"""What may come out of the queue: a message of another shape is dropped before Celery looks into it.

Celery has no such gate: there are messages that end the worker which takes them and are put back by it, for the next
worker. It would also follow orders that stand beside the numbers: other tasks to call, limits to lift.
"""

import json
from collections.abc import Callable
from typing import Any

import structlog
from celery.worker import consumer

from oddlot.queue import FIT_TASK, INSPECT_TASK, TICK_TASK

log = structlog.get_logger()

NUMBERS = {INSPECT_TASK: 2, FIT_TASK: 1, TICK_TASK: 0}
"""How many whole numbers the message of a task holds."""
MOST_BYTES = 10_000
_UNUSED = ("compression", "eta", "expires", "shadow", "group", "group_index", "replaced_task_nesting", "stamps")
"""Headers of Celery that our messages never fill."""
_TEXTS = ("id", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "lang")


class Consumer(consumer.Consumer):
    """Celery's consumer behind the gate."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        handle = super().create_task_handler(*args, **kwargs)

        def on_message(message: Any) -> None:
            try:
                ours = is_ours(message)
            except Exception:  # whatever else can be wrong with it
                ours = False
            if ours:
                handle(message)
            else:
                _drop(message)

        return on_message

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        _drop(message)


def is_ours(message: Any) -> bool:
    """Whether it is what `publishing` sends: a task that we have, and its whole numbers, in JSON."""
    headers, body = message.headers, message.body
    if message.content_type != "application/json" or str(message.content_encoding).lower() != "utf-8":
        return False
    if any(headers.get(name) for name in _UNUSED) or headers.get("timelimit") not in (None, [None, None]):
        return False
    if headers.get("retries", 0) != 0 or not all(isinstance(headers.get(name, ""), str | None) for name in _TEXTS):
        return False
    if not headers.get("id") or len(body) > MOST_BYTES:
        return False
    numbers, named, orders = json.loads(body)
    return (
        isinstance(numbers, list) and len(numbers) == NUMBERS[headers["task"]]
        and all(type(number) is int for number in numbers)
        and named == {} and isinstance(orders, dict) and not any(orders.values())
    )  # fmt: skip


def _drop(message: Any) -> None:
    log.error("a message of another shape than ours was dropped", size=len(message.body or ""))
    message.ack()
