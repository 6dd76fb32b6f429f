"""Which jobs go on, for `oddlot jobs` and `oddlot doctor`."""

from cli.session import Session
from worker.progress import START_SOME, Progress, Surroundings, queue_line

__all__ = ["START_SOME", "Progress", "Surroundings", "open_jobs", "queue_line"]


def open_jobs(session: Session) -> tuple[list[Progress], Surroundings]:
    """Every job that is not at its end, the most urgent first, and what was seen around them."""
    from worker import progress

    return progress.open_jobs(session.engine, session.settings)
