"""`metrics`: what Prometheus reads from the review page, printed once."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import say
from oddlot.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command("metrics", epilog="Example: oddlot metrics")(metrics)


def metrics(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a file, whole or not at all, as node_exporter's textfile collector "
                     "reads it; left out: print."),
    ] = None,
) -> None:  # fmt: skip
    """All metrics in the text format of Prometheus, as the review page gives them at /metrics.

    Also where the database does not answer: that is one of them.
    """
    from db.engine import make_engine
    from oddlot.replacing import replace_file
    from worker.metrics import Exporter

    settings = load_settings()
    engine = make_engine(settings.database_url)
    text = Exporter(engine, settings).text()
    engine.dispose()
    if output is None:
        say(text.decode().rstrip("\n"))
    else:
        replace_file(output, text)
