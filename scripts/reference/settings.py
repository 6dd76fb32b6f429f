"""The page of all settings: from the fields of `oddlot.settings.Settings`, and from what the program answers."""

import ast
import inspect
import re
import tempfile
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_args

from oddlot.errors import SettingsError
from oddlot.settings import Settings, load_settings

HEAD = """\
# Settings

<!-- Made from the code by `python -m scripts.reference`: do not edit. -->

A setting is an environment variable, `ODDLOT_BATCH_SIZE=64`, or a line of `oddlot.toml`, `batch_size = 64`. The
variable wins. `oddlot.toml` is looked for where `ODDLOT_CONFIG` says, else in the current folder, else in the home. A
value that is not of its type or out of its bounds, and a name in `oddlot.toml` that does not exist, is refused in one
line.

The value of every setting that is text may stand in a file: `ODDLOT_REVIEW_PASSWORD_FILE=/etc/oddlot/review_password`.
That is the better place for a password: what stands in the environment, or on a command line, others can read. Settings
that may hold a secret are marked; no log, error or report shows their values.

`HOME` below is the folder that `ODDLOT_HOME` names. All hosts that work together need the same settings, but for
`ODDLOT_HOME` and what says how much a host does ([a second host](../how-to/second-host.md)).
"""

KINDS = {Path: "A path", int: "A whole number", float: "A number", str: "Text", bool: "`true` or `false`"}
BEYOND = "-1000000000000000"
"""A number that every bound refuses."""


def page() -> str:
    """The page as Markdown."""
    said = docstrings()
    missing = [one.name for one in fields(Settings) if one.name not in said]
    if missing:
        raise ValueError(f"settings without a docstring: {', '.join(missing)}")
    return HEAD + "".join(_section(one, said[one.name]) for one in fields(Settings))


def docstrings() -> dict[str, str]:
    """What stands below each field of the dataclass, by its name."""
    (definition,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def _section(one: "Field[Any]", text: str) -> str:
    kind = KINDS.get(one.type) or KINDS[get_args(one.type)[0]]  # of several, the first is the usual one
    bounds = _bounds(one)
    facts = f"{kind}{f', {bounds}' if bounds else ''}; {_default(one)}."
    secret = "" if one.repr else " It may hold a secret."
    return f"\n## `ODDLOT_{one.name.upper()}`\n\n{text}\n\n{facts}{secret}\n"


def _default(one: "Field[Any]") -> str:
    if one.default is not MISSING:
        value = str(one.default).lower() if isinstance(one.default, bool) else str(one.default)
        return f"default `{value}`" if value else "empty unless it is set"
    if one.name == "home":
        return "default the user's own folder for data, on Linux `~/.local/share/oddlot`"
    value = getattr(_load(), one.name)
    return f"default `{str(value).replace('/HOME', 'HOME')}`"


def _bounds(one: "Field[Any]") -> str:
    """What the program itself says when it is given something that cannot be."""
    if one.type not in (int, float, str) or (one.type is str and one.default == ""):
        return ""
    wrong = "?" if one.type is str else BEYOND
    try:
        _load(**{f"ODDLOT_{one.name.upper()}": wrong})
    except SettingsError as error:
        if found := re.search(r"must be (?:between ([\d.]+) and ([\d.]+)|one of ([\w, ]+)), not", str(error)):
            low, high, words = found.groups()
            return f"one of {_code(words.split(', '))}" if words else f"{_number(low)} to {_number(high)}"
    return ""


def _load(**environ: str) -> Settings:
    """The settings of somebody who has set nothing else, whatever stands in an oddlot.toml here."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as empty:
        return load_settings({"ODDLOT_HOME": "/HOME", "ODDLOT_CONFIG": empty.name} | environ)


def _code(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _number(text: str) -> str:
    return text if "." in text else f"{int(text):,}"
