"""A queue of RabbitMQ's, declared with what the server that it is declared to understands."""

from typing import Any

from kombu import Queue

from oddlot.queue import CONSUMER_TIMEOUT, rabbit_version

WITHOUT_TIMEOUT = (4, 3)
"""From this version on, as of 4.3.6, such a queue has no limit on how long a message is held, and since 4.3.2 it may
not ask for one (issue 17144 of rabbitmq-server). A later one may have a limit again (pull request 17037, not merged on
2026-11-27): then this has an upper end."""


class RabbitQueue(Queue):
    """Its `queue_arguments` are what all versions are told, and the limit for those that know one."""

    queue_arguments: dict[str, Any]

    def queue_declare(self, nowait: bool = False, passive: bool = False, channel: Any = None) -> Any:
        connection = (channel or self.channel).connection  # None where it was lost: what follows says so
        version = rabbit_version(connection.server_properties) if connection is not None else None
        whole = self.queue_arguments
        if version is not None and version >= WITHOUT_TIMEOUT:
            self.queue_arguments = {k: v for k, v in whole.items() if k != CONSUMER_TIMEOUT}
        try:
            return super().queue_declare(nowait=nowait, passive=passive, channel=channel)
        finally:
            self.queue_arguments = whole  # the next server may be another one
