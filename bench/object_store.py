"""Pictures read from a folder and from an object store, side by side: `python -m bench.object_store [--pictures N]`.

Pictures a second, and milliseconds of this process for each, read (not decoded) as a worker reads them: size and time,
or etag, checked, hashed. From a local folder; and from moto's server on loopback, with 1 to 32 reads at a time, as it
is and with each answer held back for a while, as by a store far away. That server is Python in a process of its own and
answers some hundred requests a second, whoever asks: what is measured there is a lower limit. With the store that is
held back one sees what parallel reads are for. Takes a minute.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from oddlot.places import place_of
from pictures.decoding import read_bytes
from pictures.listing import FoundFile, ListingReport
from pictures.sources import list_source
from worker.reading_ahead import BYTES_AHEAD, in_order

READS = (1, 8, 16, 32)
HELD_BACK = 0.05
BYTES = 100_000
PASSWORD = "nobody-asks-here"

_SERVER = """
import json, logging, sys, time
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
store = DomainDispatcherApplication(create_backend_app)

def far(environ, start_response):
    time.sleep(float(sys.argv[1]))
    return store(environ, start_response)

server = make_server("127.0.0.1", 0, far, threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


def read_all(files: list[FoundFile], root: str, reads: int) -> tuple[float, float]:
    """Pictures a second, and milliseconds of this process's CPU for each."""

    def read(file: FoundFile) -> int:
        expected = file.size, file.mtime_ns
        return len(read_bytes(file.path, max_file_bytes=10**9, root=root, expected=expected, etag=file.etag)[0])

    began, cpu = time.perf_counter(), time.process_time()
    with closing(
        in_order(read, files, max(32, 2 * reads), most=BYTES_AHEAD, weigh=lambda one: one.size, readers=reads)
    ) as found:
        total = sum(size for _, size in found)
    assert total == len(files) * BYTES
    taken = time.perf_counter() - began
    return len(files) / taken, (time.process_time() - cpu) / len(files) * 1000


def of_store(count: int, held_back: float, measure: Callable[[list[FoundFile], str], None]) -> None:
    """Fill a server's bucket and measure, in a process of its own: a connection belongs to one address."""
    server = subprocess.Popen([sys.executable, "-c", _SERVER, str(held_back)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        os.environ |= {
            "ODDLOT_S3_ENDPOINT": f"http://127.0.0.1:{int(server.stdout.readline())}", "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": PASSWORD, "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "NO_PROXY": "127.0.0.1",
        }  # fmt: skip
        from oddlot import objects

        objects.close()
        calls = objects._calls()
        calls._call(lambda client: client.create_bucket(Bucket="bench"))
        rng = np.random.default_rng(1)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda n: calls.put("bench", f"lot/{n:06}.jpg", rng.bytes(BYTES)), range(count)))
        source = place_of("s3://bench/lot")
        began = time.perf_counter()
        files = list(list_source(source, ListingReport()))
        assert len(files) == count
        print(f"  listed in {time.perf_counter() - began:.2f} s")
        measure(files, str(source))
        objects.close()
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


def show(what: str, files: list[FoundFile], root: str) -> None:
    for reads in READS:
        rate, cpu = read_all(files, root, reads)
        print(f"{what:<34}{reads:>6} reads {rate:>9.0f} pictures/s {cpu:>8.2f} ms CPU each", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000)
    wish = parser.parse_args()
    print(json.dumps({"pictures": wish.pictures, "bytes": BYTES, "cores": len(os.sched_getaffinity(0))}))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rng = np.random.default_rng(1)
        for number in range(wish.pictures):
            (folder / f"{number:06}.jpg").write_bytes(rng.bytes(BYTES))
        files = list(list_source(folder, ListingReport(), settle_seconds=0))
        show("folder", files, str(folder.resolve()))
    of_store(wish.pictures, 0.0, partial(show, "store on loopback"))
    of_store(wish.pictures, HELD_BACK, partial(show, f"the same, {HELD_BACK * 1000:.0f} ms away"))


if __name__ == "__main__":
    main()
