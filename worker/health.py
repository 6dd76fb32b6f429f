"""Whether work goes on, for what asks many times a minute: the page's `/healthz`, and the health checks of services.

Cheaper than `worker.progress`, which looks at each job; the words and the judgement are the same.
"""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine

from db import gauges, liveness, workers
from db.engine import now, reading
from db.gauges import Host, OpenBatches
from db.liveness import JobHealth
from oddlot.queue import INSPECT_QUEUE
from oddlot.settings import Settings
from oddlot.words import FitState, JobState
from worker import progress, publishing

QUEUE_SECONDS = 2.0
"""How long the queue may take to answer."""


def stalls(settings: Settings, opened: Sequence[OpenBatches], hosts: Sequence[Host], depth: int | None) -> list[str]:
    """What keeps the work that waits from going on, a sentence each, without a name; empty where it goes on.

    `depth` counts the messages in the queue, None where it does not answer.
    """
    waiting = sum(one.waiting for one in opened)
    ages = [one.oldest_waiting_seconds for one in opened if one.oldest_waiting_seconds is not None]
    last = min((host.progress_seconds for host in hosts if host.progress_seconds is not None), default=None)
    oldest, since = max(ages, default=None), max((one.open_seconds for one in opened), default=None)
    all_together = JobHealth(
        job_id=0, state=JobState.RUNNING, submitter="", waiting=waiting, unpublished=0,
        leased=sum(one.leased for one in opened), stuck=sum(one.stuck for one in opened), worn=0,
        oldest_waiting_seconds=oldest,
        error="see `oddlot jobs`" if any(one.failing for one in opened) else None,
        # Work that has just come is not waited for since the night before.
        idle_seconds=None if since is None else min(since, since if last is None else last),
    )  # fmt: skip
    around = progress.Surroundings(
        living=[], depth=depth, leased=all_together.leased, max_attempts=settings.max_attempts,
        stall_seconds=settings.stall_seconds, workers=sum(host.workers for host in hosts),
        up_seconds=max((host.up_seconds for host in hosts), default=0.0),
    )  # fmt: skip
    state, found, _ = progress.judge(all_together, around)
    return [found] if state == "wrong" else []


def of_everything(engine: Engine, settings: Settings) -> list[str]:
    """Why the work that waits does not go on; empty where it does, or none waits. Raises SQLAlchemyError."""
    with reading(engine) as connection:
        at = now(connection)
        opened = gauges.open_batches(connection, at)
        if not opened:
            return []
        hosts = gauges.hosts(connection, at)
    depths = publishing.depths_at_once(settings, (INSPECT_QUEUE,), QUEUE_SECONDS)
    return stalls(settings, opened, hosts, None if depths is None else depths[INSPECT_QUEUE])


def of_worker(engine: Engine, settings: Settings) -> list[str]:
    """What is wrong with the worker of this host. Raises SQLAlchemyError.

    One that has nothing to do is healthy; one is stalled where its watchdog would say so: it holds no batch, has ended
    none and was not started in the last `ODDLOT_STALL_SECONDS`, and a batch that the queue was told of waits for as
    long.
    """
    host = socket.gethostname()
    here = [one for one in workers.living(engine) if one.host == host]
    if not here:
        return [f"no worker of {host} is alive"]
    if not liveness.anything_overdue(engine, settings.stall_seconds):
        return []
    if any(one.owner.partition("|")[0] == host for one in liveness.held_batches(engine)):
        return []
    ended = [at for name, at in liveness.children_seen(engine) if name.partition("|")[0] == host]
    with reading(engine) as connection:
        idle = (now(connection) - max([*ended, *(one.started_at for one in here)])).total_seconds()
    if idle <= settings.stall_seconds:
        return []
    return [f"the worker of {host} has taken nothing for {idle:.0f} s although batches wait"]


def of_clock(engine: Engine, _: Settings) -> list[str]:
    """What is wrong with the clock of the schedules on this host. Raises SQLAlchemyError."""
    host = socket.gethostname()
    alive = any(one.host == host for one in workers.living(engine, workers.CLOCK))
    return [] if alive else [f"no clock of the schedules is alive on {host}"]


def of_trainer(engine: Engine, settings: Settings) -> list[str]:
    """What is wrong with the trainer of this host: no process of one, or a fit that waits while none is in work.

    It gives no sign of life in SQL, because a fit takes all it has; where there is no /proc only fits are looked at.
    Raises SQLAlchemyError.
    """
    if Path("/proc/self/cmdline").exists() and not _runs("trainer.app"):
        return [f"no trainer runs on {socket.gethostname()}"]
    with reading(engine) as connection:
        counts, oldest = gauges.fits(connection, now(connection))
    if counts[FitState.QUEUED] and not counts[FitState.RUNNING] and oldest > settings.stall_seconds:
        return [f"a fit waits for {oldest:.0f} s and none is in work"]
    return []


def _runs(program: str) -> bool:
    """Whether a process of this machine, or container, has this in its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) != os.getpid():
            try:
                if program.encode() in (folder / "cmdline").read_bytes():
                    return True
            except OSError:  # it has ended
                continue
    return False
