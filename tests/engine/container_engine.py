"""Docker as tests use it: commands, images from a few lines of Dockerfile, an engine of one's own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from polling import eventually

from pictures.drawing import draw_set

PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PICTURES, LONG = 60, 1200
"""Of a short night, 45 good ones and 15 defects, and of one that takes long enough to be interrupted."""


def draw_night(folder: Path) -> None:
    """Good pictures in `train/good`, a short night in `tonight`, and the same many times over in `long`."""
    draw_set(folder, good_train=80, good_test=45, defects=15)
    (folder / "long").mkdir()
    short = sorted((folder / "tonight").iterdir())
    for number in range(LONG):
        shutil.copy(short[number % PICTURES], folder / "long" / f"{number:04}{short[0].suffix}")


class Engine:
    """Talks to the engine at `address`; left out: to the one that `docker` finds by itself."""

    def __init__(self, address: str | None = None) -> None:
        self.environ = os.environ | ({"DOCKER_HOST": address} if address else {})

    @classmethod
    @contextmanager
    def started(cls, folder: Path) -> Iterator["Engine"]:
        """An engine of our own, with its images and containers in `folder`; gone afterwards."""
        sockets = Path(tempfile.mkdtemp(prefix="oddlot-engine-"))  # short: the path of a socket has 107 characters
        address = f"unix://{sockets}/docker.sock"
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen(
                ["dockerd", "--host", address, "--data-root", str(folder / "data"), "--exec-root", str(sockets / "run"),
                 "--pidfile", str(sockets / "pid")], stdout=log, stderr=log)  # fmt: skip
        try:
            engine = cls(address)
            eventually(lambda: daemon.poll() is not None or engine.answers(), "the engine does not come up")
            assert daemon.poll() is None, (folder / "log").read_text(encoding="utf-8")[-2000:]
            yield engine
        finally:
            daemon.terminate()
            daemon.wait(60)
            for made in (sockets, folder):
                shutil.rmtree(made, ignore_errors=True)

    def answers(self) -> bool:
        return self._says_yes("info")

    def _says_yes(self, *words: str) -> bool:
        return subprocess.run(["docker", *words], env=self.environ, capture_output=True).returncode == 0

    def docker(self, *words: str, status: int = 0) -> str:
        """A command of Docker's; what it printed, errors and all."""
        ran = subprocess.run(
            ["docker", *words],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        said = ran.stdout.decode(errors="replace")
        assert ran.returncode == status, f"docker {' '.join(words)}: exit {ran.returncode}\n{said[-4000:]}"
        return said.strip()

    def image(self, name: str, lines: Sequence[str], folder: Path) -> str:
        """An image from the lines of a Dockerfile and the files in `folder`. Its steps may use the network."""
        recipe = folder / "Dockerfile.made"
        recipe.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.docker("build", "--quiet", "--network", "host", "--tag", name, "--file", str(recipe), str(folder))
        return name

    def debian(self, folder: Path) -> str:
        """The image `oddlot-test/debian`, made by debootstrap where it is not there."""
        name = "oddlot-test/debian:12"
        if self._says_yes("image", "inspect", name):
            return name
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", folder / "root"]
        subprocess.run(bootstrap, check=True, capture_output=True)
        with subprocess.Popen(["tar", "-C", folder / "root", "-c", "."], stdout=subprocess.PIPE) as packed:
            subprocess.run(["docker", "import", "--change", f"ENV PATH={PATH}", "-", name],
                           env=self.environ, stdin=packed.stdout, check=True, capture_output=True)  # fmt: skip
        assert packed.returncode == 0
        return name

    def inspect(self, container: str, what: str) -> str:
        """One value of a container, by a template of `docker inspect`."""
        return self.docker("inspect", "--format", what, container)
