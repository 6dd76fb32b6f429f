"""What a start costs: CPU seconds of `oddlot --help` and of query commands, next to the budget of the design.

    python -m bench.startup

Run on an otherwise idle machine. Each command is started once to warm the caches, then ten times: the median
counts.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile

BUDGET = 0.5
"""Seconds of CPU, user and system, of one whole process."""
RUNS = 10
COMMANDS = (["--help"], ["jobs"], ["models", "list"], ["results"], ["flagged"])


def cpu_seconds(arguments: list[str], home: str) -> float:
    """CPU seconds of one run of `oddlot` with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *arguments],
        env=os.environ | {"ODDLOT_HOME": home}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode != 0:
        sys.exit(f"oddlot {' '.join(arguments)} failed: {ran.stderr.strip()}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    print(f"{'command':<24}{'CPU s':>8}{'budget':>8}")
    with tempfile.TemporaryDirectory() as home:
        cpu_seconds(["jobs"], home)  # makes the database
        for arguments in COMMANDS:
            cpu_seconds(arguments, home)
            seconds = statistics.median(cpu_seconds(arguments, home) for _ in range(RUNS))
            verdict = "" if seconds < BUDGET else "  over the budget"
            print(f"{'oddlot ' + ' '.join(arguments):<24}{seconds:>8.2f}{BUDGET:>8.2f}{verdict}")


if __name__ == "__main__":
    main()
