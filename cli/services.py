"""`worker` and `up`, and the life of the processes that one PC needs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cli.output import note, say
from cli.session import Session, open_session
from oddlot.devices import check_cards
from oddlot.errors import OddlotError
from oddlot.processes import die_with_parent
from oddlot.queue import SHUTDOWN_GRACE
from oddlot.settings import Settings

LOG_TAIL = 3
"""Lines of a worker's log that are shown when it dies."""

YOUNG = 5.0
"""Seconds in which a worker that ends has not even begun: the next one may end as fast."""
WATCH_SECONDS = 0.1
"""How often is looked whether a process has ended."""
LONGEST_PAUSE = 30.0
"""Seconds between two starts at most, however often a worker ended young."""

Concurrency = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Worker processes; left out: one a core, or a graphics card.")
]


def register(app: typer.Typer) -> None:
    app.command("worker", epilog="Example: oddlot worker --concurrency 4")(worker)
    app.command("up", epilog="Example: oddlot up")(up)


def worker(
    concurrency: Concurrency = None,
    fits: Annotated[bool, typer.Option("--fits", help="Work on queued fits instead of inspections.")] = False,
) -> None:
    """A Celery worker in the foreground, started again where it ends: killed by its watchdog, or by anybody.

    `celery -A worker.app worker` is the same worker without that: whoever starts it must start it again.
    """
    from ganomaly.signing import load_trusted_keys
    from worker.broker import embedded_broker

    session = open_session()  # a wrong setting or database is one line here, not a traceback there
    load_trusted_keys(session.settings.trusted_keys)
    session.engine.dispose()
    app = "trainer.app" if fits else "worker.app"
    with stop_on_signals(), contextlib.ExitStack() as stack:
        try:  # what is stopped while it starts has made no error either
            stack.enter_context(embedded_broker(session.settings))
            process = stack.enter_context(worker_process(session.settings, app, concurrency, foreground=True))
            while True:
                process.keep()
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            tell(session.settings, "stopping: batches in work are finished first")


def up(concurrency: Concurrency = None) -> None:
    """Everything that one PC needs, in the foreground until Ctrl-C: queue, workers, trainer, schedules, review page."""
    from ganomaly.signing import load_trusted_keys
    from worker import broker

    session = open_session()
    load_trusted_keys(session.settings.trusted_keys)
    _say_who_works(session)
    with stop_on_signals(), contextlib.ExitStack() as stack:
        try:
            stack.enter_context(broker.embedded_broker(session.settings))
            inspecting = stack.enter_context(worker_process(session.settings, "worker.app", concurrency))
            training = stack.enter_context(worker_process(session.settings, "trainer.app", 1))
            clock = stack.enter_context(running(WorkerProcess(session.settings, "beat", beat_command())))
            kept = [inspecting, training, clock]
            if trouble := broker.trouble(session.settings):
                tell(
                    session.settings,
                    f"{trouble}; nothing is inspected until it does: `oddlot doctor` looks for the cause",
                )
            say(f"Oddlot is up. Home: {session.settings.home}. Stop with Ctrl-C.")
            if page := _review_process(session):
                kept.append(stack.enter_context(running(page)))
            say("Submit from another window: oddlot submit NAME FOLDER --wait")
            while True:
                for process in kept:
                    process.keep(always=True)
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            tell(session.settings, "stopping: batches in work are finished first")
    say("Oddlot is down.")


def _say_who_works(session: Session) -> None:
    from db import workers

    here = [one for one in workers.living(session.engine) if one.host == socket.gethostname()]
    if here:
        tell(session.settings, f"{len(here)} workers of this host run already, e.g. process {here[0].pid}: these come "
             "beside them")  # fmt: skip


def _review_process(session: Session) -> "WorkerProcess | None":
    """The review page beside the workers; None, with a line that says why, where it cannot be: nothing else waits."""
    from cli.review import address_of, check_port, review_command

    try:
        check_port(session.engine, session.settings).close()
    except OddlotError as error:
        tell(session.settings, f"no review page: {error}")
        return None
    settings = session.settings
    process = WorkerProcess(settings, "review", review_command())
    say(f"Review page: {address_of(settings)}")
    return process


class WorkerProcess:
    """A Celery worker, Celery's beat or the review page, that this command started and will stop."""

    def __init__(self, settings: Settings, name: str, command: list[str], *, foreground: bool = False) -> None:
        self._settings, self._name = settings, name
        self._command = command
        self._log: Path | None = None
        if not foreground:
            self._log = settings.home / "logs" / f"{name}.log"
            self._log.parent.mkdir(parents=True, exist_ok=True)
        self._pause = 0.0
        self._start_at: float | None = None
        self._started = 0.0
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        self._started = time.monotonic()
        with contextlib.ExitStack() as stack:
            stream = None if self._log is None else stack.enter_context(self._log.open("ab"))
            return subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                env=_environment(self._settings),
                # A session of its own: Ctrl-C is for this command, which then stops the worker in order.
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )  # fmt: skip

    def _status(self) -> int | None:
        """How the process ended, as Popen would say it; None while it runs.

        Asked of the kernel. The exception that a signal raises can leave the lock in Popen taken: its `poll` then says
        "it runs" for ever, and its `wait` never returns.
        """
        if self._process.returncode is not None:
            return self._process.returncode
        if not hasattr(os, "waitid"):  # macOS, before Python 3.13
            return self._process.poll()
        try:
            ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # reaped, and interrupted before that was noted
            self._process.returncode = 0
            return 0
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def _end_group(self) -> None:
        """Kill what is left of it: a child that hangs does not end with its parent.

        Only then is it reaped: until then its number, which is that of its group, is nobody else's.
        """
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: only the dead are left in it
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)

    def keep(self, *, always: bool = False) -> None:
        """Start the worker again where it ended. Celery ends with 0 also where it gives up, for one because a child was
        killed as soon as it was made.

        One that ended young is started after a pause, which grows as long as its successors end young as well: whatever
        ends them may pass, a machine short of memory for one, and the night must go on then.

        Raises OddlotError, unless `always`, where it ended young with an error of its own: a wrong setting stays wrong.
        """
        status = self._status()
        if status is None:
            return
        clock = time.monotonic()
        if self._start_at is None:
            young = clock - self._started < YOUNG
            if status > 0 and young and not always:
                raise OddlotError(f"the {self._name} ended with status {status}{_where(self._log)}")
            self._pause = min(max(1.0, 2 * self._pause), LONGEST_PAUSE) if young else 0.0
            self._start_at = clock + self._pause
            when = f" in {self._pause:.0f} s, because it ended so early" if young else ""
            again = f"is started again{when}{_where(self._log)}"
            tell(self._settings, f"{self._name} ended with status {status} and {again}")
            self._end_group()
        if clock >= self._start_at:
            self._start_at = None
            self._process = self._start()

    def _await_end(self, seconds: float) -> None:
        """Return when the process ends, or after so many seconds."""
        deadline = time.monotonic() + seconds
        while self._status() is None and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, WATCH_SECONDS))

    def stop(self) -> None:
        """SIGTERM, then wait for the batch in work; SIGKILL to the whole group if that does not end."""
        if self._status() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)
            self._await_end(SHUTDOWN_GRACE + 10)
        self._end_group()


@contextlib.contextmanager
def worker_process(
    settings: Settings, app: str, concurrency: int | None, *, foreground: bool = False
) -> Iterator[WorkerProcess]:
    """A worker for the length of a block; in the foreground it says what it has to say here, not in a log.

    Raises SettingsError where it is to use a graphics card and there is none."""
    check_cards(settings)
    command = worker_command(app, concurrency)
    with running(WorkerProcess(settings, app.partition(".")[0], command, foreground=foreground)) as process:
        yield process


@contextlib.contextmanager
def running(process: WorkerProcess) -> Iterator[WorkerProcess]:
    """A process for the length of a block."""
    try:
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that everything is stopped in order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # One that is ignored stays so: that is what `nohup` asks for.
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def worker_command(app: str, concurrency: int | None) -> list[str]:
    return [*_celery(app), *worker_arguments(app, concurrency)]


def worker_arguments(app: str, concurrency: int | None) -> list[str]:
    """What Celery is told of a worker, whoever starts it."""
    name = f"{app.partition('.')[0]}-{os.getpid()}@%h"
    words = ["worker", "--pool", "prefork", "--hostname", name,
             "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]  # fmt: skip
    return words if concurrency is None else [*words, "--concurrency", str(concurrency)]


def beat_command() -> list[str]:
    return [*_celery("worker.app"), "beat", "--loglevel", "INFO"]


def _celery(app: str) -> list[str]:
    # A db.py or worker.py in the current folder must not be taken for ours. So -P, not `-m celery --app`, and the
    # tasks imported here: Celery would look for them in that folder first.
    room = app.partition(".")[0]
    program = f"import sys; import {room}.tasks; from {app} import app; app.start(sys.argv[1:])"
    return [sys.executable, "-P", "-c", program, "--quiet"]  # no banner between the lines of the log


def _environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "ODDLOT_HOME": str(settings.home),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
    }


def tell(settings: Settings, text: str) -> None:
    """A line beside the data; where a program reads the log, one of the log."""
    from oddlot import logs

    if not logs.tell(settings, text):
        note(text)


def _where(log: Path | None) -> str:
    if log is None:
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return f"; {log} ends with: {' / '.join(line.strip() for line in lines[-LOG_TAIL:]) or 'nothing'}"
