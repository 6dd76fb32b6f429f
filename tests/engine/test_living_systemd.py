"""The units under a systemd that lives: started, killed, stopped, started again with the machine."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from container_engine import LONG, Engine, draw_night
from polling import eventually

pytestmark = pytest.mark.engine

PC = [
    "FROM oddlot-test/debian:12",
    "RUN apt-get update && apt-get install -y --no-install-recommends systemd systemd-sysv dbus procps",
    # what a container has no use for
    "RUN systemctl mask systemd-udevd.service systemd-logind.service systemd-networkd-wait-online.service"
    " getty.target console-getty.service sys-kernel-debug.mount sys-kernel-tracing.mount",
    "STOPSIGNAL SIGRTMIN+3",
    'CMD ["/sbin/init"]',
]
MAY = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_NICE", "SYS_TTY_CONFIG", "DAC_READ_SEARCH", "IPC_LOCK", "SYSLOG",
       "SYS_BOOT", "SYS_TIME")  # fmt: skip
"""What a systemd takes for itself, and takes away from the units again."""


class PlantPC:
    """A machine with systemd on which root ran the installer from a stick, and began nothing."""

    def __init__(self, engine: Engine, bundle: Path, pictures: Path) -> None:
        self.engine = engine
        options = [f"--cap-add={one}" for one in MAY]
        options += [f"--security-opt={one}=unconfined" for one in ("seccomp", "apparmor", "systempaths")]
        options += ["--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup", "--env=container=docker", "--tty"]
        options += [f"--tmpfs={one}:exec" for one in ("/run", "/run/lock", "/tmp")]
        options += [f"--volume={bundle}:/media:ro", f"--volume={pictures}:/data:ro"]
        self.name = engine.docker("run", "--detach", *options, "oddlot-test/systemd")

    def __call__(self, *words: str, status: int = 0) -> str:
        return self.engine.docker("exec", self.name, *words, status=status)

    def oddlot(self, *words: str) -> str:
        return self("oddlot-service", *words)

    def booted(self) -> None:
        eventually(lambda: "running" in self.engine.docker("exec", self.name, "sh", "-c",
                                                           "systemctl is-system-running || true").split(),
                   lambda: self("systemctl", "--no-pager", "--failed"), every=0.5)  # fmt: skip

    def active(self, unit: str) -> bool:
        return self("sh", "-c", f"systemctl is-active {unit} || true") == "active"

    def workers(self) -> list[dict]:
        return [one for one in json.loads(self.oddlot("doctor", "--json")) if one["what"] == "worker"]


@pytest.fixture(scope="module")
def plant_pc(engine, debian, bundle, tmp_path_factory) -> Iterator[PlantPC]:
    engine.image("oddlot-test/systemd", PC, tmp_path_factory.mktemp("systemd"))
    pictures = tmp_path_factory.mktemp("data")
    draw_night(pictures / "flange")
    pictures.chmod(0o755)
    pc = PlantPC(engine, bundle, pictures)
    try:
        pc.booted()
        pc("/media/install.sh")
        yield pc
    finally:
        engine.docker("rm", "--force", "--volumes", pc.name)


def test_one_pc_learns_inspects_is_killed_stops_and_starts_with_the_machine(plant_pc):
    plant_pc("systemctl", "enable", "--now", "oddlot")
    eventually(plant_pc.workers, "no worker", every=1)
    assert "running" in plant_pc("systemctl", "is-system-running")
    # learnt by the trainer, inside of what its unit may do
    plant_pc.oddlot("fit", "flange", "/data/flange/train/good", "--epochs", "8", "--queue")
    eventually(lambda: "active" in plant_pc.oddlot("models"), lambda: plant_pc("journalctl", "-u", "oddlot"),
               seconds=400, every=3)  # fmt: skip

    plant_pc.oddlot("submit", "flange", "/data/flange/long")
    plant_pc("systemctl", "kill", "--signal", "KILL", "oddlot")
    assert "unaccounted 0" not in plant_pc.oddlot("job", "last")
    said = eventually(lambda: (text := plant_pc.oddlot("job", "last")) and "unaccounted 0" in text and text, "no end",
                      seconds=400, every=2)  # fmt: skip
    assert f"listed {LONG} = scored {LONG} + unreadable 0" in said
    assert "NRestarts=1" in plant_pc("systemctl", "show", "oddlot", "--property", "NRestarts")

    plant_pc("systemctl", "stop", "oddlot")
    assert "Oddlot is down" in plant_pc("journalctl", "-u", "oddlot", "--no-pager", "-n", "5")
    assert plant_pc("systemctl", "show", "oddlot", "--property", "Result") == "Result=success"
    assert plant_pc("sh", "-c", "pgrep -u oddlot || true") == ""

    plant_pc.engine.docker("restart", plant_pc.name)
    plant_pc.booted()
    eventually(plant_pc.workers, "no worker after the machine was started anew", every=1)
    assert "unaccounted 0" in plant_pc.oddlot("job", "last")


def test_a_backup_is_made_by_its_unit_and_its_timer_waits_for_the_night(plant_pc):
    plant_pc("systemctl", "start", "oddlot-backup")
    assert "oddlot.db" in plant_pc("ls", "/var/lib/oddlot/backup")
    plant_pc("systemctl", "enable", "--now", "oddlot-backup.timer")
    assert "oddlot-backup.service" in plant_pc("systemctl", "list-timers", "--no-pager")


def test_the_parts_of_many_hosts_run_as_units_and_give_way_to_the_one_for_one_pc(plant_pc):
    parts = ("oddlot-worker", "oddlot-trainer", "oddlot-beat", "oddlot-review")
    plant_pc("systemctl", "stop", "oddlot")
    plant_pc("systemctl", "start", *parts)
    for unit in parts:
        eventually(lambda one=unit: plant_pc.active(one), unit)
    plant_pc("systemctl", "start", "oddlot")
    assert [unit for unit in parts if plant_pc.active(unit)] == []
    assert plant_pc.active("oddlot")


def test_what_the_service_runs_can_write_nowhere_else_and_has_no_capabilities(plant_pc):
    pid = plant_pc("systemctl", "show", "oddlot", "--property", "MainPID", "--value")
    status = plant_pc("cat", f"/proc/{pid}/status")
    for kind in ("CapEff", "CapBnd"):
        assert re.search(rf"^{kind}:\s+0+$", status, re.MULTILINE), status
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    lines = plant_pc("cat", f"/proc/{pid}/mountinfo").splitlines()
    mounts = {words[4]: words[5].split(",")[0] for words in map(str.split, lines)}
    assert mounts["/"] == "ro"
    assert mounts["/var/lib/oddlot"] == "rw"
