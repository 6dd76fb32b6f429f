"""The units of a plant without containers."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from oddlot.settings import Settings

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The units as the installer writes them, for the programs of this checkout."""
    folder = tmp_path_factory.mktemp("units")
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace("/opt/oddlot/bin/", f"{Path(sys.executable).parent}/")
        (folder / unit.name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", [unit.name for unit in UNITS])
def test_systemd_takes_the_unit(installed, name):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("NOT TESTED, whether systemd takes the units: systemd-analyze is not installed")
    # --man=no: a page of systemd's own may be missing here, which is nothing about the unit.
    ran = subprocess.run([program, "verify", "--man=no", installed / name], capture_output=True, text=True)
    about_it = [line for line in ran.stderr.splitlines() if "oddlot" in line]
    assert (ran.returncode, about_it) == (0, []), ran.stderr


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_every_service_runs_as_nobody_special_and_stops_in_order(unit):
    lines = unit.read_text(encoding="utf-8").splitlines()
    for line in ("User=oddlot", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=",
                 "StateDirectory=oddlot", "EnvironmentFile=/etc/oddlot/oddlot.env"):  # fmt: skip
        assert line in lines, line
    if unit.name != "oddlot-backup.service":
        assert "Restart=always" in lines
        assert "KillMode=mixed" in lines  # SIGTERM goes to the parent alone, which lets batches end


def test_the_settings_file_names_settings_that_there_are():
    text = (ROOT / "deploy" / "oddlot.env").read_text(encoding="utf-8")
    known = {f"ODDLOT_{one.name.upper()}" for one in fields(Settings)}
    named = set(re.findall(r"^#?(ODDLOT_\w+)=", text, re.MULTILINE))
    assert named
    assert {name.removesuffix("_FILE") for name in named} <= known


@pytest.mark.parametrize("name", ["oddlot.service", "oddlot-worker.service", "oddlot-trainer.service"])
def test_systemd_takes_the_drop_in_for_graphics_cards(installed, name, tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("NOT TESTED, whether systemd takes the drop-in: systemd-analyze is not installed")
    folder = tmp_path / f"{name}.d"
    folder.mkdir()
    drop_in = folder / "gpu.conf"
    shutil.copy(ROOT / "deploy" / "gpu" / "oddlot.conf", drop_in)
    shutil.copy(installed / name, tmp_path)

    def said() -> list[str]:
        ran = subprocess.run(
            [program, "verify", "--man=no", tmp_path / name], capture_output=True, text=True,
            env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        )  # fmt: skip
        return [line for line in ran.stderr.splitlines() if "oddlot" in line or "gpu.conf" in line]

    assert said() == []
    drop_in.write_text(drop_in.read_text(encoding="utf-8") + "DevicePolicy=whatever\n", encoding="utf-8")
    assert said() != []  # it is looked at
