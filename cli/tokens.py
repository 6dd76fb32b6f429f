"""`oddlot tokens`: what programs sign in with at the JSON interface."""

import datetime as dt
from typing import Annotated, Any

import typer

from cli.actor import actor
from cli.output import AsJson, Format, note, print_json, printable, say, write_rows
from cli.session import open_session
from oddlot.errors import OddlotError
from oddlot.words import Role

group = typer.Typer(no_args_is_help=True, help="What programs sign in with.")
COLUMNS = ["token", "role", "user", "state", "created_at", "expires_at", "used_at"]
NEVER = "never"
HOURS = {"h": 1, "d": 24, "w": 168}

Name = Annotated[str, typer.Argument(help="Name of the token: what it is for.")]


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="tokens")


@group.callback()
def tokens() -> None:
    """What programs sign in with. They count once there are users (`oddlot users add`)."""


@group.command("add", epilog="Example: oddlot tokens add mes --role viewer --expires 90d")
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What it may do; to read, viewer is enough.")],
    expires: Annotated[str, typer.Option(metavar="AGE", help="Good for so long: 90d, 12w, 36h, or never.")],
    user: Annotated[str | None, typer.Option(help="Whose it is: it ends with that user.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print its secret, once: only a hash of it is kept."""
    from db.tokens import add_token

    lifetime = None if expires == NEVER else _age(expires)
    secret = add_token(open_session().engine, name, role, lifetime=lifetime, owner=user, by=actor())
    if as_json:
        print_json({"token": name, "role": str(role), "user": user, "secret": secret})
        return
    say(secret)
    note("It is not shown again. A program sends it with every request: Authorization: Bearer ...")


@group.command("list", epilog="Example: oddlot tokens list")
def list_all(as_json: AsJson = False) -> None:
    """All tokens, without their secrets."""
    from db.tokens import list_tokens

    moment = dt.datetime.now(dt.UTC)
    found: list[dict[str, Any]] = []
    for row in list_tokens(open_session().engine):
        over = row.expires_at is not None and row.expires_at <= moment
        found.append({
            "token": row.name, "role": str(row.role), "user": row.account,
            "state": "revoked" if row.revoked_at else "expired" if over else "good",
            "created_at": row.created_at, "expires_at": row.expires_at, "used_at": row.used_at,
        })  # fmt: skip
    if as_json:
        print_json(found)
    elif not found:
        say("No tokens. Make one: oddlot tokens add NAME --role viewer --expires 90d")
    else:
        write_rows(found, COLUMNS, Format.TABLE, None, table_columns=COLUMNS)


@group.command("revoke", epilog="Example: oddlot tokens revoke mes")
def revoke(name: Name) -> None:
    """Make a token useless, at once and for good."""
    from db.tokens import revoke_token

    revoke_token(open_session().engine, name, actor())
    say(f"{printable(name)} is revoked")


def _age(text: str) -> dt.timedelta:
    number, unit = text[:-1], text[-1:]
    if unit in HOURS and number.isascii() and number.isdecimal() and len(number) < 8:
        age = dt.timedelta(hours=int(number) * HOURS[unit])
        if dt.timedelta(0) < age <= dt.timedelta(days=36_500):
            return age
    raise OddlotError(f"--expires does not understand {text!r}: write 90d, 12w or 36h, up to 36500d, or never")
