"""A plant of several hosts: queue and database on one, a worker on each of the others, pictures in a shared folder."""

import os
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from machine import processes
from network import Network
from plant import DEADLINE, Plant, eventually
from postgres import postgres_folder, start_postgres
from sqlalchemy import select

from db import models, workers
from db.engine import open_database, reading
from db.schema import batch
from oddlot.words import BatchState
from worker.broker import server_binary

SERVERS = "servers"
HOSTS = ("one", "two")


class Hosts(Plant):
    """The test itself looks at the servers through their sockets, which no cut of the network closes."""

    def __init__(self, folder: Path, store: Path, sha256: str, lot: Path, network: Network) -> None:
        self.network, self.folder = network, folder
        self.worker = self.postgres = self.redis = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.lot, self.log = lot, folder / "worker.log"
        self.expected = {}
        self._data = postgres_folder()
        made = start_postgres(self._data)  # makes the folder, as the user who must run it
        with psycopg.connect(made.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE oddlot")
        made.stop()
        data, queue = self._data / "data", folder / "queue"
        queue.mkdir()
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.213.0.0/16 trust\n")
        address, owner = network.address(SERVERS), data.stat()
        become = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
        database = [str(made.bin_path / "postgres"), "-D", str(data), "-h", address, "-k", str(data)]
        redis = [
            str(server_binary()), "--bind", address, "--port", "6379", "--protected-mode", "no", "--save", "",
            "--unixsocket", str(queue / "queue.sock"), "--appendonly", "yes", "--dir", str(queue),
        ]  # fmt: skip
        with (folder / "servers.log").open("wb") as log:
            for command in ([*become, *database], redis):
                network.start(SERVERS, command, stdout=log, stderr=log)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ODDLOT_")}
        self.shared = kept | {
            "ODDLOT_MODEL_STORE": str(store),
            "ODDLOT_MAP_STORE": str(folder / "maps"),
            "ODDLOT_SETTLE_SECONDS": "0",
            "ODDLOT_HOLD": "false",
            "ODDLOT_BATCH_SIZE": "16",
            "ODDLOT_LEASE_SECONDS": "4",
            "ODDLOT_SWEEP_SECONDS": "0.3",
            "ODDLOT_MAX_ATTEMPTS": "20",
            "ODDLOT_DATABASE_URL": f"postgresql://postgres@{address}:5432/oddlot",
            "ODDLOT_BROKER_URL": f"redis://{address}:6379/0",
        }
        self.environ = self.shared | {
            "ODDLOT_HOME": str(folder / "home"),
            "ODDLOT_DATABASE_URL": f"postgresql://postgres@/oddlot?host={data}",
            "ODDLOT_BROKER_URL": f"redis+socket://{queue}/queue.sock",
        }
        eventually(partial(self.database_answers, data), "the database did not start")
        eventually(self.queue_answers, "the queue did not start")
        self.engine = open_database(self.settings.database_url)
        models.register_model(
            self.engine, name="flange", bundle_uri="flange/1", bundle_sha256=sha256, architecture="paper",
            threshold=0.1, false_alarms=0.1, card={},
        )  # fmt: skip

    @staticmethod
    def database_answers(folder: Path) -> bool:
        """Its socket is there before it takes anybody in."""
        try:
            psycopg.connect(f"postgresql://postgres@/oddlot?host={folder}").close()
        except psycopg.OperationalError:
            return False
        return True

    def oddlot(self, host: str, *arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
        """An `oddlot` command on a host."""
        environ = self.shared | {"ODDLOT_HOME": str(self.folder / host)}
        return self.network.start(host, [*self.command, *map(str, arguments)], env=environ, **options)

    def said(self, host: str, *arguments: object) -> tuple[int, str]:
        """The exit status of a command on a host, and what it said."""
        process = self.oddlot(host, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = process.communicate(timeout=DEADLINE)[0].decode()
        return process.returncode, text

    def start_workers(self) -> None:
        """One on each host, with a single child; they are ready to take something when this returns."""
        for host in HOSTS:
            with self.log_of(host).open("ab") as log:
                self.workers[host] = self.oddlot(host, "worker", "--concurrency", "1", stdout=log, stderr=log)
        for host in HOSTS:
            eventually(lambda host=host: " ready" in self.log_of(host).read_text(), f"no worker on host {host}")

    def log_of(self, host: str) -> Path:
        return self.folder / f"{host}.log"

    def log_text(self) -> str:
        return "\n".join(f"{host}: {self.log_of(host).read_text()[-3000:]}" for host in HOSTS)

    def stop_workers(self) -> None:
        for process in self.workers.values():
            process.terminate()
        for host, process in self.workers.items():
            assert process.wait(DEADLINE) == 0, self.log_of(host).read_text()[-3000:]
        self.workers.clear()

    def workers_of(self, host: str) -> set[int]:
        """Process numbers of all that belongs to the worker of a host."""
        return {process.pid for process in processes(f"ODDLOT_HOME={self.folder / host}")}

    def held_by(self, host: str) -> list[Any]:
        """Batches in the hands of a host."""
        with reading(self.engine) as connection:
            query = select(batch).where(batch.c.state == BatchState.LEASED, batch.c.owner.startswith(f"{host}|"))
            return list(connection.execute(query))

    def done_by(self, host: str, job_id: int) -> int:
        """Batches of a job that a host has finished."""
        return sum(one.host == host for one in self.batches(job_id, BatchState.DONE))

    def await_share(self, host: str) -> None:
        """Until the host finishes a batch, of as many jobs as that takes."""
        jobs = [self.submit().id]

        def took_part() -> bool:
            if self.job(jobs[-1]).finished_at is not None:
                jobs.append(self.submit().id)
            return any(self.done_by(host, job_id) for job_id in jobs)

        eventually(took_part, f"host {host} does not work: {self.log_text()}")
        for job_id in jobs:
            self.check(job_id)

    def silent(self, host: str) -> bool:
        return host in {row.host for row in workers.silent(self.engine)}

    def close(self) -> None:
        """Also what runs on the hosts ends."""
        self.engine.dispose()
        self.network.close()
        shutil.rmtree(self._data, ignore_errors=True)
