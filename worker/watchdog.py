"""Notices a worker that looks alive and takes nothing, by what stands in the database, and ends it.

A consumer that lost its queue in a reconnect, a pool whose children hang: the process runs, answers pings, and the
night waits. Whatever the cause, the cure is a new worker; who starts one is said in docs/decisions/0013-watchdog.md.
"""

import contextlib
import os
import signal
import socket
import sys
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Engine

from db import liveness, workers
from oddlot.processes import children, is_here, process_number
from oddlot.queue import BATCH_TIME_LIMIT

log = structlog.get_logger()


@dataclass(frozen=True)
class Stall:
    """No progress: why that is said, and the processes to end."""

    reason: str
    pids: tuple[int, ...]


class Watchdog:
    """Watches the worker whose parent process is `parent`, which is also the parent of whoever uses this.

    What it remembers, it has seen with its own eyes and by a clock that nobody sets: it begins anew with the process
    that it runs in, and `forget` lets it begin anew after a time in which it could not look.
    """

    def __init__(self, parent: int, stall_seconds: float, time_limit: float = BATCH_TIME_LIMIT) -> None:
        self._parent, self._stall_seconds, self._time_limit = parent, stall_seconds, time_limit
        self.forget()

    def forget(self) -> None:
        """Nothing that was seen before counts any more."""
        self._idle_since: float | None = None
        self._seen: set[tuple[str, datetime]] = set()
        self._held_since: dict[tuple[int, int], float] = {}

    def look(self, engine: Engine, clock: float) -> Stall | None:
        """What is wrong with the worker at the time `clock`, in seconds of any clock that only goes forward.

        Idle is a worker none of whose children holds a batch, or has ended one since the last look. It is stalled when
        it was idle for so long, and a batch in the queue has waited for as long. A child that works is let alone,
        however slowly, until its task's time limit should have ended it.
        """
        if sys.platform != "linux":
            return None  # elsewhere nobody can tell whose child holds a batch
        ours = children(self._parent)
        held = {one.claim: one for one in liveness.held_batches(engine) if _is_one_of(ours, one.owner)}
        seen = {(name, at) for name, at in liveness.children_seen(engine) if _is_one_of(ours, name)}
        self._held_since = {claim: self._held_since.get(claim, clock) for claim in held}
        for claim, since in self._held_since.items():
            if clock - since > self._time_limit + self._stall_seconds:
                one = held[claim]
                reason = f"batch {one.number} of job {one.job_id} was held for longer than its time limit"
                return Stall(reason, (process_number(one.owner),))
        if held or seen - self._seen or self._idle_since is None:
            self._idle_since, self._seen = clock, seen
            return None
        idle = clock - self._idle_since
        if idle <= self._stall_seconds or not liveness.anything_overdue(engine, self._stall_seconds):
            return None
        return Stall(f"it took nothing for {idle:.0f} s although batches wait", (self._parent, *ours - {os.getpid()}))


def end(engine: Engine, parent: int, stall: Stall) -> None:
    """Say what was seen, in the log and in SQL, and kill.

    SIGKILL: a worker that takes nothing has nothing to finish, and one that hangs would not hear anything softer.
    """
    if os.getppid() != parent:
        return  # it has ended by itself
    log.error("no progress: the worker is killed, to be started again", worker=parent, reason=stall.reason)
    workers.record_restart(engine, socket.gethostname(), parent, stall.reason)
    for pid in stall.pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _is_one_of(pids: set[int], name: str) -> bool:
    return is_here(name) and process_number(name) in pids
