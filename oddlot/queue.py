"""How the queue is set up, as plain values: the Celery applications of worker and trainer are built from these.

Importing this imports no Celery. Each value was chosen for a reason that was measured or seen
(docs/decisions/0004-queue.md).
"""

import hashlib
import tempfile
from collections.abc import Mapping
from os import getuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from oddlot import half_open
from oddlot.settings import Settings

if TYPE_CHECKING:
    from kombu import Queue

INSPECT_QUEUE = "inspect"
FIT_QUEUE = "fit"
TICK_QUEUE = "tick"
INSPECT_TASK = "oddlot.inspect_batch"
FIT_TASK = "oddlot.fit"
TICK_TASK = "oddlot.tick"

TICK_SECONDS = 30.0
"""How often somebody looks whether a schedule is due."""
TICK_TIME_LIMIT = 4 * 3600
"""Seconds that a tick may take: it lists the folders of the runs that are due."""

PRIORITIES = 10
"""`--priority` runs from 0 (whenever there is nothing else) to 9 (before everything else)."""
DEFAULT_PRIORITY = 5
LOWEST_PRIORITY = 0

BATCH_TIME_LIMIT = 3600
"""Seconds after which a batch that still runs is killed; the sweeper gives it to somebody else."""
VISIBILITY_TIMEOUT = 2 * BATCH_TIME_LIMIT + 600
"""Seconds after which an unacknowledged message is handed out again: no task can still live by then."""
SHUTDOWN_GRACE = 30
"""Seconds that a worker has, after SIGTERM, to finish the batches in work before it is killed."""

FIT_HELD = 7 * 24 * 3600
"""Seconds that a fit's message may be held: the fit has no time limit."""
CONSUMER_TIMEOUT = "x-consumer-timeout"
"""By what a queue of RabbitMQ's says for how long its messages may be held, in milliseconds."""
_LONGEST_HELD = {INSPECT_QUEUE: VISIBILITY_TIMEOUT, TICK_QUEUE: TICK_TIME_LIMIT + 600, FIT_QUEUE: FIT_HELD}

# A unix socket's address has room for 107 bytes on Linux, 103 on macOS.
_SOCKET_PATH_LIMIT = 100


def broker_url(settings: Settings) -> str:
    """The URL that Celery connects to."""
    if settings.embedded_broker:
        return f"redis+socket://{quote(str(embedded_socket(settings)))}"
    # What stands behind the question mark is about TLS; Celery takes that beside the URL of such a server.
    return settings.broker_url.partition("?")[0] if is_amqp(settings) else settings.broker_url


def is_amqp(settings: Settings) -> bool:
    """Whether the queue is RabbitMQ's, and not a Redis-protocol server's."""
    return settings.broker_url.startswith(("amqp:", "amqps:"))


def redis_url(settings: Settings) -> str:
    """The same address as redis-py spells it."""
    return broker_url(settings).replace("redis+socket://", "unix://", 1)


def embedded_socket(settings: Settings) -> Path:
    """Where the embedded broker listens: in the home, or, if that path is too long for a socket, beside the
    temporary files under a name derived from the home."""
    socket = settings.home / "broker" / "broker.sock"
    if len(str(socket).encode()) <= _SOCKET_PATH_LIMIT:
        return socket
    digest = hashlib.sha256(str(settings.home).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"oddlot-{getuid()}" / f"{digest}.sock"


def queue_priority(priority: int, *, amqp: bool = False) -> int:
    """Celery's number for ours: its Redis transport serves 0 first, RabbitMQ the highest."""
    return priority if amqp else PRIORITIES - 1 - priority


def queue_of(name: str, *, amqp: bool) -> "Queue":
    """A queue as everybody must declare it: RabbitMQ refuses who declares it otherwise than it is.

    There a consumer is cut off that holds a message for longer than half an hour, unless the queue says so.
    """
    from kombu import Exchange, Queue

    if not amqp:
        return Queue(name, Exchange(name), name)
    from oddlot.rabbit_queue import RabbitQueue

    arguments = {"x-max-priority": PRIORITIES - 1, CONSUMER_TIMEOUT: 1000 * _LONGEST_HELD[name]}
    return RabbitQueue(name, Exchange(name), name, queue_arguments=arguments)


def rabbit_version(properties: Mapping[str, Any]) -> tuple[int, int] | None:
    """The first two numbers of a RabbitMQ server's version, by what it says of itself; None where it does not say."""
    parts = str(properties.get("version", "")).split(".")[:2]
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(map(str.isdecimal, parts)) else None


def ready_keys(queue: str) -> list[str]:
    """The Redis lists in which messages of a queue wait: one a priority, named as kombu names them."""
    return [queue if step == 0 else f"{queue}\x06\x16{step}" for step in range(PRIORITIES)]


def celery_settings(settings: Settings) -> dict[str, Any]:
    """Configuration of a Celery application of the house."""
    return {
        "broker_url": broker_url(settings),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": _amqp_options() if is_amqp(settings) else _redis_options(),
        "broker_heartbeat": 2 * half_open.IDLE,  # RabbitMQ's; Redis has none
        "accept_content": ["json"],
        "worker_consumer": "oddlot.messages:Consumer",
        "task_serializer": "json",
        "result_serializer": "json",
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        **_encryption(settings),
        "task_acks_late": True,
        "task_track_started": False,
        "task_time_limit": BATCH_TIME_LIMIT,
        "worker_prefetch_multiplier": 1,
        # At Celery's 4 seconds every child that is still loading its model would be killed.
        "worker_proc_alive_timeout": 600,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _redis_options() -> dict[str, Any]:
    return {
        "visibility_timeout": VISIBILITY_TIMEOUT,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "health_check_interval": 10,
        "socket_keepalive": True,
        "socket_keepalive_options": half_open.socket_options(),
        "priority_steps": list(range(PRIORITIES)),
        "sep": "\x06\x16",
        "queue_order_strategy": "priority",
    }


def _amqp_options() -> dict[str, Any]:
    # Confirmed: without that, what is sent to a server that is just dying counts as told.
    return {"confirm_publish": True, "socket_settings": half_open.socket_options()}


def _encryption(settings: Settings) -> dict[str, Any]:
    """Over TLS the server must prove who it is; Celery alone would ask for no certificate."""
    if not settings.broker_url.startswith(("rediss:", "amqps:")):
        return {}
    return {"broker_use_ssl": amqp_encryption(settings) if is_amqp(settings) else {"ssl_cert_reqs": ssl_required()}}


def amqp_encryption(settings: Settings) -> dict[str, Any]:
    """The options behind the URL of RabbitMQ, called there as Redis calls them, by the names that its library has."""
    parts = urlsplit(settings.broker_url)
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    known = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}
    files = {ours: asked[name] for name, ours in known.items() if name in asked}
    return {"cert_reqs": ssl_required(), "server_hostname": parts.hostname, **files}


def ssl_required() -> Any:
    import ssl

    return ssl.CERT_REQUIRED
