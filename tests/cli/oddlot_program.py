"""`oddlot` as its user calls it, in a home of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import forked
import polling


class Oddlot:
    """Runs `oddlot` as a user would: another process, a home of its own."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        # COLUMNS would squeeze tables: those who run tests have it, a pipe has not.
        kept = {n: value for n, value in os.environ.items() if not n.startswith("ODDLOT_") and n != "COLUMNS"}
        self.environ = {**kept, "ODDLOT_HOME": str(home), "ODDLOT_SETTLE_SECONDS": "0", **variables}

    def start(self, *arguments, **options) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", *map(str, arguments)],
            env=self.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def run(self, *arguments, status: int = 0) -> str:
        """Standard output of a command that must exit with `status`; standard error where that is not 0."""
        ended = forked.run(arguments, self.environ, 300.0)
        assert ended.status == status, f"{arguments}: exit {ended.status}\n{ended.out}\n{ended.err}"
        return ended.out if status == 0 else ended.err

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json"))

    def processes(self) -> list[str]:
        """Command lines of all living processes that belong to this home."""
        return list(self._processes().values())

    def leaves_nothing(self) -> None:
        """Nothing of this home runs but the queue, which ends when it is seen to be needed by nobody."""
        here = [line for line in self.processes() if "worker.broker" not in line and "-server " not in line]
        assert here == []
        self.await_end()

    def await_end(self) -> None:
        """Until nothing of this home runs any more."""
        polling.eventually(lambda: self.processes() == [], lambda: f"still there: {self.processes()}")

    def kill_all(self) -> None:
        """kill -9 of all of them, at once."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _processes(self) -> dict[int, str]:
        mine = f"ODDLOT_HOME={self.home}".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                if mine in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return {pid: line for pid, line in found.items() if line}
