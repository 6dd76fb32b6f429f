"""Passwords stand in two settings, and in nothing that Oddlot prints or logs, however wrong the settings are."""

import socket
import subprocess
from contextlib import contextmanager

import pytest
import redis
from hostile import eventually

from worker.broker import server_binary

pytestmark = pytest.mark.slow

SECRET = "s3kr1t-Geheim"


@pytest.fixture
def locked_redis(tmp_path):
    """The port of a Redis-protocol server that wants another password."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "another",
         "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip

    def answers():
        with redis.Redis(port=port, password="another") as client:
            try:
                return client.ping()
            except redis.ConnectionError:
                return False

    try:
        eventually(answers, lambda: "the server did not start")
        yield port
    finally:
        server.terminate()
        server.wait()


DATABASES = {
    "no server": f"postgresql://oddlot:{SECRET}@127.0.0.1:9/oddlot",
    "no host": f"postgresql://oddlot:{SECRET}@nowhere.invalid/oddlot",
    "password as an option": f"postgresql://127.0.0.1:9/oddlot?user=oddlot&password={SECRET}",
    "@ in the password": f"postgresql://oddlot:x@{SECRET}@127.0.0.1:9/oddlot",
    "# in the password": f"postgresql://oddlot:x#{SECRET}@127.0.0.1:9/oddlot",
    "/ in the password": f"postgresql://oddlot:x/{SECRET}@127.0.0.1:9/oddlot",
    ": in the password": f"postgresql://oddlot:x:{SECRET}@127.0.0.1:9/oddlot",
    "no port": f"postgresql://oddlot:{SECRET}@127.0.0.1:port/oddlot",
    "no URL": f"postgresql:oddlot:{SECRET}",
    "another database": f"mysql://oddlot:{SECRET}@127.0.0.1/oddlot",
}


@pytest.mark.parametrize("url", DATABASES.values(), ids=list(DATABASES))
def test_a_password_of_the_database_is_in_no_output(home, lot, url):
    home.environ["ODDLOT_DATABASE_URL"] = url
    others = (("submit", "flange", lot), ("worker",)) if url == DATABASES["no server"] else ()
    for command in (("doctor", "--json"), ("jobs",), *others):
        status, out, err = home.run(*command)
        assert status == 1
        assert SECRET not in out + err
        assert "Traceback" not in out + err
        if command[0] != "doctor":
            assert len(err.splitlines()) == 1, err


def brokers(port):
    return {
        "wrong password": f"redis://:{SECRET}@127.0.0.1:{port}/0",
        "wrong user": f"redis://somebody:{SECRET}@127.0.0.1:{port}/0",
        "no server": f"redis://:{SECRET}@127.0.0.1:9/0",
        "no host": f"redis://:{SECRET}@nowhere.invalid:6379/0",
        "password as an option": f"redis://127.0.0.1:{port}/0?password={SECRET}",
        "# in the password": f"redis://:x#{SECRET}@127.0.0.1:{port}/0",
        "/ in the password": f"redis://:x/{SECRET}@127.0.0.1:{port}/0",
        "no port": f"redis://:{SECRET}@127.0.0.1:port/0",
        "RabbitMQ that is none": f"amqp://oddlot:{SECRET}@127.0.0.1:{port}//",
        "no RabbitMQ, and TLS": f"amqps://oddlot:{SECRET}@127.0.0.1:9/oddlot?ssl_ca_certs=/none",
    }


@contextmanager
def a_worker_that_is_not_told_to_stop(home):
    with home.log.open("w") as stream:
        process = home.start("worker", "--concurrency", "1", stdout=stream, stderr=stream)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", list(brokers(0)))
def test_a_password_of_the_queue_is_in_no_output(home, lot, locked_redis, kind):
    home.environ["ODDLOT_BROKER_URL"] = brokers(locked_redis)[kind]
    for command in (("doctor", "--json"), ("submit", "flange", lot)):
        _, out, err = home.run(*command)
        assert SECRET not in out + err
        assert "Traceback" not in out + err
    with a_worker_that_is_not_told_to_stop(home) as worker:
        said = ("Cannot connect", "sweep failed", "rror")
        eventually(
            lambda: worker.poll() is not None or any(word in home.log.read_text() for word in said), home.log.read_text
        )
    assert SECRET not in home.log.read_text()
