"""What a queue of RabbitMQ's is declared with, by the version of the server: who asks for too much is refused, and who
asks for too little is cut off in the middle of a fit."""

from types import SimpleNamespace

import pytest

from oddlot.queue import FIT_HELD, FIT_QUEUE, INSPECT_QUEUE, VISIBILITY_TIMEOUT, queue_of, rabbit_version


class Channel:
    """Keeps what it is asked to declare."""

    def __init__(self, **properties):
        self.connection = SimpleNamespace(server_properties=properties)

    def prepare_queue_arguments(self, arguments, **kwargs):
        assert not any(kwargs.values())
        return arguments

    def queue_declare(self, **asked):
        self.asked = asked


@pytest.mark.parametrize(
    ("version", "limited"),
    [("3.10.8", True), ("3.12.1", True), ("4.0.5", True), ("4.2.9", True), ("4.3.0", False), ("4.3.6", False),
     ("4.10.0", False), ("5.0.0", False), ("of my own", True)],
)  # fmt: skip
@pytest.mark.parametrize(("name", "held"), [(INSPECT_QUEUE, VISIBILITY_TIMEOUT), (FIT_QUEUE, FIT_HELD)])
def test_the_time_that_a_message_may_be_held_is_asked_for_where_a_server_knows_it(version, limited, name, held):
    everybodys = queue_of(name, amqp=True)
    channel = Channel(version=version)
    everybodys(channel).queue_declare()
    expected = {"x-max-priority": 9} | ({"x-consumer-timeout": 1000 * held} if limited else {})
    assert (channel.asked["queue"], channel.asked["durable"], channel.asked["arguments"]) == (name, True, expected)
    for declare in (everybodys(channel).queue_declare, everybodys.queue_declare):  # bound to a channel, or told one
        declare(channel=channel)
        assert channel.asked["arguments"] == expected
        older = Channel(version="4.0.5")  # the next server may be another one
        declare(channel=older)
        assert "x-consumer-timeout" in older.asked["arguments"]


def test_a_version_is_two_numbers_or_nothing():
    assert rabbit_version({"version": "4.3.0-rc.1"}) == (4, 3)
    assert rabbit_version({"version": "4"}) is None
    assert rabbit_version({}) is None
