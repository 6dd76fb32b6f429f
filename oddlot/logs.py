"""What services write on standard error: a line for a person, or one JSON object a line for a program (`ODDLOT_LOG`).

Our own lines and those of libraries go the same way. Each has `timestamp`, `level`, `event`, `logger`, `host` and
`pid`, and what was bound with `structlog.contextvars`: the numbers of the job and the batch that are being worked on.
"""

import codecs
import logging
import os
import socket
import sys
from typing import Any

import structlog

from oddlot.settings import Settings
from oddlot.words import LogForm

_TOO_MUCH = ("celery.worker.strategy", "celery.app.trace")
"""Two lines a batch otherwise."""
_configured: list[str] = []


def configure(form: str, level: Any = None) -> None:
    """Begin to log in that form, from that level on; a name or a number, left out: INFO."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _whence,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendered(form)],
        )
    )
    _configured[:] = [form]
    codecs.lookup("unicode_escape")  # while a file can still be opened: what is wrong may be that none can
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if isinstance(level, int) else logging.getLevelName(str(level or "INFO").upper()))
    logging.captureWarnings(True)
    for name in _TOO_MUCH:
        logging.getLogger(name).setLevel(logging.WARNING)


def tell(settings: Settings, text: str) -> bool:
    """Log what a service has to say to whoever started it, where a program reads that; False where a person does."""
    if settings.log != LogForm.JSON:
        return False
    if not _configured:
        configure(LogForm.JSON)
    structlog.get_logger("oddlot").info(text)
    return True


def _rendered(form: str) -> list[Any]:
    if form == LogForm.JSON:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # As text before it is made printable; and not rich's, which shows the values of variables.
    made, plain = structlog.processors.format_exc_info, structlog.dev.plain_traceback
    return [made, _printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _whence(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    return event | {"host": socket.gethostname(), "pid": os.getpid()}


def _printable(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Names of files stand in it, and may hold anything that steers a terminal, or begins another line. The lines of a
    traceback stay lines, none of which begins as a line of the log does."""
    found = {name: _escaped(value) if isinstance(value, str) else value for name, value in event.items()}
    if isinstance(traceback := event.get("exception"), str):
        found["exception"] = "\n".join(f"  {_escaped(line)}" for line in traceback.split("\n"))
    return found


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
