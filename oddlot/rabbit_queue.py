"""A queue of RabbitMQ's, declared with what the server that it is declared to understands."""

from typing import Any

from kombu import Queue

from oddlot.queue import CONSUMER_TIMEOUT, rabbit_version

WITHOUT_TIMEOUT = (4, 3)
"""From this version on such a queue has no limit on how long a message is held, and from 4.3.2 on it may not ask for
one: github.com/rabbitmq/rabbitmq-server, issue 17144."""


class RabbitQueue(Queue):
    """Its `queue_arguments` are what all versions are told, and the limit for those that know one."""

    queue_arguments: dict[str, Any]

    def queue_declare(self, nowait: bool = False, passive: bool = False, channel: Any = None) -> Any:
        version = rabbit_version((channel or self.channel).connection.server_properties)
        if version is not None and version >= WITHOUT_TIMEOUT:
            self.queue_arguments = {k: v for k, v in self.queue_arguments.items() if k != CONSUMER_TIMEOUT}
        return super().queue_declare(nowait=nowait, passive=passive, channel=channel)
