"""Which jobs go on, which do not, why, and what to do: the same words for `oddlot jobs`, `doctor` and `/healthz`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oddlot.processes import is_provably_dead
from oddlot.settings import Settings
from oddlot.words import JobState

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from db.liveness import JobHealth
    from db.workers import WorkerRow

QUIET_SECONDS = 60.0
"""Seconds without a finished batch, while some wait, after which it is said that nothing goes on."""
START_SOME = "start some: oddlot up, or oddlot worker"


@dataclass(frozen=True)
class Progress:
    """How it stands with one open job. `state` is ok, note or wrong; `advice` says what to do."""

    health: "JobHealth"
    state: str
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What a job needs to go on. `depth` counts the messages in the queue, None where it does not answer; `workers` is
    how many are alive, where they were counted only. `leased` counts all batches in work, `well` those of jobs of which
    none has failed; `up_seconds` is for how long the oldest worker has run."""

    living: "list[WorkerRow]"
    depth: int | None
    leased: int
    max_attempts: int
    stall_seconds: float
    workers: int = 0
    well: int = 0
    up_seconds: float = 0.0

    @property
    def anybody(self) -> bool:
        return bool(self.living) or self.workers > 0


def open_jobs(engine: "Engine", settings: Settings) -> tuple[list[Progress], Surroundings]:
    """Every job that is not at its end, the most urgent first, and what was seen around them."""
    from db import liveness, workers

    found = liveness.open_jobs(engine, max_attempts=settings.max_attempts)
    living = workers.living(engine)
    up = max(((one.seen_at - one.started_at).total_seconds() for one in living), default=0.0)
    around = Surroundings(
        living=living, depth=queue_depth(settings) if found else None,
        leased=sum(health.leased for health in found), max_attempts=settings.max_attempts,
        stall_seconds=settings.stall_seconds, well=sum(health.leased for health in found if not health.error),
        up_seconds=up,
    )  # fmt: skip
    return [Progress(health, *judge(health, around)) for health in found], around


def queue_line(progress: list[Progress], around: Surroundings) -> str:
    """The whole queue in one line."""
    depth = "the queue does not answer" if around.depth is None else f"{around.depth} messages in the queue"
    ages = [one.health.oldest_waiting_seconds for one in progress]
    oldest = max((age for age in ages if age is not None), default=None)
    waiting = sum(one.health.waiting for one in progress)
    stuck = sum(one.health.stuck for one in progress)
    since = "" if oldest is None else f", the oldest for {oldest:.0f} s"
    return (
        f"{len(around.living)} workers alive; {depth}; {waiting} batches wait{since}, {around.leased} in work, "
        f"{stuck} stuck"
    )


def judge(health: "JobHealth", around: Surroundings) -> tuple[str, str, str]:
    """State, what was found and what to do of one job, or of all of them taken together as one."""
    if health.state == JobState.LISTING:
        if is_provably_dead(health.submitter):
            return (
                "wrong",
                "was being listed by a command that is gone",
                f"oddlot retry {health.job_id} begins it again",
            )
        return "ok", "its folder is being listed", ""
    if health.stuck:
        what = f"{health.stuck} batches are stuck: their lease is over and nobody took them"
        return "wrong", what, "a sweeper beside every worker puts them back: " + (
            START_SOME if not around.anybody else "look into the workers' logs why it does not"
        )  # fmt: skip
    if health.waiting and not around.anybody and not around.leased:
        return "wrong", f"{health.waiting} batches wait and no worker is alive", START_SOME
    if health.waiting and around.depth is None:
        return (
            "wrong",
            f"{health.waiting} batches wait and the queue does not answer",
            "see what doctor says of the queue",
        )
    quota = _quota(health) if around.leased else ""
    if health.waiting and not health.leased and quota:
        return "note", f"{health.waiting} batches wait {quota}", ""
    idle = health.idle_seconds or 0.0
    # What nobody was there for is no failure; nor is one of long ago, while others are worked on before it.
    in_vain = min(idle, around.up_seconds) if health.error and not around.well and not quota else 0.0
    if in_vain > (around.stall_seconds if health.leased else QUIET_SECONDS):
        return (
            "wrong", f"no batch has ended for {in_vain:.0f} s; what was tried ended with an error: {health.error}",
            "it is tried again by itself; mend what the error names",
        )  # fmt: skip
    if health.waiting and not health.leased and idle > QUIET_SECONDS:
        if around.leased:
            return "note", f"{health.waiting} batches wait for {idle:.0f} s behind other jobs", ""
        return (
            "wrong", f"{health.waiting} batches wait, and the workers have taken none for {idle:.0f} s",
            f"a worker that takes nothing for {around.stall_seconds:.0f} s is restarted; its log may say why",
        )  # fmt: skip
    if health.worn:
        why = f", the last time with: {health.error}" if health.error else ""
        return (
            "note", f"{health.worn} batches have failed at all but their last attempt{why}",
            f"nothing to do where a picture is at fault: after {around.max_attempts} attempts it is searched for and "
            "quarantined",
        )  # fmt: skip
    if health.state not in (JobState.QUEUED, JobState.RUNNING):
        return "ok", f"is {health.state}; {health.leased} batches are still in a worker's hands", ""
    why = f": the others wait {quota}" if health.waiting and quota else ""
    return "ok", f"{health.waiting} batches wait, {health.leased} in work{why}", ""


def _quota(health: "JobHealth") -> str:
    """Why a job waits although workers may be free; empty where that is not due to a quota."""
    if health.line_batches is not None:
        return f"because line {health.line} has its quota of {health.line_batches} batches in work"
    if health.line_items is not None:
        return f"until nothing else does: line {health.line} has more than its {health.line_items} items a night"
    return ""


def queue_depth(settings: Settings) -> int | None:
    """Messages in the queue of the workers; None where it does not answer."""
    from oddlot.queue import is_amqp
    from worker import publishing

    away: tuple[type[Exception], ...] = (OSError,)
    if is_amqp(settings):
        from kombu.exceptions import OperationalError

        away += (OperationalError,)
    else:
        import redis

        away += (redis.RedisError,)
    try:
        return publishing.queue_depth(settings)
    except away:
        return None
