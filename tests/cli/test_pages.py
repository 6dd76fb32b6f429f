"""Every command that the tutorial and the how-to pages show does what it says; all pages name only what there is."""

import contextlib
import re
import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest
import typer.main
from examples import DOCS, NOT_RUN, REPOSITORY, blocks, commands, run
from PIL import Image
from test_cli_help import commands as all_commands

from cli.main import app

RUN = [DOCS / "tutorial.md", *sorted(DOCS.glob("how-to/*.md"))]
READ = [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("how-to/*.md"))]

PLACES = {
    "postgresql://oddlot@db.plant/oddlot": "database",
    "redis://queue.plant:6379/0": "queue",
    "/etc/oddlot/broker_password": "broker_password",
    "/srv/oddlot": "store",
}
"""What the pages call servers and folders that a test has elsewhere."""


class Stage:
    """A user with a home where it usually is, a folder to stand in, and pictures in it."""

    def __init__(self, folder: Path, environ: dict[str, str], drawn: Path) -> None:
        self.folder, self.home = folder, folder / ".local" / "share" / "oddlot"
        kept = {name: value for name, value in environ.items() if name not in ("ODDLOT_HOME", "XDG_DATA_HOME")}
        self.environ = kept | {"HOME": str(folder), "ODDLOT_CONCURRENCY": "1"}  # each process loads the model
        (folder / "good_parts").symlink_to(drawn / "train" / "good")
        (folder / "tonight").symlink_to(drawn / "tonight")

    def has(self, home: Path) -> None:
        shutil.copytree(home, self.home, ignore=shutil.ignore_patterns("broker", "logs", "fits"))


@pytest.fixture
def stage(tmp_path, empty_oddlot, drawn) -> Stage:
    return Stage(tmp_path, empty_oddlot.environ, drawn)


def dark(stage: Stage) -> None:
    """The drawn night under a lamp of half its light."""
    (stage.folder / "dark").mkdir()
    for path in (stage.folder / "tonight").iterdir():
        with Image.open(path) as picture:
            picture.point(lambda v: v * 0.5).save(stage.folder / "dark" / path.name)


def servers(request, stage: Stage) -> dict[str, str]:
    """Where the servers and folders of the pages are in this test."""
    url, password = request.getfixturevalue("redis_url"), stage.folder / "broker_password"
    password.write_text("geheim\n")
    return {
        "database": request.getfixturevalue("postgres_url"), "queue": url.replace(":geheim@", ""),
        "broker_password": str(password), "store": str(stage.home),
    }  # fmt: skip


def run_page(page: Path, stage: Stage, replaced: dict[str, str] | None = None) -> str:
    """Run the commands of a page. Every text that is to be replaced stands in them."""
    text = "\n".join(commands(page))
    for old, new in (replaced or {}).items():
        assert old in text
        text = text.replace(old, new)
    return run(text.splitlines(), stage.folder, stage.environ)


def test_every_page_of_the_tutorial_and_how_to_is_run_by_a_test():
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [page.name for page in RUN if f'"{page.name}"' not in tests] == []


@pytest.mark.slow
def test_the_first_night(stage, drawn):
    (stage.folder / "oddlot-demo").symlink_to(drawn)
    printed = run_page(DOCS / "tutorial.md", stage)
    assert "flange version 1 is active" in printed
    assert "completeness: listed 24 = scored 24" in printed


@pytest.mark.slow
def test_a_new_part(stage):
    printed = run_page(DOCS / "how-to" / "new-part.md", stage)
    assert "schedule flange: /data/press-3/" in printed
    assert "flange-from-north: version 1 is active" in printed


@pytest.mark.slow
def test_a_bad_night(stage, inspected_home):
    stage.has(inspected_home)
    dark(stage)
    printed = run_page(DOCS / "how-to" / "bad-night.md", stage)
    assert "job 2 is HELD" in printed
    assert "job 2 is released" in printed
    assert "job 3 is discarded" in printed
    assert "job 1: 1 items are to be inspected" in printed


@pytest.mark.slow
def test_learning_from_what_people_said(stage, inspected_home):
    stage.has(inspected_home)
    with contextlib.closing(sqlite3.connect(stage.home / "oddlot.db")) as connection, connection:
        # A false alarm, which this model does not make by itself.
        changed = connection.execute("UPDATE result SET flagged = 1, score = 0.6 WHERE item_id = 3 AND NOT flagged")
        assert changed.rowcount == 1
    printed = run_page(DOCS / "how-to" / "retrain.md", stage)
    assert "from verdicts: 1 false alarms that were called good were added" in printed
    assert "flange: version 2 is active" in printed
    assert "flange: version 1 is active" in printed


@pytest.mark.slow
def test_the_move_to_postgresql(request, stage, inspected_home):
    stage.has(inspected_home)
    place = servers(request, stage)
    wanted = {old: place[name] for old, name in PLACES.items() if name != "store"}
    printed = run_page(DOCS / "how-to" / "move-to-postgresql.md", stage, wanted)
    assert "rows moved and compared" in printed
    assert "answers: redis://" in printed


@pytest.mark.slow
def test_a_second_host(request, stage, oddlot):
    """Its worker is the only one: what it does, the second host does."""
    place = servers(request, stage)
    oddlot.environ["ODDLOT_DATABASE_URL"] = place["database"]
    oddlot.run("db", "move", oddlot.home / "oddlot.db")
    stage.has(oddlot.home)
    (stage.home / "oddlot.db").unlink()
    replaced = {old: place[name] for old, name in PLACES.items()}
    printed = run_page(DOCS / "how-to" / "second-host.md", stage, replaced)
    assert "completeness: listed 24 = scored 24" in printed
    assert not (stage.home / "broker").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["upgrade.md", "restore.md"])
def test_upgrade_and_restore(name, stage, inspected_home):
    stage.has(inspected_home)
    printed = run_page(DOCS / "how-to" / name, stage)
    assert "the database is that of" in printed
    assert "Everything that is needed is there." in printed


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_no_example_is_hidden(page):
    """A block that is not run says so, and holds nothing that could be run: no command of Oddlot."""
    for block in blocks(page):
        assert block.language in ("sh", "text", "sql"), f"a block without its language: {block.lines}"
        assert block.mark in ("", NOT_RUN)
        if block.language != "sh" or block.mark:
            assert [line for line in block.lines if re.match(r"(\$ )?oddlot \S|\$ ", line)] == []
    assert commands(page)


@pytest.mark.parametrize("page", READ, ids=lambda page: page.stem)
def test_a_page_names_only_commands_and_options_that_exist(page):
    there = {path: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
             for path, command in all_commands(typer.main.get_command(app))}  # fmt: skip
    groups = {path[:1] for path in there if len(path) > 1}
    text = page.read_text(encoding="utf-8")
    shown = [" ".join(one.split()) for one in re.findall(r"`oddlot ([a-z][^`]*)`", text)]
    shown += [line.removeprefix("oddlot ") for one in blocks(page) if one.language == "sh" for line in one.lines
              if line.startswith("oddlot ") and not line.startswith("oddlot --")]  # fmt: skip
    for line in shown:
        words = shlex.split(line, comments=True)
        path = tuple(words[:2]) if tuple(words[:1]) in groups else tuple(words[:1])
        if path in groups or "|" in line:
            continue
        assert path in there, f"{page.name}: oddlot {line}"
        options = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help"}
        assert options <= there[path], f"{page.name}: oddlot {line}"
