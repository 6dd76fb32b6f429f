"""What `pip install .` puts into place is the whole program, not the half that a checkout hides."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with nothing but what the wheel of this checkout holds."""
    folder = tmp_path_factory.mktemp("installed")
    wheels = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    # From a copy: building leaves files behind.
    source = tmp_path_factory.mktemp("source") / "oddlot"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "oddlot-demo", "out"))
    subprocess.run([*command, "--wheel-dir", wheels, source], check=True)
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.slow
def test_the_installed_command_makes_its_database_and_answers(installed, tmp_path):
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ODDLOT_")}
    environ |= {"ODDLOT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}

    def oddlot(*arguments: str) -> str:
        program = "import cli.main; print(cli.main.__file__); cli.main.main()"
        ran = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=environ, cwd=tmp_path
        )
        assert ran.returncode == 0, ran.stderr
        where, _, said = ran.stdout.partition("\n")
        assert Path(where).is_relative_to(installed)
        return said

    assert "is at" in oddlot("db", "upgrade")
    assert "No models yet" in oddlot("models")
    assert "Everything that is needed is there" in oddlot("doctor")


def test_the_wheel_holds_every_room_and_nothing_of_the_workshop(installed):
    rooms = {path.name for path in installed.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")}
    assert rooms == {"oddlot", "pictures", "ganomaly", "db", "report", "trainer", "worker", "review", "cli"}
    (metadata,) = installed.glob("*.dist-info")
    assert "oddlot = cli.main:main" in (metadata / "entry_points.txt").read_text(encoding="utf-8")
