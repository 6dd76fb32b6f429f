"""Pictures are decoded in processes of their own: a file that crashes, hangs or fills the memory ends one of these.

What comes back from there is bytes and one line of text, nothing that is executed or unpacked here.
"""

import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import time
from typing import Any

from oddlot.errors import OddlotError

PROCESSES = 2
SECONDS = 60.0
"""How long one picture may take."""
ANSWER_LIMIT = 64 * 2**20
_PROGRAM = "from review.picture_child import serve; serve()"


class PictureTrouble(OddlotError):  # noqa: N818 - a reason for the person who looks, not a fault of this program
    """A picture cannot be shown; the text is the reason."""


class _Child:
    """One process. It ends when its standard input does, so with this program, or when it took too long."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )  # fmt: skip

    def ask(self, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytes]:
        """The head and the body of the answer. Raises OSError or ValueError where there is none in time."""
        assert self._process.stdin is not None
        deadline = time.monotonic() + seconds
        self._process.stdin.write(json.dumps(request | {"seconds": seconds}).encode("ascii") + b"\n")
        self._process.stdin.flush()
        size = int.from_bytes(self._read(4, deadline))
        head = json.loads(self._read(size, deadline))
        return head, self._read(int(head["bytes"]), deadline)

    def _read(self, count: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        if count > ANSWER_LIMIT:
            raise ValueError("an answer that is too large")
        descriptor, parts = self._process.stdout.fileno(), b""
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        while len(parts) < count:
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            part = os.read(descriptor, count - len(parts))
            if not part:
                raise EOFError("it ended")
            parts += part
        return parts

    @property
    def ended(self) -> bool:
        """Something else ended it since its last answer."""
        return self._process.poll() is not None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


class PictureProcesses:
    """A few of them; each request waits for one that is free. Started when first needed."""

    def __init__(self, count: int = PROCESSES, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._free: queue.Queue[_Child | None] = queue.Queue()
        for _ in range(count):
            self._free.put(None)
        self._count = count

    def ask(self, **request: Any) -> tuple[dict[str, Any], bytes]:
        """Head and bytes of the answer. Raises PictureTrouble with the reason where there is no picture to show."""
        try:
            child = self._free.get(timeout=self._seconds)
        except queue.Empty:
            raise PictureTrouble("the pictures before it take too long: try again in a minute") from None
        try:
            if child is None or child.ended:
                _end(child)
                child = _Child()
            head, body = child.ask(request, self._seconds)
        except TimeoutError:
            _end(child)
            child = None
            raise PictureTrouble(f"reading it took longer than {self._seconds:.0f} s") from None
        except (OSError, EOFError, ValueError, KeyError):
            _end(child)
            child = None
            raise PictureTrouble("reading it failed: the file harms the program that decodes it") from None
        except BaseException:
            _end(child)
            child = None
            raise
        finally:
            self._free.put(child)
        if "trouble" in head:
            raise PictureTrouble(str(head["trouble"]))
        return head, body

    def close(self) -> None:
        """End those that are free; none is in use when the server stops."""
        for _ in range(self._count):
            with contextlib.suppress(queue.Empty):
                _end(self._free.get_nowait())


def _end(child: _Child | None) -> None:
    if child is not None:
        child.end()
