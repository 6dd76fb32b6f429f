"""What submitting a bucket of many objects costs, beside one of few: `python -m bench.bucket [--keys 1000000]`.

Real `oddlot submit` into SQLite; nothing is inspected. The store is a server of a few lines that invents its pages of
1,000 keys, so that listing, recording and memory are measured and not a store: add what yours takes for a page.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import simulated
from bench.million import submit
from db import jobs
from db.engine import open_database
from oddlot.settings import load_settings

FEW = 10_000
NOBODY = "nobody-asks-here"
_SERVER = """
import logging, re, sys
from hashlib import md5
from urllib.parse import parse_qs
from werkzeug.serving import WSGIRequestHandler, make_server

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
WSGIRequestHandler.protocol_version = "HTTP/1.1"
KEY = ("<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
       "<ETag>&quot;{etag}&quot;</ETag><Size>100000</Size><StorageClass>STANDARD</StorageClass></Contents>")

def page(environ, start_response):
    asked = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    prefix = asked.get("prefix", "")
    count = int(re.match(r"lot(\\d+)/", prefix)[1])
    begin, most = int(asked.get("continuation-token", 0)), int(asked.get("max-keys", 1000))
    end = min(count, begin + most)
    names = (f"{prefix}{number:08}.jpg" for number in range(begin, end))
    more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < count else ""
    body = ("<?xml version='1.0'?><ListBucketResult><Name>plant</Name><Prefix>" + prefix + "</Prefix><IsTruncated>"
            + ("true" if more else "false") + "</IsTruncated>" + more
            + "".join(KEY.format(key=name, etag=md5(name.encode()).hexdigest()) for name in names)
            + "</ListBucketResult>").encode()
    start_response("200 OK", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]

server = make_server("127.0.0.1", 0, page, threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    many = parser.parse_args().keys
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        with tempfile.TemporaryDirectory() as home:
            environ = os.environ | {
                "ODDLOT_HOME": home, "ODDLOT_S3_ENDPOINT": f"http://127.0.0.1:{int(server.stdout.readline())}",
                "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": NOBODY, "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "NO_PROXY": "127.0.0.1",
            }  # fmt: skip
            engine = open_database(load_settings(environ).database_url)
            simulated.register(engine)
            print(f"{'keys':>10}{'seconds':>10}{'keys/s':>10}{'of a core':>11}{'us a key':>10}{'MB, most':>10}")
            costs = {}
            for count in (FEW, many, FEW):
                job_id, seconds, cpu, memory = submit("simulated", f"s3://plant/lot{count}", environ)
                row = jobs.get_job(engine, job_id)
                if row.listed != count:
                    sys.exit(f"{row.listed} of {count} keys were listed")
                costs[count] = 1e6 * seconds / count
                print(
                    f"{count:>10,}{seconds:>10.1f}{count / seconds:>10,.0f}{cpu:>11.1f}{costs[count]:>10.1f}"
                    f"{max(memory):>10.1f}", flush=True,
                )  # fmt: skip
            size = Path(home, "oddlot.db").stat().st_size
            print(f"a key of many costs {costs[many] / costs[FEW]:.2f} of one of few; database {size >> 20} MiB")
            engine.dispose()
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


if __name__ == "__main__":
    main()
