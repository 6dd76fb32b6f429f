"""Hosts of one machine: a network namespace and a name each, and a router between them that can swallow packets.

A cut is silence, as of a pulled cable behind a switch: no connection is ended, none is refused.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import kill

from bench.hosts import missing

PREFIX = "oddlot-net-"


def why_not() -> str | None:
    """Why this machine cannot have such hosts, in words; None where it can."""
    if (reason := missing()) is not None:
        return reason
    name = f"{PREFIX}{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "add", "one", "type", "veth", "peer", "name", "two")
        _ip("-n", name, "rule", "add", "from", "10.213.0.2", "blackhole")
    except subprocess.CalledProcessError as error:
        return f"this machine has no virtual network: {error.stderr.strip()}"
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    return None


class Network:
    """Namespaces called after the hosts; each reaches the others through a router of its own."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._router = _space("router")
        self._hosts = list(hosts)
        self._cut: set[str] = set()
        self._started: list[subprocess.Popen[bytes]] = []
        _ip("netns", "add", self._router)
        for i, host in enumerate(hosts):
            space = _space(host)
            _ip("netns", "add", space)
            _ip("-n", self._router, "link", "add", f"to{i}", "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("-n", self._router, "address", "add", f"10.213.{i}.1/24", "dev", f"to{i}")
            _ip("-n", self._router, "link", "set", f"to{i}", "up")
            _ip("-n", space, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", space, "link", "set", device, "up")
            _ip("-n", space, "route", "add", "default", "via", f"10.213.{i}.1")
        forward = ["ip", "netns", "exec", self._router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
        subprocess.run(forward, check=True)

    def address(self, host: str) -> str:
        return f"10.213.{self._hosts.index(host)}.2"

    def start(self, host: str, command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        """A process on a host, in a session of its own. By the host's name a worker knows who else is there."""
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host]
        process = subprocess.Popen(
            ["ip", "netns", "exec", _space(host), *named, *command], stdin=subprocess.DEVNULL, start_new_session=True,
            **options,
        )  # fmt: skip
        self._started.append(process)
        return process

    def close(self) -> None:
        """What runs on the hosts is killed, and they are gone."""
        _remove([*map(_space, self._hosts), self._router])
        for process in self._started:
            process.wait()

    def cut(self, host: str) -> None:
        """From now on the router swallows what comes from this host and what goes to it."""
        for way in ("from", "to"):
            _ip("-n", self._router, "rule", "add", way, self.address(host), "blackhole")
        self._cut.add(host)

    def heal(self) -> None:
        for host in self._cut:
            for way in ("from", "to"):
                _ip("-n", self._router, "rule", "delete", way, self.address(host), "blackhole")
        self._cut.clear()


@contextlib.contextmanager
def network(*hosts: str) -> Iterator[Network]:
    """Such hosts; at the end they are gone, and all that runs on them."""
    _remove_abandoned()
    made = Network(hosts)
    try:
        yield made
    finally:
        made.close()


def _space(host: str) -> str:
    return f"{PREFIX}{os.getpid()}-{host}"


def _remove_abandoned() -> None:
    """What a test left that was killed itself."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.splitlines()
    names = [line.split()[0] for line in listed if line.startswith(PREFIX)]
    _remove([name for name in names if not Path(f"/proc/{name.split('-')[2]}").exists()])


def _remove(spaces: Sequence[str]) -> None:
    for space in spaces:
        found = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True)
        for pid in found.stdout.split():
            kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", space], capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
