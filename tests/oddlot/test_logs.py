"""What services write: one JSON object a line for programs, one line an event for people."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys, warnings
import structlog
from oddlot import logs
logs.configure(sys.argv[1], "INFO")
log = structlog.get_logger("ours")
with structlog.contextvars.bound_contextvars(job=7, batch=3):
    log.info("batch done", items=128, path="/data/a\\nb\\x1b[2J\\udcff.png")
    logging.getLogger("theirs").warning("a name with\\na line: %s", "Größe")
log.debug("not said")
warnings.warn("old", DeprecationWarning, stacklevel=1)
try:
    password = "geheim"
    raise ValueError("broken")
except ValueError:
    log.exception("it failed")
try:
    raise ValueError("x\\n2026-01-01 [info] job finished \\x1b[2J")
except ValueError:
    log.exception("it failed again")
"""


def written(form):
    command = [sys.executable, "-W", "always", "-c", PROGRAM, form]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == ""
    return done.stderr


def test_json_is_one_object_a_line_from_us_and_from_libraries_alike():
    ours, theirs, warned, failed, again = map(json.loads, written("json").splitlines())
    assert (ours["event"], ours["items"], ours["level"], ours["logger"]) == ("batch done", 128, "info", "ours")
    for line in (ours, theirs):
        assert (line["job"], line["batch"]) == (7, 3)
    assert "job finished" in again["exception"]
    for line in (ours, theirs, warned, failed):
        assert {"timestamp", "level", "event", "logger", "host", "pid"} <= set(line)
    assert theirs["event"] == "a name with\na line: Größe"
    assert "old" in warned["event"]
    assert "job" not in warned
    assert "ValueError: broken" in failed["exception"]


def test_text_is_one_line_an_event_whatever_a_name_holds():
    text = written("text")
    ours, theirs = text.splitlines()[:2]
    assert "batch done" in ours
    assert "job=7" in ours
    assert r"a\nb\x1b[2J" in ours
    assert r"a name with\na line: Größe" in theirs
    assert "\x1b" not in text
    assert "geheim" not in text, "a traceback has no values of variables"
    assert "ValueError: broken" in text
    assert [line for line in text.splitlines() if "job finished" in line] == [
        r"  2026-01-01 [info] job finished \x1b[2J"
    ]


@pytest.mark.parametrize("form", ["xml", ""])
def test_another_form_is_a_wrong_setting(form, tmp_path):
    from oddlot.errors import SettingsError
    from oddlot.settings import load_settings

    if form:
        with pytest.raises(SettingsError, match="ODDLOT_LOG must be one of text, json"):
            load_settings({"ODDLOT_HOME": str(tmp_path), "ODDLOT_LOG": form})
    else:
        assert load_settings({"ODDLOT_HOME": str(tmp_path), "ODDLOT_LOG": form}).log == "text"
