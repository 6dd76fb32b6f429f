"""The page of all commands: what typer makes of the command line, and what `cli.main` says of its exit codes."""

import html
import re
import subprocess
import sys
from pathlib import Path

from cli.main import main

ROOT = Path(__file__).resolve().parents[2]

HEAD = """\
# Commands

<!-- Made from the code by `python -m scripts.reference`: do not edit. -->

Every command explains itself with `--help`. Those that print data print JSON with `--json`: data goes to standard
output, everything else to standard error.

"""

_HEADING = re.compile(r"^#{2,3} `(oddlot .+)`$")
_IN_LIST = re.compile(r"^\* `([a-z-]+)`: ")


def page() -> str:
    """The page as Markdown."""
    lines = _from_typer().splitlines()[1:]  # without its own title
    summaries = {found[1]: lines[number + 2] for number, line in enumerate(lines) if (found := _HEADING.match(line))}
    around, kept = "oddlot", []
    for line in lines:
        if found := _HEADING.match(line):
            around = found[1]
        elif (found := _IN_LIST.match(line)) and (name := f"{around} {found[1]}") in summaries:
            # shortened to fit a terminal
            line = f"* [`{name}`](#{name.replace(' ', '-')}): {summaries[name]}"
        elif line.startswith("Example: "):
            line = f"Example: `{line.removeprefix('Example: ')}`"
        if not line.startswith("* `--help`"):
            kept.append(line.replace("```console", "```text").removeprefix("$ "))
    text = re.sub(r"\*\*Options\*\*:\n\n(?!\*)", "", "\n".join(kept))  # where --help was the only one
    text = re.sub(r"\*\*(Arguments|Options|Commands)\*\*:", r"\1:", text.replace("**Usage**:\n\n", ""))
    return f"{HEAD}{_exit_codes()}\n\n{text.strip()}\n"


def _from_typer() -> str:
    command = [sys.executable, "-m", "typer", "cli.main", "utils", "docs", "--name", "oddlot"]
    return html.unescape(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def _exit_codes() -> str:
    """The list of them in the docstring of `cli.main.main`, one a line."""
    assert main.__doc__
    codes = " ".join(main.__doc__.split()).partition("exit ")[2].rstrip(".")
    return "Exit codes:\n\n" + re.sub(r"^([0-9]+)", r"- `\1`", "\n".join(codes.split(", ")), flags=re.MULTILINE)
