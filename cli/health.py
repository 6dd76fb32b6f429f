"""`health`: whether one part of Oddlot does its work on this host, as an exit code for whoever keeps it running."""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, print_json, say
from cli.session import open_session
from oddlot.errors import OddlotError
from oddlot.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

PAGE_SECONDS = 5.0
"""How long the review page may take to answer."""


class Part(StrEnum):
    """What can be asked after."""

    WORKER = "worker"
    TRAINER = "trainer"
    BEAT = "beat"
    REVIEW = "review"
    ALL = "all"


def register(app: typer.Typer) -> None:
    app.command("health", epilog="Example: oddlot health worker")(health)


def health(
    part: Annotated[Part, typer.Argument(help="A part on this host; `all`: the work of all hosts together.")],
    as_json: AsJson = False,
) -> None:
    """Exit 0 where a part lives and, if work waits for it, goes on; else 1 with a line that says what is wrong.

    For the health check of a container or a service manager. The worker, the trainer and the clock of the schedules
    (beat) are asked after in the database, the review page at its address.
    """
    problems = _page(load_settings()) if part is Part.REVIEW else _in_sql(part)
    if as_json:
        print_json({"part": part, "healthy": not problems, "problems": problems})
        if problems:
            raise typer.Exit(1)
    elif problems:
        raise OddlotError("; ".join(problems))
    else:
        say(f"{part}: ok")


def _in_sql(part: Part) -> list[str]:
    from worker import health as judged

    asked: dict[Part, Callable[[Engine, Settings], list[str]]] = {
        Part.WORKER: judged.of_worker,
        Part.TRAINER: judged.of_trainer,
        Part.BEAT: judged.of_clock,
        Part.ALL: judged.of_everything,
    }
    session = open_session()
    try:
        return asked[part](session.engine, session.settings)
    finally:
        session.engine.dispose()


def _page(settings: Settings) -> list[str]:
    """The page is healthy where it answers and reaches the database; that others stall is not its fault."""
    import http.client
    import json

    host = settings.review_host.strip("[]")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(host, settings.review_port, timeout=PAGE_SECONDS)
    try:
        connection.request("GET", "/healthz")
        answer = json.loads(connection.getresponse().read())
        return [] if answer["database"] is True else list(map(str, answer["problems"]))
    except (OSError, http.client.HTTPException):
        return [f"the review page does not answer at {host}:{settings.review_port}"]
    except (ValueError, KeyError, TypeError):
        return [f"what answers at {host}:{settings.review_port} is not the review page"]
    finally:
        connection.close()
