"""Every command that the README shows does what it says."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def shell_lines() -> list[str]:
    lines = []
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        lines += [line.partition("  #")[0].strip() for line in block.splitlines() if line.strip()]
    return lines


def test_the_two_commands_stand_in_the_first_screen_and_exist():
    first_screen = "\n".join(README.splitlines()[:24])
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in ("demo", "test"):
        assert f"\nmake {target}\n" in first_screen
        assert target in targets
    makes = {line.split()[1] for line in shell_lines() if line.startswith("make ")}
    assert makes <= targets


@pytest.mark.slow
def test_the_commands_of_oddlot_run_one_after_the_other_as_shown(empty_oddlot, drawn, tmp_path):
    """In the order of the README, on drawn pictures, each with exit code 0; long-running ones in the background."""
    (tmp_path / "good_parts").symlink_to(drawn / "train" / "good")
    (tmp_path / "tonight").symlink_to(drawn / "tonight")
    background = []
    ran = 0
    try:
        for line in shell_lines():
            if not line.startswith("oddlot "):
                continue
            words = shlex.split(line.removesuffix("&"))[1:]
            if words[0] == "fit":
                words += ["--architecture", "paper", "--size", "32", "--epochs", "1", "--force"]
            command = [sys.executable, "-m", "cli.main", *words]
            if line.endswith("&"):
                process = subprocess.Popen(
                    command, cwd=tmp_path, env=empty_oddlot.environ | {"PYTHONPATH": str(REPOSITORY)},
                    stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
                assert process.stdout.readline().startswith("Oddlot is up")
                background.append(process)
            else:
                done = subprocess.run(
                    command, cwd=tmp_path, env=empty_oddlot.environ | {"PYTHONPATH": str(REPOSITORY)},
                    capture_output=True, text=True, timeout=300,
                )  # fmt: skip
                assert done.returncode == 0, f"{line}\n{done.stderr}"
            ran += 1
    finally:
        for process in background:
            process.terminate()
            process.communicate(timeout=60)
    assert ran >= 8
    assert (tmp_path / "night.csv").exists()
