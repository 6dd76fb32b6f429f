"""What a Redis-protocol server is asked directly, asked of RabbitMQ: is it there, and how much waits in its queues?

It knows how many messages wait in a queue, not of which priority they are: that is told from SQL.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from oddlot.queue import amqp_encryption, broker_url, celery_settings, rabbit_version
from oddlot.settings import Settings

if TYPE_CHECKING:  # kombu takes a tenth of a second, and every command that looks at the queue comes by here
    from kombu import Connection

CONNECT_SECONDS = 5
NOT_FOUND = 404


def reason_for_no_answer(settings: Settings) -> str | None:
    """Why the server does not let us in, in words; None where it does."""
    from kombu.exceptions import OperationalError

    try:
        with connected(settings):
            return None
    except OperationalError as error:
        return str(error)


def needs_consumer_timeout(settings: Settings) -> str | None:
    """The version of a server that heeds no time limit of a queue's own; None where it does.

    Raises OperationalError.
    """
    with connected(settings) as connection:
        properties = connection.connection.server_properties
    version = rabbit_version(properties)
    return str(properties["version"]) if version is not None and version < (3, 12) else None


def depth(settings: Settings, queue: str) -> int:
    """Messages that wait in a queue, those in the hands of workers not counted. Raises OperationalError."""
    with connected(settings) as connection:
        return depth_of(connection, queue)


def depth_of(connection: "Connection", queue: str) -> int:
    """The same, by a connection that is there already."""
    with one_error(connection):
        channel = connection.channel()
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors as error:
            if getattr(error, "reply_code", None) != NOT_FOUND:
                raise
            return 0  # nobody has sent anything yet
        finally:
            channel.close()


def by_priority(waiting: int, told: Sequence[int]) -> list[int]:
    """Of so many messages how many are of each priority, where the queue was told of so many of each.

    The urgent ones are the first to be taken, or they were lost: what waits is of the lowest priorities. So what is
    urgent is never kept out by messages that are not there any more.
    """
    found = []
    for count in told:
        found.append(min(count, waiting))
        waiting -= found[-1]
    return found


@contextmanager
def connected(settings: Settings) -> Iterator["Connection"]:
    from kombu import Connection

    options = celery_settings(settings)["broker_transport_options"]
    ssl: Any = amqp_encryption(settings) if settings.broker_url.startswith("amqps:") else False
    with Connection(
        broker_url(settings), ssl=ssl, connect_timeout=CONNECT_SECONDS, transport_options=options
    ) as connection:
        with one_error(connection):
            connection.connect()
        yield connection


@contextmanager
def one_error(connection: "Connection") -> Iterator[None]:
    """Whatever the library raises is kombu's OperationalError, in one line."""
    from kombu.exceptions import OperationalError

    try:
        yield
    except (*connection.connection_errors, *connection.channel_errors) as error:
        lines = str(error).strip().splitlines()
        raise OperationalError(lines[0] if lines else type(error).__name__) from error
