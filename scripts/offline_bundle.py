"""Builds a folder from which Oddlot is installed where there is no network: wheels, their hashes and an installer.

    python -m scripts.offline_bundle dist

The wheels are those of this machine's Python version, operating system and processor.
"""

import argparse
import hashlib
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

from scripts.release import ROOT, build


def make(out: Path, *, gpu: bool = False) -> Path:
    """Build the bundle in a folder below `out`, anew where it is there; returns the folder. `gpu` brings NVIDIA's
    libraries, too."""
    out.mkdir(parents=True, exist_ok=True)
    wheel, _ = build(out)
    version = wheel.name.split("-")[1]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    run = "gpu" if gpu else "run"
    kind = "-gpu" if gpu else ""
    folder = out / f"oddlot-{version}-offline{kind}-python{python}-{sys.platform}-{platform.machine()}"
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "wheels").mkdir(parents=True)
    for listed in (run, "build"):  # the second for an image that is built there
        wanted = part / f"{listed}.txt"
        wanted.write_text(for_every_patch(ROOT / "requirements" / wanted.name), encoding="utf-8")
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps",
             "--only-binary", ":all:", "-r", str(wanted), "--dest", str(part / "wheels")],
            check=True,
        )  # fmt: skip
        wanted.unlink()
    shutil.copy2(wheel, part / "wheels")
    shutil.copy2(ROOT / "requirements" / f"{run}.txt", part / "requirements.txt")
    shutil.copy2(ROOT / "deploy" / "offline" / "install.sh", part)
    shutil.copy2(ROOT / "deploy" / "oddlot.env", part)
    shutil.copytree(ROOT / "deploy" / "systemd", part / "systemd")
    if gpu:
        shutil.copytree(ROOT / "deploy" / "gpu", part / "gpu")
    (part / "VERSION").write_text(f"{version}\n", encoding="utf-8")
    (part / "PYTHON").write_text(f"{python} {platform.machine()}\n", encoding="utf-8")
    files = sorted(path for path in part.rglob("*") if path.is_file())
    sums = [f"{_sha256(path)}  {path.relative_to(part)}\n" for path in files]
    (part / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return folder


def for_every_patch(pinned: Path) -> str:
    """The pinned requirements of this machine, and of one like it whose Python is another patch release.

    Debian 12 has Python 3.11.2, which needs what 3.11.3 brings along; pip would fetch for the Python that runs it.
    """
    here = {name: str(value) for name, value in default_environment().items()}
    first = here | {"python_full_version": f"{here['python_version']}.0"}
    kept = []
    for block in re.split(r"\n(?=\S)", pinned.read_text(encoding="utf-8")):
        head, mark, hashes = block.partition(" \\\n")
        requirement = Requirement(head)
        marker = requirement.marker
        if marker is None or marker.evaluate(here) or marker.evaluate(first):
            kept.append(f"{requirement.name}{requirement.specifier}{mark}{hashes}")
    return "\n".join(kept)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder in which the bundle is made")
    parser.add_argument("--gpu", action="store_true", help="with NVIDIA's libraries (docs/gpu.md)")
    wish = parser.parse_args()
    folder = make(wish.out, gpu=wish.gpu)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1024**2:.0f} MiB; there: sudo ./install.sh")


if __name__ == "__main__":
    main()
