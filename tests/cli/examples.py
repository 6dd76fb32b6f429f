"""The examples of a page: what stands in its blocks of shell commands, run as a reader would, one after the other."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forked import __file__ as forked_program
from forked import forked

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
NOT_RUN = "not-run"
"""The mark behind the language of a block that no test can run: it needs a service manager, root or another machine."""

QUICK = "--architecture paper --size 32 --epochs 1 --force"
"""What every fit of an example is given besides: a model in seconds, which need see nothing."""

_PROGRAM = """#!/bin/sh
case "$1" in
  fit) shift; exec {ask} {fits} fit "$@" {quick} ;;
  up|worker) exec {python} -m cli.main "$@" ;;
  *) exec {ask} {commands} "$@" ;;
esac
"""
"""Those that a page starts in the background are started for real."""

_BLOCK = re.compile(r"^( *)```(\w*) ?([\w-]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_EXIT_CODE = re.compile(r"#.*\bexit code (\d+)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    mark: str
    lines: list[str]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, without their indentation; a line that ends with a backslash holds the next, too."""
    found = []
    for _, language, mark, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = textwrap.dedent(text).replace("\\\n", " ").splitlines()
        found.append(Block(language, mark, [line.strip() for line in lines if line.strip()]))
    return found


def commands(page: Path) -> list[str]:
    """The lines of a page that are to be run, in order."""
    return [line for one in blocks(page) if (one.language, one.mark) == ("sh", "") for line in one.lines]


def run(lines: Sequence[str], folder: Path, environ: Mapping[str, str]) -> str:
    """Run lines in one shell, in `folder`; returns what they printed.

    Each must end with 0, or with the exit code that its comment names. What was started with `&` is stopped at the end.
    """
    programs = folder / "programs"
    programs.mkdir()
    oddlot = programs / "oddlot"
    oddlot.write_text(_PROGRAM.format(
        python=sys.executable, quick=QUICK, ask=f"{sys.executable} -IS {forked_program} ask",
        commands=forked(fits=False).socket, fits=forked(fits=True).socket,
    ))  # fmt: skip
    oddlot.chmod(0o755)
    script = folder / "example.sh"
    script.write_text("\n".join([_PRELUDE, *map(_checked, lines), ""]), encoding="utf-8")
    log = folder / "example.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            ["bash", script], cwd=folder, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            start_new_session=True,
            env={**environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        try:
            status = process.wait(timeout=300)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=90)
    printed = log.read_text(encoding="utf-8", errors="replace")
    assert status == 0, printed
    return printed


_PRELUDE = """\
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
ended() { [ "$1" = "$2" ] || { echo "exit code $1, not $2: $3"; exit 1; }; }
"""


def _checked(line: str) -> str:
    if line.endswith("&"):
        return line
    expected = found[1] if (found := _EXIT_CODE.search(line)) else "0"
    shown = line.replace("'", "'\\''")
    return f"{line}\nended $? {expected} '{shown}'"
