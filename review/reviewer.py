"""The name that stands beside a verdict."""

import getpass
from urllib.parse import unquote

from fastapi import Request

NAME_COOKIE = "oddlot_reviewer"
NAME_LENGTH = 80


def reviewer_of(request: Request) -> str | None:
    """Who says it: the user who is signed in. Where there are no users, the name that was given; on this machine alone,
    without a password, that of whoever runs the page unless another was given."""
    visit = request.state.visit
    if visit.caller is None:
        return None
    if visit.has_users:
        return str(visit.caller.name)
    name = clean_name(unquote(request.cookies.get(NAME_COOKIE, "")))
    if name:
        return name
    if not request.app.state.guard.shared.sessions.open_to_all:
        return None
    try:
        return clean_name(getpass.getuser()) or None
    except (KeyError, OSError):  # a number without a name, as in a container
        return None


def clean_name(text: str) -> str:
    """One line of printable text, at most NAME_LENGTH characters."""
    return "".join(c if c.isprintable() else " " for c in text).strip()[:NAME_LENGTH]


def own_page(target: str | None) -> str:
    """`target` where it is a page of ours, else the first page: nobody is sent elsewhere."""
    if target and target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable():
        return target
    return "/"
