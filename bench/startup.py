"""What a start costs: CPU seconds of `oddlot --help` and of query commands, next to the budget of the design; and of a
whole `oddlot inspect` of one picture with nothing running before, next to those of `import tensorflow`.

    python -m bench.startup

Run on an otherwise idle machine. Each command is started once to warm the caches, then ten times, `inspect` five times:
the median counts. Seconds until the picture is scored are by the clock. Takes two minutes, most of them a fit.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select

from db.engine import open_database, reading
from db.schema import result
from oddlot.settings import load_settings
from pictures.drawing import draw_set

BUDGET = 0.5
"""Seconds of CPU, user and system, of one whole process."""
RUNS = 10
COMMANDS = (["--help"], ["jobs"], ["models", "list"], ["results"], ["flagged"])


INSPECTIONS = 5


def cpu_seconds(command: list[str], home: str, **variables: str) -> float:
    """CPU seconds of one run of a command, and of all processes that it started and waited for: not of the queue
    server, which goes on."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        command, env=os.environ | {"ODDLOT_HOME": home} | variables, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode != 0:
        sys.exit(f"{command} failed: {ran.stderr.strip()}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def oddlot(*arguments: str) -> list[str]:
    """As the installed command starts."""
    return [sys.executable, "-c", "from cli.main import main; main()", *arguments]


def commands(home: str) -> None:
    print(f"{'command':<24}{'CPU s':>8}{'budget':>8}")
    cpu_seconds(oddlot("jobs"), home)  # makes the database
    for arguments in COMMANDS:
        cpu_seconds(oddlot(*arguments), home)
        seconds = statistics.median(cpu_seconds(oddlot(*arguments), home) for _ in range(RUNS))
        verdict = "" if seconds < BUDGET else "  over the budget"
        print(f"{'oddlot ' + ' '.join(arguments):<24}{seconds:>8.2f}{BUDGET:>8.2f}{verdict}")


def first_picture(home: str) -> None:
    drawn, lot = Path(home) / "drawn", Path(home) / "lot"
    draw_set(drawn, good_train=60, good_test=1, defects=0, seed=3)
    lot.mkdir()
    next((drawn / "tonight").iterdir()).rename(lot / "1.png")
    cpu_seconds(oddlot("fit", "part", str(drawn / "train" / "good"), "--epochs", "1"), home)
    importing = [sys.executable, "-c", "import tensorflow"]
    imported = statistics.median(cpu_seconds(importing, home) for _ in range(3))
    print(f"\n{'import tensorflow':<32}{imported:>8.2f} CPU s")
    for runtime in ("openvino", "tensorflow"):
        cpu, clock = [], []
        for _ in range(1 + INSPECTIONS):
            began = time.time()
            cpu.append(cpu_seconds(oddlot("inspect", "part", str(lot)), home, ODDLOT_SETTLE_SECONDS="0",
                                   ODDLOT_RUNTIME=runtime))  # fmt: skip
            clock.append(last_scored(home) - began)
        took = statistics.median(cpu[1:])
        print(
            f"{'oddlot inspect, ' + runtime:<32}{took:>8.2f} CPU s; scored after {statistics.median(clock[1:]):.2f} s"
        )


def last_scored(home: str) -> float:
    engine = open_database(load_settings({"ODDLOT_HOME": home}).database_url)
    with reading(engine) as connection:
        moment: datetime = connection.execute(select(func.max(result.c.scored_at))).scalar_one()
    engine.dispose()
    return moment.timestamp()


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        commands(home)
        first_picture(home)


if __name__ == "__main__":
    main()
