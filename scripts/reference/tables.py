"""The page of all tables and views: their columns as each engine has them, and what they hold."""

import ast
import inspect
from typing import Any

from sqlalchemy import Column, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql, sqlite

from db import schema
from db.types import Word
from db.views import VIEWS
from scripts.reference.dictionary import COLUMNS, TABLES

HEAD = f"""\
# Tables

<!-- Made from the code by `python -m scripts.reference`: do not edit. -->

The database of this version of Oddlot is at `{schema.HEAD}`. Tables may change with any version. For tools of your own
there are two views, which keep their columns: {{views}} ([queries](../queries.md#sql)). Read only, please.

Times are UTC. A type that differs is given for SQLite first, then for PostgreSQL. *Null* says whether a column may be
empty.
"""


def page() -> str:
    """The page as Markdown. Raises ValueError where something has no description, or two."""
    said = descriptions()
    views = ", ".join(f"[`{name}`](../queries.md#{name})" for name in VIEWS)
    return HEAD.replace("{views}", views) + "".join(_section(one, said) for one in schema.metadata.tables.values())


def descriptions() -> dict[str, str]:
    """What each table and column holds, by `table` and `table.column`: a comment above it in db/schema.py, else the
    data dictionary. Raises ValueError where something has no description, or two, or does not exist."""
    commented = comments()
    named = TABLES | {f"{table}.{column}": text for table, of in COLUMNS.items() for column, text in of.items()}
    there = {one.name for one in schema.metadata.sorted_tables}
    there |= {f"{one.name}.{column.name}" for one in schema.metadata.sorted_tables for column in one.columns}
    for what, names in (
        ("without a description: write one into scripts/reference/dictionary.py", there - set(named) - set(commented)),
        ("described in scripts/reference/dictionary.py, and not in db/schema.py", set(named) - there),
        ("described twice, in db/schema.py and scripts/reference/dictionary.py", set(named) & set(commented)),
    ):
        if names:
            raise ValueError(f"{', '.join(sorted(names))}: {what}")
    return named | commented


def comments() -> dict[str, str]:
    """The comments in db/schema.py that stand above a column, or first in a table."""
    source = inspect.getsource(schema)
    lines, found = source.splitlines(), {}
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(value=ast.Call(func=ast.Name("Table"), args=[ast.Constant(table) as first, _, *rest])):
                found[table] = _above(lines, first.lineno)
                for one in rest:
                    match one:
                        case ast.Call(func=ast.Name("Column"), args=[ast.Constant(column), *_]):
                            found[f"{table}.{column}"] = _above(lines, one.lineno)
    return {name: text for name, text in found.items() if text}


def _above(lines: list[str], number: int) -> str:
    """The comment above a line, as one line of text."""
    words: list[str] = []
    while lines[number - 2].lstrip().startswith("#"):
        number -= 1
        words.insert(0, lines[number - 1].strip().lstrip("# "))
    return " ".join(words)


def _section(table: Table, said: dict[str, str]) -> str:
    rows = [_row(column, said[f"{table.name}.{column.name}"]) for column in table.columns]
    head = "| column | type | null | what |\n|---|---|---|---|\n"
    unique = "".join(
        f"\nUnique: {', '.join(f'`{column.name}`' for column in one.columns)}.\n"
        for one in sorted(table.constraints, key=lambda one: str(one.name)) if isinstance(one, UniqueConstraint)
    )  # fmt: skip
    return f"\n## `{table.name}`\n\n{said[table.name]}\n\n{head}{''.join(rows)}{unique}"


def _row(column: "Column[Any]", text: str) -> str:
    if column.primary_key:
        text = f"{text} Primary key."
    for key in column.foreign_keys:
        text = f"{text} Points to `{key.target_fullname}`."
    if isinstance(column.type, Word):
        text = f"{text} One of {', '.join(f'`{word}`' for word in column.type.words)}."
    text = text.replace("|", "\\|")
    return f"| `{column.name}` | {_type(column)} | {'yes' if column.nullable else ''} | {text} |\n"


def _type(column: "Column[Any]") -> str:
    of = [column.type.compile(dialect=dialect) for dialect in (sqlite.dialect(), postgresql.dialect())]
    return " / ".join(dict.fromkeys(kind.lower() for kind in of))
