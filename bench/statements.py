"""What a database is asked, for benchmarks and tests that count questions or look at their plans."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def asked_of(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """The statements that an engine is asked meanwhile, each with its parameters."""
    asked: list[tuple[str, Any]] = []

    def keep(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", keep)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", keep)
