"""`review`: the page on which a person looks at what was flagged."""

import contextlib
import errno
import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import note, say
from cli.session import open_session
from oddlot.errors import SettingsError
from oddlot.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine


def register(app: typer.Typer) -> None:
    app.command("review", epilog="Example: oddlot review --port 8765")(review)


def review(
    host: Annotated[str | None, typer.Option(help="Address to listen at; left out: this machine alone.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Port; left out: 8765.")] = None,
) -> None:
    """The page on which a person looks at what was flagged, until Ctrl-C.

    Once there are users (`oddlot users add`) it asks for name and password. Without any it is open to this machine
    alone; at other addresses it asks for the password in ODDLOT_REVIEW_PASSWORD.
    """
    session = open_session()
    settings = replace(
        session.settings, review_host=host or session.settings.review_host,
        review_port=port or session.settings.review_port,
    )  # fmt: skip
    listening = check_port(session.engine, settings)
    session.engine.dispose()
    import uvicorn

    from oddlot import logs, objects
    from review.app import server_config
    from review.connections import allow_many_descriptors

    allow_many_descriptors()
    logs.configure(settings.log)
    objects.hurry()
    config = server_config(settings)
    begun = f"Review page: {address_of(settings)}. Stop with Ctrl-C."
    if not logs.tell(settings, begun):
        say(begun)
    server = uvicorn.Server(config)
    with contextlib.closing(listening), contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    if not logs.tell(settings, "the review page is closed"):
        note("the review page is closed")


def check_port(engine: "Engine", settings: Settings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises SettingsError where that cannot be: the port is taken, the address is not one of this machine, or others
    could come in without a password.
    """
    from db.accounts import any_account
    from review.guard import check_binding

    check_binding(settings, users=any_account(engine))
    host, port = settings.review_host.strip("[]"), settings.review_port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(f"{host} is not an address of this machine: {error.strerror}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        reason = "is taken by another program" if error.errno == errno.EADDRINUSE else f"is refused: {error.strerror}"
        raise SettingsError(
            f"port {port} at {host} {reason}; choose another with --port or ODDLOT_REVIEW_PORT"
        ) from error
    return listening


def address_of(settings: Settings) -> str:
    host = settings.review_host.strip("[]")
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.review_port}"


def review_command() -> list[str]:
    """The page as a process of its own."""
    return [
        sys.executable,
        "-P",
        "-c",
        "import sys; sys.argv = ['oddlot', 'review']; from cli.main import main; main()",
    ]
