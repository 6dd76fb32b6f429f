"""What do loaded models take, and does the memory come back when they are dropped?

    python -m bench.warm_models [--models 16]

A model of default settings, fitted on drawn parts, under so many names (bench/copied_models.py). For each runtime a
process of its own loads them one after the other, each scored once, and drops all but the last.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.copied_models import fit_and_copy
from oddlot.words import Runtime

CHILD = """
import os, sys, time
from db import models
from db.engine import open_database
from worker import memory, scoring_process

settings = scoring_process.settings()
rows = [row for row in models.list_models(open_database(settings.database_url), cards=False) if row.name != "part"]
seen, began = {}, time.perf_counter()
for number, row in enumerate(rows, start=1):
    if number == 2:
        began = time.perf_counter()  # the first brings the libraries, too
    scoring_process.model(settings.model_store, row.bundle_uri, row.bundle_sha256)
    seen[number] = memory.resident_bytes() >> 20
each = (time.perf_counter() - began) / (len(rows) - 1)
object.__setattr__(settings, "warm_models", 1)
scoring_process._drop(1)
at = [number for number in (1, 4, 16, len(rows)) if number in seen]
print(f"{settings.runtime:<12}", *(f"{number} loaded: {seen[number]:>5} MB" for number in dict.fromkeys(at)),
      f"then one: {memory.resident_bytes() >> 20:>5} MB", f"a load: {each:.2f} s", sep="   ", flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=16)
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        environ = {"ODDLOT_HOME": f"{name}/home"}
        fit_and_copy(environ, Path(name), wish.models)
        for runtime in (Runtime.OPENVINO, Runtime.TENSORFLOW):
            more = {"ODDLOT_RUNTIME": str(runtime), "ODDLOT_WARM_MODELS": "1000", "ODDLOT_WARM_MEGABYTES": "900000"}
            subprocess.run([sys.executable, "-c", CHILD], env=os.environ | environ | more, check=True)


if __name__ == "__main__":
    main()
