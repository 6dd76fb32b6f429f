"""Rows for people and for programs: table, CSV, JSON, JSON lines, Parquet; and the line that says what happened."""

import csv
import datetime as dt
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from oddlot.errors import OddlotError

if TYPE_CHECKING:
    from rich.console import Console

PARQUET_CHUNK = 10_000
NOT_A_TERMINAL_WIDTH = 200
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Row = dict[str, Any]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"


def say(text: str = "") -> None:
    """A line for the person at the screen, on standard output."""
    typer.echo(text)


def note(text: str) -> None:
    """A line beside the data: on standard error, so that piped output stays clean."""
    typer.echo(text, err=True)


def console(*, stderr: bool = False) -> "Console":
    """A rich console; wide where nobody's terminal would be broken by it."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else NOT_A_TERMINAL_WIDTH
    return Console(stderr=stderr, width=width, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=_only_ascii(sys.stdout)))


def write_rows(
    rows: Iterable[Row], columns: Sequence[str], kind: Format, output: Path | None, *, table_columns: Sequence[str],
    table_limit: int | None = None, title: str | None = None,
) -> int:  # fmt: skip
    """Write rows in the format asked for; returns how many were written.

    Rows are streamed; only a table is held in memory, and it stops at `table_limit`, saying so.
    """
    if kind is Format.PARQUET:
        if output is None and sys.stdout.isatty():
            raise OddlotError("parquet is not for a screen: name a file with --output FILE")
        return _write_parquet(rows, columns, output)
    if kind is Format.TABLE:
        return _write_table(rows, table_columns, output, table_limit, title)
    stream = output.open("w", encoding="utf-8", errors="backslashreplace", newline="") if output else sys.stdout
    try:
        if kind is Format.CSV:
            return _write_csv(rows, columns, stream)
        return _write_json(rows, columns, stream, lines=kind is Format.JSONL)
    finally:
        if output:
            stream.close()


def _write_csv(rows: Iterable[Row], columns: Sequence[str], stream: IO[str]) -> int:
    writer = csv.writer(stream, lineterminator="\n")
    # Until Python 3.13 a carriage return alone is left unquoted, and a spreadsheet begins a row there.
    quoting = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    count = 0
    for row in rows:
        cells = [_csv_cell(row[name]) for name in columns]
        returns = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoting if returns else writer).writerow(cells)
        count += 1
    return count


def _write_json(rows: Iterable[Row], columns: Sequence[str], stream: IO[str], *, lines: bool) -> int:
    """A JSON array, one row a line, or JSON lines: the same without what holds the rows together."""
    count = 0
    first, between, last = ("", "\n", "\n") if lines else ("[\n", ",\n", "\n]\n")
    for count, row in enumerate(rows, start=1):
        chosen = {name: row[name] for name in columns}
        text = json.dumps(chosen, default=_plain, ensure_ascii=_only_ascii(stream))
        stream.write((first if count == 1 else between) + text)
    stream.write(last if count else "" if lines else "[]\n")
    return count


def _only_ascii(stream: IO[str]) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") != "utf8"


def _write_parquet(rows: Iterable[Row], columns: Sequence[str], output: Path | None) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "item": pa.int64(), "job": pa.int64(), "version": pa.int64(), "raw_score": pa.float64(),
        "score": pa.float64(), "p_value": pa.float64(), "flagged": pa.bool_(), "size": pa.int64(),
        "scored_at": pa.timestamp("us", tz="UTC"), "pruned_at": pa.timestamp("us", tz="UTC"), "night": pa.date32(),
    }  # fmt: skip
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in columns])
    iterator: Iterator[Row] = iter(rows)
    count = 0
    target = str(output) if output else sys.stdout.buffer
    with pq.ParquetWriter(target, schema) as writer:
        while chunk := list(islice(iterator, PARQUET_CHUNK)):
            data = {
                name: [row[name] if name in kinds or row[name] is None else _text(row[name]) for row in chunk]
                for name in columns
            }
            writer.write_table(pa.table(data, schema=schema))
            count += len(chunk)
    return count


def _write_table(
    rows: Iterable[Row], columns: Sequence[str], output: Path | None, limit: int | None, title: str | None
) -> int:
    from rich.table import Table
    from rich.text import Text

    iterator = iter(rows)
    shown = list(islice(iterator, limit))
    more = next(iterator, None) is not None  # one look: counting them all would read them all
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in columns:
        right = shown and isinstance(shown[0][name], int | float) and not isinstance(shown[0][name], bool)
        table.add_column(name.replace("_", " "), justify="right" if right else "left",
                         overflow="fold")  # fmt: skip
    for row in shown:
        table.add_row(*[Text(_screen_cell(name, row[name])) for name in columns])
    if output:
        from rich.console import Console

        with output.open("w", encoding="utf-8") as stream:
            Console(file=stream, width=NOT_A_TERMINAL_WIDTH, highlight=False).print(table)
    else:
        console().print(table)
    if more:
        note(f"... the first {len(shown)}: --limit 0 shows all, --format csv writes them")
    return len(shown)


def _text(value: Any) -> str:
    """Text that can be written as UTF-8 whatever bytes a file name had."""
    if not isinstance(value, str):
        return str(_plain(value))
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="seconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value)


def _csv_cell(value: Any) -> Any:
    """A value as a spreadsheet may open it: text that it would take for a formula stands behind an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return value
    text = _text(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _screen_cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if name in ("score", "p_value") else f"{value:.6g}"
    if isinstance(value, dt.datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M")
    return printable(_text(value))


def printable(text: str) -> str:
    """The text with every character that could steer a terminal replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
