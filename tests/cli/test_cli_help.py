"""Every command explains itself and gives an example; wrong usage is one line."""

import subprocess
import sys

import pytest
import typer.main

from cli.main import app


def commands(command, path=()):
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield path, command
        return
    for name, child in subcommands.items():
        yield from commands(child, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))


def oddlot(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_every_command_of_the_contract_is_there():
    contract = {
        ("fit",), ("submit",), ("inspect",), ("worker",), ("up",), ("jobs",), ("job",), ("cancel",), ("retry",),
        ("flagged",), ("results",), ("explain",), ("doctor",), ("db", "upgrade"), ("db", "backup"), ("db", "restore"),
        ("nightly", "add"), ("nightly", "list"), ("nightly", "remove"), ("nightly", "pause"), ("nightly", "resume"),
        ("nightly", "run-now"), ("models", "list"), ("quality",), ("threshold",),
        ("models", "show"), ("models", "promote"), ("models", "rollback"), ("models", "export"), ("models", "import"),
    }  # fmt: skip
    assert contract <= set(ALL)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_command_has_help_with_an_example(path):
    command = ALL[path]
    assert command.help
    assert command.epilog.startswith(f"Example: oddlot {' '.join(path)}")
    undocumented = [p.name for p in command.params if p.name != "help" and not getattr(p, "help", None)]
    assert not undocumented


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit",),
        ("submit", "flange"),
        ("frobnicate",),
        ("jobs", "--limit", "many"),
        ("submit", "flange", ".", "--priority", "11"),
        ("flagged", "--format", "xml"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, tmp_path):
    done = oddlot(*arguments, env=None)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("oddlot: ")
    assert "--help" in done.stderr
