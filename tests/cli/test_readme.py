"""Every command that the README shows does what it says."""

import re

import pytest
from examples import REPOSITORY, commands, run

README = REPOSITORY / "README.md"


def test_the_two_commands_stand_in_the_first_screen_and_exist():
    first_screen = "\n".join(README.read_text(encoding="utf-8").splitlines()[:24])
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in ("demo", "test"):
        assert f"\nmake {target}\n" in first_screen
        assert target in targets
    makes = {line.split()[1] for line in commands(README) if line.startswith("make ")}
    assert makes <= targets


@pytest.mark.slow
def test_the_commands_of_oddlot_run_one_after_the_other_as_shown(empty_oddlot, drawn, tmp_path):
    """In the order of the README, on drawn pictures, each with exit code 0; long-running ones in the background."""
    (tmp_path / "good_parts").symlink_to(drawn / "train" / "good")
    (tmp_path / "tonight").symlink_to(drawn / "tonight")
    lines = [line for line in commands(README) if line.startswith("oddlot ")]
    assert len(lines) >= 8
    assert "Oddlot is up" in run(lines, tmp_path, empty_oddlot.environ)
    assert (tmp_path / "night.csv").exists()
