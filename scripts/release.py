"""Builds what is released: a wheel, and an sdist from which the very same wheel is built.

python -m scripts.release dist
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from shutil import copy2

ROOT = Path(__file__).resolve().parent.parent


def build(out: Path) -> tuple[Path, Path]:
    """Build wheel and sdist of this checkout into `out`; returns their paths.

    From a copy of what git tracks: what else lies about is not released, and building leaves files behind.
    Raises RuntimeError where the wheel that the sdist makes is another one.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source, unpacked = Path(scratch, "oddlot"), Path(scratch, "unpacked")
        for name in tracked():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            copy2(ROOT / name, source / name)
        wheel = _build("wheel", source, out)
        sdist = _build("sdist", source, out)
        unpacked.mkdir()
        # By tar: the first releases of Python 3.11 lack the filter without which the later ones complain.
        subprocess.run(["tar", "-xzf", str(sdist), "-C", str(unpacked)], check=True)
        (inner,) = unpacked.iterdir()
        again = _build("wheel", inner, Path(scratch, "again"))
        if contents(wheel) != contents(again):
            different = sorted(set(contents(wheel).items()) ^ set(contents(again).items()))
            raise RuntimeError(f"the sdist makes another wheel: {different[0][0]}")
    return wheel, sdist


def tracked() -> list[str]:
    """Names of the files that git knows of and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            check=True, capture_output=True, text=True)  # fmt: skip
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def contents(wheel: Path) -> dict[str, str]:
    """SHA-256 of every file in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def _build(kind: str, source: Path, out: Path) -> Path:
    before = set(out.glob("*")) if out.exists() else set()
    # What the build needs is pinned in requirements/build.txt and installed; nothing is fetched here.
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(out), str(source)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise RuntimeError(f"the {kind} could not be built: {(ran.stderr or ran.stdout).strip()[-2000:]}")
    suffix = ".whl" if kind == "wheel" else ".tar.gz"
    made = [path for path in out.glob(f"oddlot-*{suffix}") if path not in before] or list(out.glob(f"oddlot-*{suffix}"))
    return max(made, key=lambda path: path.stat().st_mtime_ns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the two files")
    for path in build(parser.parse_args().out):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")


if __name__ == "__main__":
    main()
