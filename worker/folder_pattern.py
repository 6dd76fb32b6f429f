"""Folders with a date in their name: `/data/line3/{yesterday:%Y-%m-%d}`."""

import datetime as dt
import re

from oddlot.errors import OddlotError

_FIELD = re.compile(r"\{(today|yesterday):([^{}]+)\}")
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_DIRECTIVES = "YymdjGVuUWaAbB%"
"""What may follow a percent sign: years, months, weeks, days and their names; a date has no hours."""


def check(pattern: str) -> None:
    """Raises OddlotError for braces that hold anything but a day and its format."""
    rest = _FIELD.sub("", pattern)
    if "{" in rest or "}" in rest:
        raise OddlotError(
            f"{pattern!r} cannot be filled in: braces may only hold a day and its format, {{yesterday:%Y-%m-%d}} or "
            "{today:%Y-%m-%d}"
        )
    for field in _FIELD.finditer(pattern):
        for directive in _DIRECTIVE.findall(field[2]):
            if not directive or directive not in _DIRECTIVES:
                raise OddlotError(
                    f"{pattern!r} cannot be filled in: %{directive} is no part of a date; use %Y, %m, %d, %j, %G, %V"
                )


def folder_on(pattern: str, today: dt.date) -> str:
    """The folder that a checked pattern means on a day."""

    def fill(field: re.Match[str]) -> str:
        day = today if field[1] == "today" else today - dt.timedelta(days=1)
        return _DIRECTIVE.sub(lambda directive: day.strftime(directive[0]), field[2])

    return _FIELD.sub(fill, pattern)
