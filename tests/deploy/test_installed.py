"""Oddlot as it is delivered: installed without a network, or by the steps of its image, and used by nobody special."""

import re
import shutil
from pathlib import Path

import image
import pytest
from clean_root import CleanRoot

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
INSTALLING = {"PYTHON": "/programs/python", "PROGRAMS": "/opt/bin"}
"""Where the clean root has its Python, and may be written."""


@pytest.fixture(scope="module")
def plant_pc(bundle, tmp_path_factory) -> CleanRoot:
    """A PC without a network, on which root ran the installer from a stick."""
    root = CleanRoot(tmp_path_factory.mktemp("plant-pc"))
    root.at("/etc/systemd/system").mkdir(parents=True)
    root.at("/var/lib").mkdir()
    root.at("/opt/bin").mkdir()
    root.run(["/media/install.sh"], environ=INSTALLING, binds={bundle: "/media"})
    return root


def test_the_demo_runs_where_there_is_no_network_and_finds_defects(plant_pc):
    plant_pc.at("/var/operator").mkdir(mode=0o777)
    plant_pc.at("/var/operator").chmod(0o777)
    # Afterwards nothing of it runs any more: no queue, no worker.
    words = [
        "sh",
        "-c",
        "/opt/oddlot/bin/oddlot demo --folder /var/operator/demo && ! pgrep -f '[v]alkey|[w]orker.app'",
    ]
    text = plant_pc.run(words, environ={"HOME": "/var/operator"}, user="4711:4711", frozen=True)
    assert re.search(r"completeness: listed 100 = scored 100 \+ unreadable 0 .* unaccounted 0", text)
    found, defects, false_alarms, good = map(
        int, re.search(r"flagged (\d+) of (\d+) defects and (\d+) of (\d+) good parts", text).groups()
    )
    assert (defects, good) == (20, 80)
    # far from chance: a coin that flags as many good parts would find as large a share of the defects
    assert found / defects > 3 * (false_alarms / good)
    assert found >= 14
    assert " results --job 1" in text
    assert not plant_pc.at("/var/operator/.local").exists()


def test_the_service_has_its_units_its_user_and_a_command_line_of_its_own(plant_pc):
    units = {path.name for path in plant_pc.at("/etc/systemd/system").iterdir()}
    assert units == {path.name for path in (ROOT / "deploy" / "systemd").iterdir()}
    assert "ExecStart=/opt/oddlot/bin/oddlot up" in plant_pc.at("/etc/systemd/system/oddlot.service").read_text()
    said = plant_pc.run(["/opt/bin/oddlot-service", "db", "upgrade"], environ={}, frozen=True)
    assert said.startswith("the database was at nothing")
    database = plant_pc.at("/var/lib/oddlot/oddlot.db").stat()
    assert f"oddlot:x:{database.st_uid}:" in plant_pc.at("/etc/passwd").read_text()
    assert database.st_uid != 0


def test_what_cannot_be_installed_is_refused_and_what_is_there_stays(plant_pc, bundle, tmp_path):
    def install(folder: Path, *arguments: str, **options) -> str:
        return plant_pc.run(["/media/install.sh", *arguments], environ=INSTALLING, binds={folder: "/media"}, **options)

    damaged = tmp_path / "stick"
    shutil.copytree(bundle, damaged, ignore=shutil.ignore_patterns("wheels"))
    (damaged / "wheels").mkdir()
    assert "this folder is damaged: copy it again" in install(damaged, status=1)
    assert plant_pc.run(["/opt/oddlot/bin/oddlot", "--help"], environ={}, frozen=True)
    (damaged / "PYTHON").write_text("3.10 x86_64\n")
    assert "this bundle is for Python 3.10" in install(damaged, status=1)
    assert "is not an absolute path" in install(bundle, "here", status=1)
    plant_pc.at("/opt/mine").mkdir()
    assert "is not a link that this installer made" in install(bundle, "/opt/mine", status=1)


def test_the_image_is_built_from_its_steps_and_runs_with_a_read_only_root(bundle, tmp_path):
    """Its packages come from the bundle here: the hashes say that they are the ones of the index."""
    context = tmp_path / "context"
    allowed = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    context.mkdir()
    for pattern in allowed:
        for path in ROOT.glob(pattern):
            goal = context / path.relative_to(ROOT)
            if path.is_dir():
                shutil.copytree(path, goal, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, goal)
    # Not compiled: that takes a minute, and saves a second of each command.
    environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_COMPILE": "0"}
    made = image.build(ROOT / "Dockerfile", context, tmp_path / "image", environ, {bundle / "wheels": "/wheels"})
    assert made.user == "10001:10001"
    assert "Usage: oddlot" in made.run(*made.command)
    assert made.run("oddlot", "db", "upgrade").startswith("the database was at nothing")
    assert "Everything that is needed is there" in made.run("oddlot", "doctor")
    assert made.run("id", "-u").strip() == "10001"
    assert "Read-only file system" in made.run("sh", "-c", "echo > /opt/oddlot/x", status=2)
    assert "10001" in made.root.at("/etc/passwd").read_text()
