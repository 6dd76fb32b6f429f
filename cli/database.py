"""`oddlot db`: care of the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.actor import actor
from cli.output import AsJson, note, print_json, printable, say
from cli.session import Session, open_session
from oddlot.errors import OddlotError
from oddlot.settings import load_settings

if TYPE_CHECKING:
    from worker.pruning import Freed

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
    say(f"Not in it: the models ({settings.model_store}) and the heat maps ({settings.map_store}). Copy these as well.")


@group.command("restore", epilog="Example: oddlot db restore /backup/oddlot-monday.db")
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `oddlot db backup` wrote.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where workers are alive, or jobs would be lost.")
    ] = False,
) -> None:
    """Replace the database by a backup; what was in work when it was made is done again."""
    from db import backup as copies
    from db.accounts import any_account
    from db.audit_log import Act, record_done
    from db.schema import HEAD

    before = copies.restore(load_settings().database_url, file, force=force)
    engine = open_session().engine
    record_done(engine, actor(), Act.RESTORED, str(file))
    say(f"the database is that of {file}" + (f", brought from version {before} to {HEAD}" if before != HEAD else ""))
    if any_account(engine):
        say("Users, passwords and tokens are those of the backup, also what was removed or revoked since: look at "
            "`oddlot users list` and `oddlot tokens list`. Nobody is signed in.")  # fmt: skip
    say("Work goes on with `oddlot up` or `oddlot worker`.")


@group.command("move", epilog="Example: oddlot db move ~/.local/share/oddlot/oddlot.db")
def move(
    file: Annotated[Path, typer.Argument(help="The SQLite database of one PC, or a backup of it.")],
    keep: Annotated[bool, typer.Option("--keep", help="Let the file be used afterwards, too.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Move nothing: use the file again, which a move has marked.")
    ] = False,
) -> None:
    """Move everything from the SQLite file of one PC into the empty PostgreSQL database of ODDLOT_DATABASE_URL."""
    from db import moving

    if undo:
        moving.undo(file)
        say(f"{file} may be used again.")
        return
    settings = load_settings()
    count = moving.move(file, settings.database_url, keep=keep, told=lambda name, rows: note(f"{name}: {rows} rows"))
    say(f"{count} rows moved and compared. {'The file may still be used.' if keep else f'{file} is marked as moved.'}")
    say(
        f"Not moved, because they are files: the models ({settings.model_store}) and the heat maps "
        f"({settings.map_store}). Other hosts need them on a shared folder, or in an object store."
    )


@group.command("prune", epilog="Example: oddlot db prune --older-than 90d --keep-verdicts --dry-run")
def prune(
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Jobs that finished longer ago: 90d, 12w or 36h.")
    ] = None,
    schedules: Annotated[
        bool, typer.Option("--schedules", help="Jobs of schedules, as each says with `nightly add --keep`.")
    ] = False,
    keep_verdicts: Annotated[
        bool, typer.Option("--keep-verdicts", help="Leave items that have a verdict as they are.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove results, heat maps and thumbnails of old jobs, in small steps, while workers work.

    Jobs stay with their completeness record, items with their state, verdicts always.

    Jobs that are open or held are left alone. Stopped half way, the next one goes on.
    """
    from db import pruning
    from worker import pruning as rooms

    if older_than is None and not schedules:
        raise OddlotError("say what is old: --older-than 90d, or --schedules for what each schedule says")
    days = None if older_than is None else _days(older_than)
    session = open_session()
    rules = [] if days is None else [pruning.older_than(session.engine, days, keep_verdicts=keep_verdicts)]
    if schedules:
        rules += pruning.rules_of_schedules(session.engine, keep_verdicts=keep_verdicts)
    freed = rooms.preview(session.engine, session.settings, rules) if dry_run else _prune(session, rules, quiet=as_json)
    free = None if dry_run else pruning.free_bytes(session.engine)
    if as_json:
        print_json(_freed_record(freed, free, dry_run))
    else:
        _say_freed(freed, free, dry_run)
    if freed.failed:
        more = f", and {len(freed.failed) - 1} more" if len(freed.failed) > 1 else ""
        raise OddlotError(f"not removed: {freed.failed[0]}{more}; mend that and prune again")


def _prune(session: Session, rules: list[Any], *, quiet: bool) -> "Freed":
    import sys

    from db.audit_log import Act, record_done
    from worker import pruning

    if quiet or not sys.stderr.isatty():
        freed = pruning.prune(session.engine, session.settings, rules)
    else:
        from cli.output import console

        with console(stderr=True).status("pruning ...") as status:
            freed = pruning.prune(
                session.engine, session.settings, rules,
                on_step=lambda so_far: status.update(f"pruning: {so_far.jobs} jobs, {so_far.results} results"),
            )  # fmt: skip
    pruning.remove_leftovers(session.engine, session.settings, freed)
    record_done(session.engine, actor(), Act.PRUNED, f"{freed.jobs} jobs", f"{freed.results} results")
    return freed


def _days(text: str) -> float:
    units = {"h": 1 / 24, "d": 1.0, "w": 7.0}
    number, unit = text[:-1], text[-1:]
    if not (unit in units and number.isascii() and number.isdecimal() and int(number) * units[unit] <= 36_500):
        raise OddlotError(f"--older-than does not understand {text!r}: write 90d, 12w or 36h, up to 36500d")
    return int(number) * units[unit]


def _freed_record(freed: "Freed", free: int | None, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run, "jobs": freed.jobs, "results": freed.results, "audits": freed.audits,
        "maps": freed.files["maps"], "thumbnails": freed.files["thumbnails"], "file_bytes": freed.file_bytes,
        "database_free_bytes": free, "failed": freed.failed,
    }  # fmt: skip


def _say_freed(freed: "Freed", free: int | None, dry_run: bool) -> None:
    word = "would be pruned" if dry_run else "pruned"
    say(f"{word}: {freed.jobs} jobs with {freed.results} results and {freed.audits} draws of the audit; "
        f"{freed.files['maps']} heat maps and {freed.files['thumbnails']} thumbnails, "
        f"{freed.file_bytes / 1024**2:.1f} MiB of files")  # fmt: skip
    if free is not None:
        say(f"The database file keeps its size; {free / 1024**2:.1f} MiB of it are free for the next results.")
    for text in freed.failed[:20]:
        note(f"not removed: {printable(text)}")
