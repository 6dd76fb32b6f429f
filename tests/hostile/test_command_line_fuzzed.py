"""The command line under odd words and numbers: it succeeds or says in one line what is wrong, and never more."""

import contextlib
import io
import os
import shutil
import sys

import pytest
import typer.main
from hostile import bounded
from hypothesis import given
from hypothesis import strategies as st

from cli.main import app, main

ENDLESS = ("worker", "up", "demo", "review")
"""Commands that go on for ever, or start processes, even where nothing is given: these get arguments that they do not
have."""


def _commands(command, path=()):
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, [option for parameter in command.params for option in parameter.opts if option.startswith("-")]
    else:
        for name, child in inner.items():
            yield from _commands(child, (*path, name))


COMMANDS = dict(_commands(typer.main.get_command(app)))
ODD = [
    "", " ", "-", "--", "-1", "0", "1", "last", "flange", "9" * 30, "9" * 400, str(2**31), str(2**63), "1e999", "nan",
    "inf", "-0.0", "0x10", "../../nowhere", "/etc/passwd", "/proc/self/mem", "/dev/full", "a\nb", "a\rb\tc",
    "\x1b[31mred", "\x07", "\udcff\udc80", "é\u202e部", "%s%n", "{}", "'; DROP TABLE job; --", "x" * 5000, "[bold]x",
    "--json", "--help", "10%,5%,40%,30%", "1,2,3", "json", "2026-13-45", "99999999999d", "-5h", "*" * 200, "[", "[!",
]  # fmt: skip
WORDS = st.sampled_from(ODD) | st.text(
    st.characters(exclude_characters="\0/~", exclude_categories=["Cs"]), max_size=12
).filter(lambda word: word not in (".", ".."))


@pytest.fixture(scope="module")
def somewhere(fitted, tmp_path_factory):
    """The home with a model, an empty folder to be in, and nothing that a command could change elsewhere."""
    folder = tmp_path_factory.mktemp("somewhere")
    shutil.copytree(fitted, folder / "home")
    (folder / "empty").mkdir()
    before = dict(os.environ), os.getcwd()
    os.environ.update(ODDLOT_HOME=str(folder / "home"), ODDLOT_SETTLE_SECONDS="0")
    os.chdir(folder / "empty")
    yield folder
    os.chdir(before[1])
    os.environ.clear()
    os.environ.update(before[0])


def oddlot(*arguments):
    """Exit status, standard output and standard error of a command run in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    argv, sys.argv = sys.argv, ["oddlot", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = argv
    return end.value.code or 0, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()


def fair(status, out, err):
    if status == 0:
        return "Traceback" not in out + err
    lines = err.split("\n")
    one_line = len(lines) == 2 and lines[0].startswith("oddlot: ") and lines[0].isprintable() and not lines[1]
    # doctor and a group without a word print what they found, and fail
    return one_line or (out and not err)


@bounded(250)
@given(
    command=st.sampled_from(sorted(set(COMMANDS) - {(name,) for name in ENDLESS})), words=st.lists(WORDS, max_size=4),
    data=st.data(),
)  # fmt: skip
def test_odd_words_and_numbers_are_one_line(somewhere, command, words, data):
    for at in range(len(words), 0, -1):
        if data.draw(st.integers(0, 2)) == 0:
            words.insert(at - 1, data.draw(st.sampled_from([*COMMANDS[command], "--frobnicate"])))
    status, out, err = oddlot(*command, *words)
    assert fair(status, out, err), (command, words, status, out[-2000:], err[-2000:])


@bounded(30)
@given(command=st.sampled_from([*ENDLESS, "frobnicate", ""]), words=st.lists(WORDS, min_size=1, max_size=3))
def test_words_that_no_command_takes_are_one_line(somewhere, command, words):
    status, out, err = oddlot(command, "--frobnicate", *words)
    assert status == 2
    assert fair(status, out, err), (command, words, out, err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "fla\nnge", "."), ("submit", "flange", "no\nsuch\x1b[2Jfolder"), ("job", "\x1b]0;title\x07"),
        ("models", "show", "\udcff"), ("results", "--line", "\udcff", "--model", "\udcff"), ("explain", "9" * 30),
        ("jobs", "--limit", "9" * 30), ("flagged", "--limit", "9" * 30), ("models", "promote", "flange", "9" * 30),
        ("models", "show", "flange", "--version", str(2**63)), ("submit", "\udcff", "."), ("fit", "\udcff", "."),
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_not_text_or_too_large_is_refused_in_one_printable_line(somewhere, arguments):
    status, out, err = oddlot(*arguments)
    assert fair(status, out, err), (status, out, err)
