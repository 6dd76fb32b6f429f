"""`oddlot users`: who may sign in at the review page, and what each of them may do there."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.actor import actor
from cli.output import AsJson, Format, print_json, printable, say, write_rows
from cli.session import open_session
from oddlot.errors import OddlotError
from oddlot.words import Role

if TYPE_CHECKING:
    from db.accounts import Account

group = typer.Typer(no_args_is_help=True, help="Who may sign in at the review page.")
COLUMNS = ["user", "role", "active", "created_at"]
FILE_LIMIT = 10_000
"""Most characters that are read to find the first line of a password file."""

Name = Annotated[str, typer.Argument(help="Name of the user, as it stands beside verdicts.")]
RoleOf = Annotated[Role, typer.Option("--role", help="viewer reads, reviewer also judges, admin also changes models.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="File whose first line is the password, or - for standard input; left out: it is asked for."),
]


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="users")


@group.callback()
def users() -> None:
    """Who may sign in at the review page. While there is nobody, ODDLOT_REVIEW_PASSWORD decides."""


@group.command("add", epilog="Example: oddlot users add ada --role admin")
def add(name: Name, role: RoleOf, password_file: PasswordFile = None, as_json: AsJson = False) -> None:
    """Add a user. The first one is an admin, and from then on everybody signs in by name."""
    from db import accounts
    from oddlot.passwords import hash_password

    session = open_session()
    name = accounts.check_user_name(name)
    first = not accounts.any_account(session.engine)
    row = accounts.add_account(session.engine, name, role, hash_password(_password(name, password_file)), actor())
    _tell(row, f"{row.name} is {row.role!s}", as_json)
    if first and not as_json:
        say("From now on the review page and its JSON interface ask for a name and a password, or a token.")


@group.command("list", epilog="Example: oddlot users list")
def list_all(as_json: AsJson = False) -> None:
    """All users, removed ones too."""
    from db import accounts

    found = [_record(row) for row in accounts.list_accounts(open_session().engine)]
    if as_json:
        print_json(found)
    elif not found:
        say("No users. Make the first: oddlot users add NAME --role admin")
    else:
        write_rows(found, COLUMNS, Format.TABLE, None, table_columns=COLUMNS)


@group.command("role", epilog="Example: oddlot users role ada --role reviewer")
def set_role(name: Name, role: RoleOf, as_json: AsJson = False) -> None:
    """Give a user another role; it counts at once, also where they are signed in. The last active admin stays one."""
    from db import accounts

    row = accounts.set_role(open_session().engine, name, role, actor())
    _tell(row, f"{row.name} is {row.role!s}{_but(row)}", as_json)


@group.command("password", epilog="Example: oddlot users password ada")
def set_password(name: Name, password_file: PasswordFile = None, as_json: AsJson = False) -> None:
    """Give a user another password. Wherever they were signed in, that ends."""
    from db import accounts
    from oddlot.passwords import hash_password

    session = open_session()
    known = accounts.get_account(session.engine, name)
    hashed = hash_password(_password(known.name, password_file))
    row = accounts.set_password(session.engine, name, hashed, actor())
    _tell(row, f"{row.name} has another password{_but(row)}", as_json)


def _but(row: "Account") -> str:
    return "" if row.active else f", but is removed and may not sign in: oddlot users restore {row.name}"


@group.command("remove", epilog="Example: oddlot users remove ada")
def remove(name: Name, as_json: AsJson = False) -> None:
    """Let a user in no more, nor a token that is theirs. The name stays beside their verdicts."""
    from db import accounts

    row = accounts.remove_account(open_session().engine, name, actor())
    _tell(row, f"{row.name} is removed", as_json)


@group.command("restore", epilog="Example: oddlot users restore ada")
def restore(name: Name, as_json: AsJson = False) -> None:
    """Let a removed user in again, with role and password of then."""
    from db import accounts

    row = accounts.restore_account(open_session().engine, name, actor())
    _tell(row, f"{row.name} may sign in again, as {row.role!s}", as_json)


def _password(name: str, file: Path | None) -> str:
    """From a file, or typed twice on the terminal; never an argument, which everybody on the machine could read."""
    from oddlot.passwords import check_password

    if file is None:
        password = _ask(name)
    else:
        try:
            text = sys.stdin.read(FILE_LIMIT) if str(file) == "-" else file.read_text("utf-8")[:FILE_LIMIT]
        except UnicodeDecodeError:
            raise OddlotError(f"{file} is not text in UTF-8") from None
        password = text.partition("\n")[0].removesuffix("\r")
    check_password(password, name)
    return password


def _ask(name: str) -> str:
    import getpass

    if not sys.stdin.isatty():
        raise OddlotError("nobody can be asked for a password here: give --password-file FILE, or - for standard input")
    password = getpass.getpass(f"Password of {printable(name)}: ")
    if getpass.getpass("Once more: ") != password:
        raise OddlotError("that was not the same twice: nothing is changed")
    return password


def _record(row: "Account") -> dict[str, Any]:
    return {"user": row.name, "role": str(row.role), "active": row.active, "created_at": row.created_at}


def _tell(row: "Account", text: str, as_json: bool) -> None:
    if as_json:
        print_json(_record(row))
    else:
        say(printable(text))
