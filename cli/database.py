"""`oddlot db`: care of the database."""

import typer

from cli.output import say
from oddlot.settings import load_settings

group = typer.Typer(no_args_is_help=True, help="Care of the database.")


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="db")


@group.callback()
def database() -> None:
    """Care of the database."""


@group.command("upgrade", epilog="Example: oddlot db upgrade")
def upgrade() -> None:
    """Bring the database to the version of this program; harmless where it is there already."""
    from db import migrate

    before, after = migrate.upgrade(load_settings().database_url)
    say(f"the database was at {before or 'nothing'} and is at {after}" if before != after else
        f"the database is at {after} already")  # fmt: skip
