"""A real RabbitMQ server, Debian's, as a plain process in a folder of its own."""

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

from polling import eventually
from tls import Authority

PROGRAM = Path(os.environ.get("ODDLOT_RABBITMQ", "/usr/lib/rabbitmq/bin/rabbitmq-server"))
"""Not the one on the path: that changes to another user. Another version's is tried by naming it in the variable."""


def why_not() -> str | None:
    """What this machine lacks, in words."""
    if PROGRAM.is_file() and shutil.which("epmd"):
        return None
    return "there is no RabbitMQ; on Debian: apt-get install rabbitmq-server"


class Rabbit:
    """Listens on `port` of this machine; what it was told survives `kill` and `start`.

    With an authority also on `tls_port`, where it shows a certificate for `localhost` and 127.0.0.1 and wants one of
    the same authority; and on that port of 127.0.0.2, for which its certificate is not.
    """

    def __init__(self, folder: Path, configuration: str = "", *, authority: Authority | None = None) -> None:
        self.folder = folder
        folder.mkdir()
        # Erlang's directory of nodes: one of our own, so that none is left running, and none of another is asked.
        self.port, self.tls_port, directory, between = _free_ports(4)
        self._ports = [self.port] if authority is None else [self.port, self.tls_port]
        lines = [configuration, *(_tls_lines(authority, self.tls_port) if authority is not None else [])]
        (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (folder / "plugins").write_text("[].\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
        self.environ = kept | {
            "HOME": str(folder), "ERL_EPMD_PORT": str(directory), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"oddlot{self.port}@localhost", "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_DIST_PORT": str(between),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"), "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"), "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "ERL_CRASH_DUMP": str(folder / "crash.dump"),
        }  # fmt: skip
        self._directory = subprocess.Popen(
            ["epmd", "-port", str(directory), "-address", "127.0.0.1"], env=self.environ, start_new_session=True
        )
        self.start()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        with (self.folder / "out.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(PROGRAM)], env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def await_start(self) -> None:
        eventually(self._answers, lambda: (self.folder / "out.log").read_text()[-2000:], seconds=120.0, every=0.1)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "out.log").read_text()[-2000:]
        try:
            for port in self._ports[1:]:
                socket.create_connection(("127.0.0.1", port), 5).close()
            with socket.create_connection(("127.0.0.1", self.port), 5) as client:
                client.sendall(b"HTTP/1.0\r\n\r\n")  # it answers what is no AMQP with the version that it speaks
                return client.recv(4) == b"AMQP"
        except OSError:
            return False

    def kill(self) -> None:
        """As a power cut: all processes of the server at once."""
        _kill_session(self.process)

    def close(self) -> None:
        self.kill()
        _kill_session(self._directory)


def _tls_lines(authority: Authority, port: int) -> list[str]:
    certificate, key = authority.issue("localhost")
    return [
        f"listeners.ssl.1 = 127.0.0.1:{port}",
        f"listeners.ssl.2 = 127.0.0.2:{port}",
        f"ssl_options.cacertfile = {authority.certificate}",
        f"ssl_options.certfile = {certificate}",
        f"ssl_options.keyfile = {key}",
        "ssl_options.verify = verify_peer",
        "ssl_options.fail_if_no_peer_cert = true",
    ]


def _kill_session(process: "subprocess.Popen[bytes]") -> None:
    # The server starts helpers in sessions of their own; those end with the pipe to it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
