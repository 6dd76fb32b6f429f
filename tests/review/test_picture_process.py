"""A picture that harms what decodes it costs one process, and no page."""

import os
import signal

import pytest

from review import picture_process
from review.picture_process import PictureProcesses, PictureTrouble

ECHO = """
import json, sys
for line in sys.stdin.buffer:
    asked = json.loads(line)
    if asked["what"] == "hang":
        import time
        time.sleep(600)
    if asked["what"] == "die":
        import os
        os._exit(1)
    if asked["what"] == "lie":
        sys.stdout.buffer.write((2**31).to_bytes(4) + b"x")
    body = str(__import__("os").getpid()).encode()
    head = json.dumps({"bytes": len(body)} | ({"trouble": "no"} if asked["what"] == "no" else {})).encode()
    sys.stdout.buffer.write(len(head).to_bytes(4) + head + body)
    sys.stdout.buffer.flush()
"""


@pytest.fixture
def processes(monkeypatch):
    monkeypatch.setattr(picture_process, "_PROGRAM", ECHO)
    made = PictureProcesses(count=1, seconds=5.0)
    yield made
    made.close()


@pytest.mark.parametrize(("harm", "words"), [("hang", "longer than"), ("die", "harms"), ("lie", "harms")])
def test_harm_ends_one_process_and_the_next_picture_is_shown(processes, monkeypatch, harm, words) -> None:
    before = processes.ask(what="picture")[1]
    monkeypatch.setattr(processes, "_seconds", 0.5)
    with pytest.raises(PictureTrouble, match=words):
        processes.ask(what=harm)
    monkeypatch.setattr(processes, "_seconds", 5.0)
    after = processes.ask(what="picture")[1]
    assert after != before
    with pytest.raises(ProcessLookupError):
        os.kill(int(before), 0)


def test_one_that_was_ended_from_outside_is_replaced_unnoticed(processes) -> None:
    before = int(processes.ask(what="picture")[1])
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert int(processes.ask(what="picture")[1]) != before


def test_a_reason_comes_as_it_is_and_costs_nothing(processes) -> None:
    before = processes.ask(what="picture")[1]
    with pytest.raises(PictureTrouble, match="no"):
        processes.ask(what="no")
    assert processes.ask(what="picture")[1] == before
