"""`oddlot db`: care of the database."""

from pathlib import Path
from typing import Annotated

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


@group.command("backup", epilog="Example: oddlot db backup /backup/oddlot-monday.db")
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file where there is one.")] = False,
) -> None:
    """Write the whole database into one file; jobs may run meanwhile. Models and heat maps are files of their own."""
    from db import backup as copies

    settings = load_settings()
    copies.backup(settings.database_url, file, force=force)
    say(f"{file}: {file.stat().st_size / 1024**2:.1f} MiB")
    say(f"Not in it: the models ({settings.model_store}) and the heat maps ({settings.map_store}). Copy these folders.")


@group.command("restore", epilog="Example: oddlot db restore /backup/oddlot-monday.db")
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `oddlot db backup` wrote.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where workers are alive, or jobs would be lost.")
    ] = False,
) -> None:
    """Replace the database by a backup; what was in work when it was made is done again."""
    from db import backup as copies
    from db.schema import HEAD

    before = copies.restore(load_settings().database_url, file, force=force)
    say(f"the database is that of {file}" + (f", brought from version {before} to {HEAD}" if before != HEAD else ""))
    say("Work goes on with `oddlot up` or `oddlot worker`.")
