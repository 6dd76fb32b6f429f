"""Pictures whose reading does not end: found, set apart, and the process that reads them ended."""

import contextlib
import faulthandler
import os
import sys
import time
from collections.abc import Callable, Iterator

import structlog
from sqlalchemy import Engine

from db import batches, splitting
from oddlot.settings import Settings

log = structlog.get_logger()

Reading = dict[int, tuple[batches.ItemRow, float]]
"""The pictures that are being read or decoded just now, by the number of their item, and since when by this process's
clock."""


@contextlib.contextmanager
def ended_unless_called(seconds: float) -> Iterator[Callable[[], None]]:
    """Gives a function; where that is not called for so long, the process ends and says on standard error where it was.

    It needs no Python for that: a decoder may hang in a way that lets no other thread run, so that nobody renews the
    lease. The batch is somebody else's then, but without this the process would be nobody's for an hour.
    """

    def alive() -> None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)

    alive()
    try:
        yield alive
    finally:
        faulthandler.cancel_dump_traceback_later()


def overdue(reading: Reading, most_seconds: float) -> batches.ItemRow | None:
    """The item that is being read, or decoded, for longer than that, if any."""
    late = time.monotonic() - most_seconds
    return next((item for item, began in list(reading.values()) if began < late), None)


def end_this_process(engine: Engine, settings: Settings, claim: batches.Claim, item: batches.ItemRow) -> None:
    """A thread that hangs in a decoder, or in a share, cannot be stopped: only its process can.

    The picture is in a batch of its own by then, so that the others wait for it no more. Where that is the whole
    batch, and once more, it is quarantined.
    """
    reason = f"reading {os.path.basename(item.path)} took more than {settings.picture_seconds:g} s"
    log.error("process ends: a picture hangs", job=claim.job_id, batch=claim.number, path=item.path, error=reason)
    if splitting.fail_batch(
        engine, claim, reason, max_attempts=settings.max_attempts, hold=settings.hold, split=True, alone=item.id
    ):
        os._exit(1)
