"""`oddlot`: all commands, and the one place where an error becomes a line and an exit code."""

import io
import os
import sys
from typing import Annotated

import typer

import oddlot
from cli import (
    audit_log,
    database,
    demo,
    doctor,
    explain,
    export,
    fit,
    health,
    held,
    inspect,
    items,
    jobs,
    lines,
    metrics,
    models,
    nightly,
    quality,
    report,
    results,
    review,
    services,
    signing,
    threshold,
    tokens,
    users,
)
from cli.output import printable
from oddlot.errors import OddlotError

app = typer.Typer(
    name="oddlot", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Learns what good parts look like, inspects folders of pictures, shows the few that are odd.",
    epilog="First steps: oddlot demo. With your own pictures: oddlot fit NAME GOOD_DIR, then "
    "oddlot inspect NAME FOLDER.",
)  # fmt: skip


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"oddlot {oddlot.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Options before the command."""


fit.register(app)
models.register(app)
signing.register(models.group)
inspect.register(app)
jobs.register(app)
held.register(app)
results.register(app)
export.register(app)
explain.register(app)
report.register(app)
nightly.register(app)
lines.register(app)
items.register(app)
review.register(app)
quality.register(app)
threshold.register(app)
services.register(app)
doctor.register(app)
health.register(app)
metrics.register(app)
database.register(app)
users.register(app)
tokens.register(app)
audit_log.register(app)
demo.register(app)


def main() -> None:
    """Entry point of the `oddlot` command: exit 0 on success, 1 on an error of ours, 2 on wrong usage, 3 where a fit
    ended with a model that is not active, 4 where a job that was waited for is held or discarded."""
    for stream in (sys.stdout, sys.stderr):
        # File names may hold bytes that are no text. Written as \udcXX they are valid in JSON, too.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = app(standalone_mode=False)
    except OddlotError as error:
        _fail(str(error), 1)
    except typer.Abort:
        _fail("stopped", 130)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except BrokenPipeError:
        # The reader (`| head`) has gone: not an error, and nothing more may be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        _fail_or_raise(error)
    else:
        sys.exit(status if isinstance(status, int) else 0)


def _fail_or_raise(error: Exception) -> None:
    """One line for what the user or the surroundings did; a traceback only for a fault of this program."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # click's own: wrong usage
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "oddlot"
        message = " ".join(error.format_message().split())
        if not message:  # a group called without a command has shown its help already
            sys.exit(error.exit_code)
        _fail(f"{message} See: {path} --help", error.exit_code)
    module = type(error).__module__
    if module.startswith("sqlalchemy"):
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        _fail(f"the database refused: {reason}. `oddlot doctor` looks for the cause", 1)
    if module.startswith(("redis", "kombu", "amqp")):
        _fail(
            f"the queue cannot be reached: {str(error).splitlines()[0]}. `oddlot doctor` looks for the cause",
            1,
        )
    if isinstance(error, OSError) and error.errno is not None:  # a missing folder, a full disk
        where = f"{error.filename}: " if error.filename is not None else ""
        _fail(f"{where}{error.strerror or error}", 1)
    raise error


def _fail(message: str, status: int) -> None:
    # Names of models, files and lots stand in it, and may hold anything that steers a terminal.
    print(f"oddlot: {printable(' '.join(message.split()))}", file=sys.stderr)  # noqa: T201 - the one line of an error
    sys.exit(status)


if __name__ == "__main__":
    main()
