"""A queue and a database of a plant's own, which can be killed."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

import psycopg
from machine import alive, kill, processes
from polling import eventually
from postgres import postgres_folder, start_postgres

from worker.broker import server_binary


class Server:
    """A Redis-protocol server on a TCP port, as on many hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        binary = server_binary()
        assert binary is not None
        self.process = subprocess.Popen(
            [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
             "--appendonly", "yes", "--appendfsync", "everysec", "--loglevel", "warning"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Postgres:
    """A PostgreSQL server of this plant's own, which can be killed."""

    def __init__(self) -> None:
        self.folder = postgres_folder()
        self.server = start_postgres(self.folder)
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE oddlot")

    @property
    def url(self) -> str:
        return str(self.server.get_uri()).replace("/postgres?", "/oddlot?")

    @property
    def socket(self) -> Path:
        return Path(self.url.partition("host=")[2]) / ".s.PGSQL.5432"

    def kill(self) -> None:
        """The postmaster and all of its children, at once."""
        master = self.server.get_pid()
        kill(master, signal.SIGSTOP)  # it must not clean up after its children
        family = [master, *(process.pid for process in processes() if process.parent == master)]
        for pid in reversed(family):
            kill(pid)
        eventually(lambda: not any(alive(pid) for pid in family), "a process of the server outlived its kill")
        # Process 1 may take its time to bury a dead postmaster, or never do it; until then the next one takes it for a
        # living one.
        for lock in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (self.folder / "data" / lock).unlink(missing_ok=True)

    def start(self) -> None:
        self.server.ensure_postgres_running()

    def close(self) -> None:
        self.server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)
