"""`oddlot fit --from-verdicts`: false alarms that were called good are learnt from, defects never."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from oddlot_program import Oddlot

WARY = (
    "--architecture", "paper", "--size", "32", "--epochs", "1", "--seed", "1", "--false-alarms", "0.9", "--force",
)  # fmt: skip
"""A model that flags nearly everything: no lack of false alarms."""


@pytest.fixture(scope="module")
def made(drawn, tmp_path_factory):
    """A folder with a home, good pictures and a night in it, of which a copy stands beside it."""
    folder = tmp_path_factory.mktemp("alarmed") / "now"
    shutil.copytree(drawn / "train" / "good", folder / "good")
    shutil.copytree(drawn / "tonight", folder / "night")
    oddlot = Oddlot(folder / "home")
    oddlot.run("fit", "flange", folder / "good", *WARY)
    oddlot.run("inspect", "flange", folder / "night")
    oddlot.leaves_nothing()
    shutil.copytree(folder, folder.with_name("as made"), ignore=shutil.ignore_patterns("broker", "logs"))
    return folder


@pytest.fixture
def alarmed(made):
    """A home with a night of false alarms; its rows, the oddest first. Good pictures and night are this test's own."""
    shutil.rmtree(made)
    shutil.copytree(made.with_name("as made"), made)
    oddlot = Oddlot(made / "home")
    found = oddlot.json("flagged", "--job", "last")
    assert len(found) >= 12
    return oddlot, found, made


def say(oddlot, rows, word):
    for row in rows:
        oddlot.run("verdict", row["item"], word, "--reviewer", "Ada")


def test_what_was_called_good_is_learnt_from_if_it_is_the_same_and_what_was_called_a_defect_is_not(alarmed):
    oddlot, rows, tmp_path = alarmed
    good, defects = rows[:6], rows[6:8]
    say(oddlot, good, "good")
    say(oddlot, defects, "defect")
    say(oddlot, rows[8:9], "unsure")
    os.unlink(good[0]["path"])
    shutil.copyfile(rows[9]["path"], good[1]["path"])
    status = os.stat(good[2]["path"])
    data = bytearray(Path(good[2]["path"]).read_bytes())
    data[len(data) // 2] ^= 1  # as long and as old, and another picture all the same
    Path(good[2]["path"]).write_bytes(data)
    os.utime(good[2]["path"], ns=(status.st_atime_ns, status.st_mtime_ns))
    shutil.copyfile(defects[0]["path"], tmp_path / "good" / "sneaked in.jpg")
    shutil.copyfile(good[3]["path"], tmp_path / "good" / "again.jpg")
    text = oddlot.run("fit", "flange", "--from-verdicts", *WARY)
    assert "from verdicts: 3 false alarms that were called good were added, 1 gone, 2 changed since" in text
    assert "1 pictures called defects were left out" in text
    assert f"sneaked in.jpg: item {defects[0]['item']} is the same picture, and was called a defect" in text
    card = oddlot.json("models", "show", "flange")["card"]
    told = card["from_verdicts"]
    assert sorted(told["items"]) == sorted(row["item"] for row in good[3:])
    assert told["defects_left_out"] == [str(tmp_path / "good" / "sneaked in.jpg")]
    assert card["pictures"]["usable"] == 60 + 1 + 3
    assert card["options"]["good_dir"] == str(tmp_path / "good")
    # The same picture under two names stands on one side of the split, and is counted as copies.
    assert card["near_duplicates"]["pictures"] == 2
    assert any("because an earlier version flagged them" in warning for warning in card["warnings"])


def test_a_queued_fit_learns_from_verdicts_too(alarmed):
    oddlot, rows, tmp_path = alarmed
    say(oddlot, rows[:3], "good")
    oddlot.run("fit", "flange", tmp_path / "good", "--from-verdicts", "--queue", *WARY)
    program = "from trainer.tasks import run_fit; run_fit(1)"
    subprocess.run([sys.executable, "-c", program], env=oddlot.environ, check=True, timeout=300)
    card = oddlot.json("models", "show", "flange")["card"]
    assert (card["from_verdicts"]["added"], card["pictures"]["usable"]) == (3, 63)


def test_groups_hold_also_for_what_was_added(alarmed):
    oddlot, rows, tmp_path = alarmed
    say(oddlot, rows[:3], "good")
    oddlot.run(
        "fit", "flange", tmp_path / "good", "--from-verdicts", "--group", "flange-([0-9]+)", "--candidate", *WARY
    )
    assert [row["state"] for row in oddlot.json("models")] == ["active", "candidate"]  # to be compared first
    card = oddlot.json("models", "show", "flange", "--version", "2")["card"]
    names = {int(row["path"].rpartition("-")[2][:4]) for row in rows[:3]}
    assert card["pictures"]["groups"] == 60 + len(names - set(range(60)))


def test_without_a_folder_and_without_verdicts_it_is_wrong_usage(empty_oddlot):
    assert "oddlot fit NAME GOOD_DIR" in empty_oddlot.run("fit", "flange", status=2)
    assert "there is no model 'flange'" in empty_oddlot.run("fit", "flange", "--from-verdicts", status=1)
