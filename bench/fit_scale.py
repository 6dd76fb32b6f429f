"""Does a fit stay linear in time and bounded in memory when there are many good pictures?

    python -m bench.fit_scale [--pictures 1000,4000,16000] [--size 128] [--megabytes 512]

Real fits, `oddlot fit` in a process of its own and a home of its own, of drawn pictures that are all different. The
features of more than a few thousand do not fit into `--megabytes` (ODDLOT_FIT_MEGABYTES): they go to disk. *resident*
is
the peak of what the kernel counts for the process, *own* without the pages of mapped files, which it may take back at
any time; *on disk* what was mapped at most. Linux only: it reads /proc.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from pictures.drawing import draw_part

BASES = 200
MEGABYTE = 2**20
EVERY = 0.1
"""Seconds between two looks at the process."""


@dataclass
class Peaks:
    """The most that was seen of a process, in MB."""

    resident: float = 0.0
    own: float = 0.0
    mapped: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)

    def look(self, pid: int, home: Path) -> None:
        with contextlib.suppress(OSError):
            status = dict(re.findall(r"^(\w+):\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
            self.resident = max(self.resident, int(status.get("VmHWM", 0)) / 1024)
            self.own = max(self.own, int(status.get("RssAnon", 0)) / 1024)
            mapped = 0
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                if str(home) in line:
                    low, high = line.split(" ")[0].split("-")
                    mapped += int(high, 16) - int(low, 16)
            self.mapped = max(self.mapped, mapped / MEGABYTE)


def draw_pictures(folder: Path, count: int, size: int) -> None:
    """Gray JPEGs, each a mixture of two drawn parts, moved a little: no two are near-duplicates."""
    rng = np.random.default_rng(0)
    bases = [cv2.cvtColor(draw_part(rng, side=size), cv2.COLOR_RGB2GRAY).astype(np.float32) for _ in range(BASES)]
    folder.mkdir()
    for number in range(count):
        one, other = rng.integers(0, BASES, 2)
        share, light = rng.uniform(0.2, 0.8), rng.uniform(0.9, 1.1)
        move = np.float32([[1, 0, rng.uniform(-3, 3)], [0, 1, rng.uniform(-3, 3)]])
        mixed = light * (share * bases[one] + (1 - share) * bases[other])
        moved = cv2.warpAffine(mixed, move, (size, size), borderMode=cv2.BORDER_REFLECT)
        noisy = moved + rng.normal(0, 2, (size, size)).astype(np.float32)
        cv2.imwrite(str(folder / f"{number:06}.jpg"), np.clip(noisy, 0, 255).astype(np.uint8))


def fit(folder: Path, home: Path, wish: argparse.Namespace) -> Peaks:
    """One fit; when each of its stages was told, in seconds from its start."""
    environ = os.environ | {
        "ODDLOT_HOME": str(home), "ODDLOT_SETTLE_SECONDS": "0", "ODDLOT_FIT_MEGABYTES": str(wish.megabytes),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "cli.main", "fit", "part", str(folder), "--architecture", wish.architecture,
        "--size", str(wish.size), "--force",
    ]  # fmt: skip
    peaks, began = Peaks(), time.monotonic()
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(EVERY):
            peaks.look(process.pid, home)

    looking = threading.Thread(target=look)
    looking.start()
    told = []
    assert process.stderr is not None
    for line in process.stderr:
        told.append(line)
        for stage, words in (("read", "read "), ("trained", "measuring ")):
            if line.startswith(words):
                peaks.seconds[stage] = time.monotonic() - began
    code = process.wait()
    ended.set()
    looking.join()
    peaks.seconds["all"] = time.monotonic() - began
    if code != 0:
        sys.exit(f"the fit failed: {''.join(told[-3:])}")
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", default="1000,4000,16000", help="how many, one fit after the other")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--architecture", default="features")
    parser.add_argument("--megabytes", type=int, default=512)
    wish = parser.parse_args()
    print(f"{wish.architecture}, {wish.size} pixels, {wish.megabytes} MB for pictures and features", flush=True)
    heads = ("pictures", "read, s", "learnt, s", "all, s", "ms a picture", "resident, MB", "own, MB", "on disk, MB")
    print("".join(f"{head:>14}" for head in heads), flush=True)
    for count in map(int, wish.pictures.split(",")):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
            draw_pictures(Path(name) / "good", count, wish.size)
            peaks = fit(Path(name) / "good", Path(name) / "home", wish)
            read, learnt, whole = (peaks.seconds[stage] for stage in ("read", "trained", "all"))
            values = (count, read, learnt - read, whole, 1000 * whole / count, peaks.resident, peaks.own, peaks.mapped)
            print("".join(f"{value:>14.{1 if place == 4 else 0}f}" for place, value in enumerate(values)), flush=True)


if __name__ == "__main__":
    main()
