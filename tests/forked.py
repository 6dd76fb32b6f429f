"""Commands that need not load Python and its libraries each: one process has, and forks for every command.

That is a second of a processor's time for each of a thousand, and five for each fit. What a command would find in a
process of its own it finds here, too: its arguments, variables and folder, its own standard streams, what is called at
exit. Seen only where commands are started for real (`Oddlot.start`): whether they import all that they use, what the
interpreter's own variables do to them, whether they leave somebody behind who holds their standard output.

    python -IS forked.py ask SOCKET WORD ...      `oddlot WORD ...`, for a shell
"""

import atexit
import functools
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

READ_AT_ONCE = ("PYTHONH", "PYTHONI", "PYTHONU", "LC_", "LANG")
"""So begin variables that would make the interpreter another one. PYTHONPATH is for what a command starts."""
LOADED_LATE = ("celery", "kombu", "pydantic.fields", "redis", "typer._adapters", "typer.rich_utils")
NEEDED_BY_FITS = ("ganomaly.bundle", "ganomaly.training", "trainer.fit")


class Ended(NamedTuple):
    """How a command ended: as Popen says it, a signal as a negative number."""

    status: int
    out: str
    err: str


class Forked:
    """Runs `oddlot` in processes forked from one that has loaded what it needs; `fits`: TensorFlow, too."""

    def __init__(self, *, fits: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="oddlot-forked-")
        self.socket = f"{self._folder.name}/socket"
        self._process = subprocess.Popen(
            [sys.executable, __file__, "serve", self.socket, *(["fits"] if fits else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def run(self, arguments: Sequence[object], environ: Mapping[str, str], seconds: float) -> Ended:
        """Run `oddlot` with these arguments. Raises TimeoutError where it does not end in so many seconds."""
        other = [n for n in {*environ, *os.environ} if environ.get(n) != os.environ.get(n)]
        assert not [n for n in other if n.startswith(READ_AT_ONCE)], "its interpreter must be started with these"
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull) as nothing:
            words = [str(one) for one in arguments]
            number, told = _ask(self.socket, words, environ, nothing.fileno(), out.fileno(), err.fileno())
            with told:
                in_time = _comes(told, seconds)
                if not in_time:
                    os.kill(number, signal.SIGTERM)
                    if not _comes(told, 60.0):
                        os.kill(number, signal.SIGKILL)
                ended = Ended(_number(told), _text(out), _text(err))
            if not in_time:
                raise TimeoutError(f"{words} did not end in {seconds:.0f} s: {ended}")
            return ended

    def close(self) -> None:
        with self._process:  # closes its standard input, which ends it
            pass
        self._folder.cleanup()


@functools.cache
def forked(*, fits: bool) -> Forked:
    """One for the whole run."""
    made = Forked(fits=fits)
    atexit.register(made.close)
    return made


def run(arguments: Sequence[object], environ: Mapping[str, str], seconds: float) -> Ended:
    """Run `oddlot` with these arguments, forked from what it needs; see `Forked.run`."""
    # What has looked for graphics cards can use none in a process that is forked from it.
    fits = "fit" in arguments and environ.get("ODDLOT_RUNTIME") != "gpu"
    return forked(fits=fits).run(arguments, environ, seconds)


def _ask(path: str, arguments: Sequence[str], environ: Mapping[str, str], *streams: int) -> tuple[int, BinaryIO]:
    """Have a command run on these three streams; its process number, and what its status will be read from."""
    reading, writing = os.pipe()
    wish = json.dumps([list(arguments), dict(environ), os.getcwd()]).encode()
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(path)
        socket.send_fds(asking, [len(wish).to_bytes(4, "big")], [*streams, writing])
        asking.sendall(wish)
        os.close(writing)
        told = os.fdopen(reading, "rb", 0)
        return _number(told), told


def _comes(file: BinaryIO, seconds: float) -> bool:
    return bool(select.select([file], [], [], seconds)[0])


def _number(file: BinaryIO) -> int:
    told = file.read(4)
    if len(told) != 4:
        raise EOFError("whoever waited for the command is gone")
    return int.from_bytes(told, "big", signed=True)


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode()


def ask() -> int:
    """The exit status of a command on our own streams. A signal to stop is for the command."""
    number, told = _ask(sys.argv[2], sys.argv[3:], os.environ, 0, 1, 2)
    for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(stop, lambda stop, _: os.kill(number, stop))
    status = _number(told)
    return status if status >= 0 else 128 - status


def serve() -> None:
    """Fork for each wish, until standard input is closed; return in a process that is to carry one out."""
    sys.path[0] = str(Path(__file__).parent.parent)  # the rooms, and not their tests
    for room in ("oddlot", "db", "cli", "report", "pictures"):
        package = importlib.import_module(room)
        for module in pkgutil.iter_modules(package.__path__, f"{room}."):
            if module.name != "cli.main":
                importlib.import_module(module.name)
    for library in LOADED_LATE:
        importlib.import_module(library)
    if sys.argv[3:]:
        importlib.import_module("ganomaly.starting").start_tensorflow(1)
        for module in NEEDED_BY_FITS:
            importlib.import_module(module)
    assert len(os.listdir("/proc/self/task")) == 1, "threads do not live on in a process that is forked"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for a command
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(sys.argv[2])
        listening.listen()
        os.write(1, b"ready\n")
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            with listening.accept()[0] as asking:
                header, fds, _, _ = socket.recv_fds(asking, 4, 4)
                wish = asking.recv(int.from_bytes(header, "big"), socket.MSG_WAITALL)
            if os.fork() == 0:
                break
            for fd in fds:
                os.close(fd)
        else:
            os._exit(0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _wait_for(wish, *fds)


def _wait_for(wish: bytes, in_: int, out: int, err: int, told: int) -> None:
    """Return in a new process, with its own arguments, variables, folder and streams; in this one say how that ends."""
    number = os.fork()
    if number:
        os.write(told, number.to_bytes(4, "big", signed=True))
        _, status = os.waitpid(number, 0)
        os.write(told, os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
        os._exit(0)
    os.close(told)
    arguments, environ, folder = json.loads(wish)
    for stream, fd in enumerate((in_, out, err)):
        os.dup2(fd, stream)
        os.close(fd)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv = ["", *arguments]
    sys.path[0] = folder  # as `python -m` has it


def main() -> None:
    if sys.argv[1] == "ask":
        sys.exit(ask())
    serve()
    try:
        runpy.run_module("cli.main", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    # As the interpreter ends, but that it gives nothing back: to do that it would copy every page that is shared.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
