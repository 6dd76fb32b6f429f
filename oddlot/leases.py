"""Keeping a lease alive while work is done under it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context


@contextmanager
def kept_lease(renew: Callable[[], bool], every_seconds: float) -> Iterator[threading.Event]:
    """Call `renew` at intervals while the block runs; the event is set once it says False: somebody else has it.

    From a thread, because a single picture on a slow share, or the first loading of a model, may take longer than a
    lease. A process that is frozen renews nothing. `renew` must not raise: what cannot be renewed now may be later.
    """
    over, lost = threading.Event(), threading.Event()

    def keep() -> None:
        while not over.wait(every_seconds):
            if not renew():
                lost.set()
                return

    thread = threading.Thread(target=copy_context().run, args=(keep,), name="lease", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()
