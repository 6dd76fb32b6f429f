"""The house keeps its shape: who imports whom, and what a start may cost."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

HEAVY = (
    "tensorflow",
    "keras",
    "celery",
    "alembic",
    "pyarrow",
    "matplotlib",
    "PIL",
    "cv2",
    "sqlalchemy.orm",
    "numpy",
    "scipy",
)
"""Modules that each cost a good part of the half second that help and query commands may take."""


def heavy_after(program: str, home: Path) -> list[str]:
    """Which heavy modules are loaded when a fresh Python has run `program`."""
    program += "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=home,
        env=os.environ | {"ODDLOT_HOME": str(home), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    loaded = json.loads(ran.stderr.splitlines()[-1])
    assert "oddlot" in loaded
    return [name for name in HEAVY if name in loaded]


def command(*arguments: str) -> str:
    """A program that runs one `oddlot` command to its end, where that is exit 0."""
    return (
        f"import sys; sys.argv = {['oddlot', *arguments]!r}\n"
        "from cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
    )


def test_imports_go_down_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([linter, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def modules_of(room: str) -> list[str]:
    """All modules of a room but its tests and migrations, which run only inside of Alembic."""
    paths = sorted((ROOT / room).glob("*.py"))
    assert paths, f"{room}/ holds no modules"
    return [room if path.stem == "__init__" else f"{room}.{path.stem}" for path in paths]


def test_no_two_modules_of_the_tests_have_one_name() -> None:
    """pytest would take the one for the other, and only where both are asked for."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("room", ["oddlot", "pictures", "db", "report", "worker", "trainer", "review", "cli"])
def test_no_room_but_the_detector_loads_tensorflow_on_import(room, tmp_path) -> None:
    program = "".join(f"import {module}\n" for module in ["oddlot", *modules_of(room)])
    assert not {"tensorflow", "keras"} & set(heavy_after(program, tmp_path))


def test_the_celery_application_starts_without_tensorflow(tmp_path) -> None:
    """TensorFlow in a Celery parent hangs the children that it forks."""
    program = "import worker.app\nworker.app.app.loader.import_default_modules()\nworker.app.app.finalize()"
    assert not {"tensorflow", "keras"} & set(heavy_after(program, tmp_path))


def test_calibration_and_bundle_heads_need_no_tensorflow(tmp_path) -> None:
    program = "import oddlot, ganomaly.config, ganomaly.calibration, ganomaly.bundle, ganomaly.transport"
    assert heavy_after(program, tmp_path) == ["numpy"]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["fit", "--help"], ["results", "--help"]], ids=" ".join
)
def test_help_loads_nothing_heavy(arguments, tmp_path) -> None:
    assert heavy_after(command(*arguments), tmp_path) == []


@pytest.mark.parametrize(
    "arguments", [["jobs"], ["models", "list"], ["results"], ["flagged"], ["nightly", "list"]], ids=" ".join
)
def test_queries_on_an_existing_home_load_nothing_heavy(arguments, tmp_path) -> None:
    heavy_after(command("jobs"), tmp_path)  # makes the database, for which Alembic is needed once
    assert heavy_after(command(*arguments), tmp_path) == []
