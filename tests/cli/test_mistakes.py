"""What a person is told who has named the wrong folder, the same one twice, or a queue that is not there."""

import os
import select
import socket

import pytest
from polling import eventually

from db import workers
from db.engine import open_database


@pytest.fixture
def nobody(oddlot):
    """The URL of a queue that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    oddlot.environ["ODDLOT_BROKER_URL"] = f"redis://:geheim@127.0.0.1:{port}/0"
    return f"the queue at redis://:***@127.0.0.1:{port}/0 does not answer"


def told(oddlot, *arguments, status=0) -> str:
    """What stands on standard error."""
    process = oddlot.start(*arguments)
    _, said = process.communicate(timeout=120)
    assert process.returncode == status, said
    return said


def said_until(process, words: str) -> str:
    """What it says up to those words; waits for them."""
    said = b""
    while words.encode() not in said:
        assert select.select([process.stderr], [], [], 120)[0], f"it does not say {words!r}, only {said!r}"
        part = os.read(process.stderr.fileno(), 4096)
        assert part, f"it ended without {words!r}: {said!r}"
        said += part
    return said.decode()


def test_a_queue_that_does_not_answer_is_named_by_whoever_waits_for_it(oddlot, drawn, nobody):
    said = told(oddlot, "submit", "flange", drawn / "tonight")
    assert nobody in said
    assert "oddlot worker" not in said, "that would not start it"
    for command in (("inspect", "flange", drawn / "train"), ("up", "--concurrency", "1")):
        process = oddlot.start(*command)
        try:
            said_until(process, nobody)
        finally:
            process.terminate()
            process.communicate(timeout=120)


def test_a_folder_without_pictures_is_no_quiet_night(oddlot, tmp_path, drawn):
    (tmp_path / "share").mkdir()
    said = oddlot.run("inspect", "flange", tmp_path / "share", status=1)
    assert "job 1: no pictures were found in" in said
    assert "is the share there?" in said
    (tmp_path / "share" / "Thumbs.db").write_bytes(b"x")
    assert "(left out: 1 hidden or system file)" in oddlot.run("inspect", "flange", tmp_path / "share", status=1)
    assert oddlot.json("job", "last")["state"] == "done"
    oddlot.run("inspect", "flange", tmp_path / "share", "--only-new")  # nothing new is no mistake


def test_a_nightly_run_that_found_nothing_says_so(oddlot, tmp_path):
    (tmp_path / "share").mkdir()
    oddlot.run("nightly", "add", "flange", tmp_path / "share", "--at", "02:00", "--name", "line3")
    oddlot.run("nightly", "run-now", "line3")
    assert "line3: no pictures were found: `oddlot job 1` says where it looked" in told(oddlot, "nightly", "list")
    (row,) = oddlot.json("nightly", "list")
    assert (row["result"], row["found"]) == ("done", 0)


def test_a_folder_that_is_submitted_twice_in_a_night_is_told(oddlot, drawn):
    twice = "This folder was submitted this night already, as job 1"
    assert twice not in told(oddlot, "submit", "flange", drawn / "tonight")
    assert twice in told(oddlot, "submit", "flange", drawn / "tonight")
    assert twice not in told(oddlot, "submit", "flange", drawn / "tonight", "--glob", "*.jpg")
    oddlot.run("cancel", "3")
    oddlot.run("cancel", "1")
    assert "as job 2" in told(oddlot, "submit", "flange", drawn / "tonight")
    oddlot.run("cancel", "2")
    oddlot.run("cancel", "4")
    assert "submitted this night" not in told(oddlot, "submit", "flange", drawn / "tonight")


def test_a_second_up_says_that_workers_run_already(oddlot):
    first, second = oddlot.start("up", "--concurrency", "1"), None
    try:
        eventually(lambda: workers_of(oddlot), "no worker begins")
        second = oddlot.start("up", "--concurrency", "1")
        assert "1 workers of this host run already" in said_until(second, "run already")
    finally:
        for process in filter(None, (second, first)):
            process.terminate()
            process.communicate(timeout=120)


def workers_of(oddlot) -> list:
    engine = open_database(f"sqlite:///{oddlot.home}/oddlot.db")
    try:
        return workers.living(engine)
    finally:
        engine.dispose()
